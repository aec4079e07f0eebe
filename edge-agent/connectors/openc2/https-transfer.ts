import { randomUUID } from "node:crypto";
import { type Refusal, refusal } from "@reflex/protocol/refusal";
import { err, ok, type Result } from "@reflex/protocol/result";
import type { Clock } from "../../ports.ts";
import type { HttpCallAnswer, HttpCalls } from "../http-call.ts";
import type { Secrets } from "../secrets-port.ts";
import { messageBytesMax, type OpenC2Command, type OpenC2Response, readAnswer, requestText } from "./message.ts";
import { exchangeMs, type Transfer, type TransferFailure } from "./transfer.ts";

export type HttpsTransferOptions = {
  /** `https://consumer.example:8443`; the path is the standard's. */
  readonly baseUrl: string;
  readonly producer: string;
  /** Reference to a bearer token, for a consumer that does not (only) know us by our certificate. */
  readonly bearer?: string;
  readonly callTimeoutMs?: number;
};
export type HttpsTransferDeps = { readonly http: HttpCalls; readonly secrets: Secrets; readonly clock: Clock };

const contentType = "application/openc2+json;version=1.0";
/** Specification for Transfer of OpenC2 Messages via HTTPS 1.1 §3.2.2. */
const path = "/.well-known/openc2";

export const createHttpsTransfer = (
  options: HttpsTransferOptions,
  { http, secrets, clock }: HttpsTransferDeps,
): Transfer => {
  const url = new URL(path, options.baseUrl).href;

  const exchange = async (command: OpenC2Command): Promise<Result<OpenC2Response, TransferFailure>> => {
    const requestId = randomUUID();
    const token = bearerToken();
    if (!token.ok) return err({ kind: "unsent", detail: token.error.detail });
    const answer = await http.request({
      method: "POST",
      url,
      headers: {
        "content-type": contentType,
        accept: contentType,
        "x-request-id": requestId,
        "cache-control": "no-cache",
        date: new Date(clock.nowMs()).toUTCString(),
        ...(token.value === undefined ? {} : { authorization: `Bearer ${token.value}` }),
      },
      body: requestText(command, { requestId, createdMs: clock.nowMs(), from: options.producer }),
      deadlineMs: options.callTimeoutMs ?? exchangeMs,
      bytesMax: messageBytesMax,
    });
    if (!answer.ok) return answer;
    const response = responseIn(answer.value, requestId);
    return response.ok ? ok(withoutToken(response.value, token.value)) : response;
  };

  const bearerToken = (): Result<string | undefined, Refusal> => {
    if (options.bearer === undefined) return ok(undefined);
    const secret = secrets.read(options.bearer);
    return secret.ok ? ok(secret.value.reveal()) : secret;
  };

  return {
    start: async () => {
      // Said at start, so that nobody finds out from a failed block that a secret is missing.
      const token = bearerToken();
      return token.ok ? ok(undefined) : err(refusal(token.error.code, token.error.detail));
    },
    exchange,
    stop: async () => http.close(),
  };
};

/** Servers repeat in their words what they were sent. */
const withoutToken = (response: OpenC2Response, token: string | undefined): OpenC2Response =>
  token === undefined || response.status_text === undefined
    ? response
    : { ...response, status_text: response.status_text.replaceAll(token, "[secret]") };

/** The consumer's own word counts; without one, only what a server says before it hands anything to a consumer. */
const responseIn = (answer: HttpCallAnswer, requestId: string): Result<OpenC2Response, TransferFailure> => {
  const { status, headers, bytes } = answer;
  const isOpenC2 = (headers["content-type"] ?? "").toLowerCase().startsWith("application/openc2+json");
  const read = isOpenC2 ? readAnswer(bytes) : undefined;
  if (read?.ok === true) {
    const echoed = read.value.requestId ?? headers["x-request-id"] ?? requestId;
    return echoed === requestId
      ? ok(read.value.response)
      : err({ kind: "unknown", detail: "the answer is to another command" });
  }
  if (status === 429) return err({ kind: "unsent", detail: "429 too many requests", ...retryAfter(headers) });
  if (turnsAway.has(status)) return err({ kind: "turned-away", detail: `${status} from the server, not the consumer` });
  return err({
    kind: "unknown",
    detail: read === undefined ? `${status} without an OpenC2 response` : `${status}: ${read.error.detail}`,
  });
};

/** Not 503: a proxy says it also when it lost a consumer that had already begun. */
const turnsAway: ReadonlySet<number> = new Set([400, 401, 403, 404, 405, 406, 411, 413, 415, 421, 426]);

const retryAfterMsMax = 600_000;
/** Seconds; the form with a date is left to the executor's own waiting. */
const retryAfter = (headers: HttpCallAnswer["headers"]): { readonly retryAfterMs?: number } => {
  const seconds = /^\d{1,6}$/.exec(headers["retry-after"] ?? "")?.[0];
  return seconds === undefined ? {} : { retryAfterMs: Math.min(Number(seconds) * 1_000, retryAfterMsMax) };
};
