import type { Refusal } from "@reflex/protocol/refusal";
import type { Result } from "@reflex/protocol/result";
import type { SiemDocument } from "./documents.ts";

/** What the mirror asks of a SIEM. An error says nothing about whether documents arrived: what was under way is asked after. */
export type Siem = {
  /** Sees to it that documents find the index templates; err: writing now would make indices of another shape. */
  readonly prepare: () => Promise<Result<void, Refusal>>;
  /** Which of these ids the stream holds, in whatever index behind it. */
  readonly held: (stream: string, ids: readonly string[]) => Promise<Result<ReadonlySet<string>, Refusal>>;
  /** One fate a document, in their order. */
  readonly create: (documents: readonly SiemDocument[]) => Promise<Result<readonly Fate[], Refusal>>;
  /** Puts templates and retention in place anew, one line of what became of each. */
  readonly install: () => Promise<Result<readonly string[], Refusal>>;
  readonly close: () => Promise<void>;
};

export type Fate =
  | { readonly kind: "stored" }
  /** Too busy, closed or not allowed just now. */
  | { readonly kind: "later"; readonly detail: string }
  /** This document, however often it is sent. */
  | { readonly kind: "refused"; readonly detail: string };
