import { refusal } from "@reflex/protocol/refusal";
import { err, ok, type Result } from "@reflex/protocol/result";
import { type Ask, type AskFailure, failureOfAnswer, failureOfRead, type ReadFailure } from "./ask.ts";
import type { Bindings } from "./bind.ts";
import { type BoundRequest, encodeText } from "./bind-request.ts";
import type { Clauses, Conditions, Pages, RequestTemplate } from "./manifest.ts";
import { isAnswered, isComparable, itemsAt, testOf } from "./match.ts";
import { type Pointer, valuesAt } from "./pointer.ts";
import type { Answer } from "./read-answer.ts";

/** A list of 10 000 entries by hundreds; half a list would say that the rest is not in force. */
const pagesMax = 100;

export type Asked = {
  readonly request: RequestTemplate;
  readonly pages?: Pages;
  readonly answered?: Clauses;
};

export type Reader = {
  /** All pages, each of them an answer that may be believed. */
  readonly readPages: (
    asked: Asked,
    bindings: Bindings,
    untilMs: number,
  ) => Promise<Result<readonly Answer[], ReadFailure>>;
  /** The entries for which the conditions hold. */
  readonly readItems: (
    listing: Asked & { readonly items: Pointer; readonly where: Conditions },
    bindings: Bindings,
    untilMs: number,
  ) => Promise<Result<readonly unknown[], ReadFailure>>;
};

export const createReader = (ask: Ask, wordsOf: (answer: Answer) => string, nowMs: () => number): Reader => {
  const readPages: Reader["readPages"] = async (asked, bindings, untilMs) => {
    const answers: Answer[] = [];
    let adjust: ((request: BoundRequest) => BoundRequest) | undefined = (request) => request;
    if (asked.pages?.kind === "page") adjust = withQuery(asked.pages.name, String(asked.pages.from));
    while (adjust !== undefined) {
      if (answers.length >= pagesMax) return err(refusal("too-large", `the list has more than ${pagesMax} pages`));
      const answer: Result<Answer, AskFailure> = await ask({
        template: asked.request,
        bindings,
        untilMs,
        adjust,
        isList: true,
      });
      if (!answer.ok) return err(failureOfRead(answer.error));
      if (!isAnswered(asked.answered, answer.value, bindings)) {
        return err(failureOfAnswer(answer.value, wordsOf(answer.value), nowMs()));
      }
      answers.push(answer.value);
      adjust = nextPage(asked.pages, answer.value, answers.length);
    }
    return ok(answers);
  };

  const readItems: Reader["readItems"] = async (listing, bindings, untilMs) => {
    if (!isComparable(listing.where, bindings)) {
      return err(refusal("connector-refused", "what the entries are compared with is not known"));
    }
    const answers = await readPages(listing, bindings, untilMs);
    if (!answers.ok) return answers;
    const isOne = testOf(listing.where, bindings);
    const items: unknown[] = [];
    for (const answer of answers.value) {
      const found = itemsAt(answer, listing.items);
      if (found === undefined)
        return err(refusal("connector-refused", `the answer has no list at ${JSON.stringify(listing.items.text)}`));
      for (const item of found) if (isOne(item)) items.push(item);
    }
    return ok(items);
  };
  return { readPages, readItems };
};

type Adjust = (request: BoundRequest) => BoundRequest;

const withQuery =
  (name: string, text: string): Adjust =>
  (request) => ({
    ...request,
    url: `${request.url}${request.url.includes("?") ? "&" : "?"}${encodeText(name)}=${encodeText(text)}`,
  });

const withField =
  (name: string, text: string): Adjust =>
  (request) => ({
    ...request,
    body: `${request.body ?? ""}${request.body ? "&" : ""}${encodeText(name)}=${encodeText(text)}`,
  });

/** Somewhere else would be told our credentials. */
const withUrl =
  (url: string): Adjust =>
  (request) => {
    const next = URL.parse(url, request.url);
    return next === null || next.origin !== new URL(request.url).origin
      ? { ...request, url: "" }
      : { ...request, url: next.href };
  };

/** How the next page is asked for; undefined after the last. */
const nextPage = (pages: Pages | undefined, answer: Answer, read: number): Adjust | undefined => {
  switch (pages?.kind) {
    case undefined:
      return undefined;
    case "page": {
      const total = Number(valuesAt(answer.content, pages.total)[0]);
      return read < total ? withQuery(pages.name, String(pages.from + read)) : undefined;
    }
    case "cursor": {
      const cursor = textAt(answer, pages.pointer);
      if (cursor === undefined) return undefined;
      return pages.place === "query" ? withQuery(pages.name, cursor) : withField(pages.name, cursor);
    }
    case "next": {
      const url = textAt(answer, pages.pointer);
      return url === undefined ? undefined : withUrl(url);
    }
    case "link": {
      const url = /<([^<>]{1,4096})>\s*;[^,]*\brel="?next"?/.exec(answer.headers["link"] ?? "")?.[1];
      return url === undefined ? undefined : withUrl(url);
    }
  }
};

const textAt = ({ content }: Answer, pointer: Pointer): string | undefined => {
  const [found] = valuesAt(content, pointer);
  return (typeof found === "string" && found !== "") || typeof found === "number" ? String(found) : undefined;
};
