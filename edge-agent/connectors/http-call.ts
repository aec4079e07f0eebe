import type { Result } from "@reflex/protocol/result";

/** One bounded exchange with a target system; any status is an answer. Redirects are answers too: nobody follows them. */
export type HttpCall = {
  readonly method: string;
  readonly url: string;
  /** Names in lower case; `host` and `content-length` come from the URL and the body. */
  readonly headers: Readonly<Record<string, string>>;
  readonly body?: Uint8Array | string;
  /** From asking to the last byte of the answer. */
  readonly deadlineMs: number;
  /** A longer answer is cut off, and the outcome unknown. */
  readonly bytesMax: number;
};

/** Header names in lower case. */
export type HttpCallAnswer = {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly bytes: Uint8Array;
};

/** `unsent`: provably no byte of the request left this machine. `unknown`: it may have been read and acted on. */
export type HttpCallFailure = { readonly kind: "unsent" | "unknown"; readonly detail: string };

export type HttpCalls = {
  readonly request: (call: HttpCall) => Promise<Result<HttpCallAnswer, HttpCallFailure>>;
  /** Ends what is open and idle. */
  readonly close: () => void;
};
