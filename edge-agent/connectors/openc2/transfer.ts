import type { Refusal } from "@reflex/protocol/refusal";
import type { Result } from "@reflex/protocol/result";
import type { OpenC2Command, OpenC2Response } from "./message.ts";

/** One command to one consumer, one answer back, over HTTPS or MQTT. Nothing is repeated here. */
export type Transfer = {
  readonly start: () => Promise<Result<void, Refusal>>;
  readonly exchange: (command: OpenC2Command) => Promise<Result<OpenC2Response, TransferFailure>>;
  readonly stop: () => Promise<void>;
};

export type TransferFailure =
  /** Provably nobody got it. */
  | { readonly kind: "unsent"; readonly detail: string; readonly retryAfterMs?: number }
  /** What stands before the consumer turned it away for good: rights, address, form. */
  | { readonly kind: "turned-away"; readonly detail: string }
  /** It may have been carried out. */
  | { readonly kind: "unknown"; readonly detail: string };

/** The executor gives a call five seconds; one that ends a little earlier can say why. */
export const exchangeMs = 4_500;
