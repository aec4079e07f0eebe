import type { Refusal } from "@reflex/protocol/refusal";
import type { Result } from "@reflex/protocol/result";
import type { TlsIdentity } from "./mqtt-link.ts";

/** One bounded HTTPS exchange; any status is an answer, only silence is a refusal. */
export type HttpRequest = {
  readonly method: "GET" | "POST";
  readonly url: string;
  readonly body?: Uint8Array;
  readonly headers?: Readonly<Record<string, string>>;
  /** Trust and identity; `cert` and `key` are absent before enrolment. */
  readonly tls: Pick<TlsIdentity, "ca"> & Partial<TlsIdentity>;
  /** The answer is cut off and refused beyond this. */
  readonly bytesMax: number;
  readonly deadlineMs: number;
};
export type HttpAnswer = { readonly status: number; readonly bytes: Uint8Array };
export type HttpClient = {
  readonly request: (request: HttpRequest) => Promise<Result<HttpAnswer, Refusal>>;
  /** Certificates that the server at `url` shows, leaf first, as PEM; nothing is believed and nothing is sent. */
  readonly chainOf: (url: string, deadlineMs: number) => Promise<Result<readonly string[], Refusal>>;
};
