import { type Refusal, refusal } from "@reflex/protocol/refusal";
import { err, type Result } from "@reflex/protocol/result";
import type { Clock } from "../../ports.ts";
import type { HttpCallAnswer, HttpCallFailure, HttpCalls } from "../http-call.ts";
import { createAuthenticate } from "./authenticate.ts";
import type { Bindings } from "./bind.ts";
import { type BoundRequest, bindRequest } from "./bind-request.ts";
import type { Credentials } from "./credentials.ts";
import type { Manifest, RequestTemplate } from "./manifest.ts";
import { valuesAt } from "./pointer.ts";
import { type Answer, readAnswer } from "./read-answer.ts";
import { retryAfterMs } from "./retry-after.ts";
import type { TokenFailure } from "./token-store.ts";

/** Why there is no answer to go by. `unfit`: nothing was sent, because a value does not fit. */
export type AskFailure =
  | { readonly kind: "unfit"; readonly refusal: Refusal }
  | { readonly kind: "unsent"; readonly detail: string; readonly retryAfterMs?: number }
  /** Not sent either, and pointless to repeat: the credentials are not good. */
  | { readonly kind: "refused"; readonly detail: string }
  | { readonly kind: "unknown"; readonly detail: string };

export type Ask = (asked: {
  readonly template: RequestTemplate;
  readonly bindings: Bindings;
  /** On the clock's time; all requests of one step share it. */
  readonly untilMs: number;
  /** A list is asked for, which may be long. */
  readonly isList?: boolean;
  /** Changes to the bound request: a guard's header, the next page. */
  readonly adjust?: (request: BoundRequest) => BoundRequest;
}) => Promise<Result<Answer, AskFailure>>;

/** An answer about one thing is a few kB. */
const answerBytesMax = 1024 * 1024;
/** 50 000 entries of 150 bytes. */
const listBytesMax = 8 * 1024 * 1024;
const userAgent = "reflex/0.1";

/** Sends one request of a manifest: bound, authenticated, once more after a 401 with a new token, and read. */
export const createAsk = (deps: {
  readonly manifest: Manifest;
  readonly baseUrl: string;
  readonly credentials: Credentials;
  readonly calls: HttpCalls;
  readonly clock: Clock;
}): { readonly ask: Ask; readonly wordsOf: (answer: Answer) => string } => {
  const { manifest, baseUrl, credentials, calls, clock } = deps;
  const transportUntil =
    (untilMs: number, bytesMax: number) =>
    (request: BoundRequest): Promise<Result<HttpCallAnswer, HttpCallFailure>> =>
      calls.request({
        ...request,
        headers: { "user-agent": userAgent, accept: "*/*", ...request.headers },
        deadlineMs: Math.max(1, untilMs - clock.nowMs()),
        bytesMax,
      });
  // A token outlives the step that fetched it, so its fetch has a budget of its own.
  const authenticate = createAuthenticate({
    auth: manifest.auth,
    baseUrl,
    credentials,
    clock,
    transport: (request) => transportUntil(clock.nowMs() + tokenMsMax, answerBytesMax)(request),
  });

  const ask: Ask = async ({ template, bindings, untilMs, isList = false, adjust = (request) => request }) => {
    const bound = bindRequest(template, bindings, baseUrl, manifest.headers);
    if (!bound.ok) return err({ kind: "unfit", refusal: bound.error });
    const request = adjust(bound.value);
    const first = await authenticate(request);
    if (!first.ok) return failedToken(first.error);
    // With no time left a request would only be cut off on its way, and nobody would know.
    if (clock.nowMs() >= untilMs) return err({ kind: "unsent", detail: "no time was left to ask" });
    const send = transportUntil(untilMs, isList ? listBytesMax : answerBytesMax);
    let sent = await send(first.value.request);
    if (sent.ok && sent.value.status === 401 && first.value.drop !== undefined) {
      // What was refused for its token was not done, so it may be sent once more.
      first.value.drop();
      const second = await authenticate(request);
      if (!second.ok) return failedToken(second.error);
      sent = await send(second.value.request);
    }
    if (!sent.ok) return err({ kind: sent.error.kind, detail: credentials.conceal(sent.error.detail) });
    const answer = readAnswer(sent.value, template.answer ?? manifest.answer);
    return answer.ok ? answer : err({ kind: "unknown", detail: `HTTP ${sent.value.status}: ${answer.error}` });
  };

  /** `HTTP 409: rule exists`, for people: short, printable, and without what was said in confidence. */
  const wordsOf = (answer: Answer): string => {
    const words = manifest.message
      .flatMap((pointer) => valuesAt(answer.content, pointer))
      .find((found) => typeof found === "string" && found !== "");
    if (typeof words !== "string") return `HTTP ${answer.status}`;
    return `HTTP ${answer.status}: ${credentials
      .conceal(words.slice(0, 4_096))
      .replaceAll(/[\p{C}\s]+/gu, " ")
      .slice(0, 200)}`;
  };
  return { ask, wordsOf };
};

const tokenMsMax = 4_000;

const failedToken = (failure: TokenFailure): Result<never, AskFailure> => err(failure);

/** Why nothing was read; with what the far end says about when to ask again. */
export type ReadFailure = Refusal & { readonly status?: number; readonly retryAfterMs?: number };

/** Reading changes nothing, so a failed one is tried again, unless the answer was a clear no. */
export const failureOfRead = (failure: AskFailure): ReadFailure => {
  switch (failure.kind) {
    case "unfit":
      return failure.refusal;
    case "refused":
      return refusal("unauthorised", failure.detail);
    case "unsent": {
      const { detail, retryAfterMs: waitMs } = failure;
      return { ...refusal("unreachable", detail), ...(waitMs === undefined ? {} : { retryAfterMs: waitMs }) };
    }
    case "unknown":
      return refusal("unreachable", failure.detail);
  }
};

export const failureOfAnswer = ({ status, headers }: Answer, words: string, nowMs: number): ReadFailure => {
  if (status === 401 || status === 403) return { ...refusal("unauthorised", words), status };
  if (status >= 400 && status <= 499 && status !== 408 && status !== 429) {
    return { ...refusal("connector-refused", words), status };
  }
  const waitMs = retryAfterMs(headers, nowMs);
  return { ...refusal("unreachable", words), status, ...(waitMs === undefined ? {} : { retryAfterMs: waitMs }) };
};

/** For whoever takes a plain refusal. */
export const refusalOf = ({ code, detail }: ReadFailure): Refusal => ({ code, detail });
