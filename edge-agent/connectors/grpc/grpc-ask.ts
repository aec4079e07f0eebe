import { type Refusal, refusal } from "@reflex/protocol/refusal";
import { err, ok, type Result } from "@reflex/protocol/result";
import type { Clock } from "../../ports.ts";
import type { Ask, AskFailure } from "../rest/ask.ts";
import { createAuthenticate } from "../rest/authenticate.ts";
import { bindValue } from "../rest/bind.ts";
import type { Credentials } from "../rest/credentials.ts";
import type { Manifest, RequestTemplate } from "../rest/manifest.ts";
import { valuesAt } from "../rest/pointer.ts";
import type { Answer } from "../rest/read-answer.ts";
import { callNameOf } from "./check-calls.ts";
import type { GrpcAnswer, GrpcCalls } from "./grpc-calls.ts";
import type { ProtoSet } from "./proto-set.ts";
import { statusNumberOf } from "./status-of.ts";

/** A table of rows comes in parts of some hundred; an answer about one thing is one message. */
const messagesMax = 1_000;
const bytesMax = 1024 * 1024;

/** Sends one call of a manifest. What a value holds fills a field and can do nothing else: messages are encoded, never written. */
export const createGrpcAsk = (deps: {
  readonly manifest: Manifest;
  readonly baseUrl: string;
  readonly credentials: Credentials;
  readonly calls: GrpcCalls;
  readonly protos: ProtoSet;
  readonly clock: Clock;
}): { readonly ask: Ask; readonly wordsOf: (answer: Answer) => string } => {
  const { manifest, baseUrl, credentials, calls, protos, clock } = deps;
  const authenticate = createAuthenticate({
    auth: manifest.auth,
    baseUrl,
    credentials,
    clock,
    transport: async () => err({ kind: "unsent", detail: "a gRPC connector fetches no tokens" }),
  });

  const metadata = async (): Promise<Result<Readonly<Record<string, string>>, AskFailure>> => {
    const signed = await authenticate({ method: "POST", url: baseUrl, headers: {} });
    return signed.ok ? ok(signed.value.request.headers) : signed;
  };

  const ask: Ask = async ({ template, bindings, untilMs }) => {
    const method = protos.method(callNameOf(template));
    if (!method.ok) return unfit(method.error);
    const message = bindValue(template.body?.kind === "json" ? template.body.value : nothing, bindings);
    if (!message.ok) return unfit(message.error);
    const fault = method.value.faultOf(message.value);
    if (fault !== undefined) return unfit(refusal("target-unresolved", fault));
    const signed = await metadata();
    if (!signed.ok) return signed;
    const sent = await calls.call({
      method: method.value,
      message: message.value as Readonly<Record<string, unknown>>,
      metadata: signed.value,
      deadlineMs: Math.max(1, untilMs - clock.nowMs()),
      messagesMax,
      bytesMax,
    });
    if (!sent.ok) return err({ ...sent.error, detail: credentials.conceal(sent.error.detail) });
    const status = statusNumberOf(sent.value.status);
    if (status === undefined) return err({ kind: "unknown", detail: credentials.conceal(sent.value.detail) });
    const content = contentOf(sent.value, template, method.value.isServerStream);
    if (!content.ok) return err({ kind: "unknown", detail: content.error });
    const { retryAfterMs } = sent.value;
    const headers = {
      [wordsHeader]: credentials.conceal(sent.value.detail),
      ...(retryAfterMs === undefined ? {} : { "retry-after": String(retryAfterMs / 1_000) }),
    };
    return ok({ status, headers, content: content.value, isXml: false });
  };

  /** `NOT_FOUND: no such host`, or the product's own words where the manifest says where they stand. */
  const wordsOf = (answer: Answer): string => {
    const said = answer.headers[wordsHeader] ?? "";
    const words = manifest.message
      .flatMap((pointer) => valuesAt(answer.content, pointer))
      .findLast((found) => typeof found === "string" && found !== "");
    if (typeof words !== "string") return said;
    const shown = credentials
      .conceal(words.slice(0, 4_096))
      .replaceAll(/[\p{C}\s]+/gu, " ")
      .slice(0, 200);
    return `${said}: ${shown}`;
  };
  return { ask, wordsOf };
};

const wordsHeader = "grpc-status-details";
const nothing = { kind: "map", entries: [] } as const;
const unfit = (why: Refusal): Result<never, AskFailure> => err({ kind: "unfit", refusal: why });

/** One message is the answer itself; a stream is `/messages`, and with `rows` what they hold together is `/rows`. */
const contentOf = (
  { messages }: GrpcAnswer,
  { rows: pointer }: RequestTemplate,
  isServerStream: boolean,
): Result<unknown, string> => {
  if (!isServerStream) return ok(messages[0]);
  if (pointer === undefined) return ok({ messages });
  const rows: unknown[] = [];
  for (const message of messages) {
    for (const part of valuesAt(message, pointer)) {
      if (part === "") continue;
      const read = rowsIn(part);
      if (read === undefined) return err(`what stands at ${pointer.text} is not a JSON list`);
      rows.push(...read);
    }
  }
  return ok({ messages, rows });
};

const rowsIn = (part: unknown): readonly unknown[] | undefined => {
  try {
    const read: unknown = JSON.parse(String(part));
    return Array.isArray(read) ? read : undefined;
  } catch {
    return undefined;
  }
};
