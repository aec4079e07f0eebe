import type { Decision } from "@reflex/protocol/decision";
import type { Detection } from "@reflex/protocol/detection";
import type { Context, Token, TokenDigests, TokenHeader } from "@reflex/protocol/token";
import { decisionText } from "./decision-text.ts";
import { engine } from "./engine.ts";
import type { CutSlice } from "./slice.ts";

/** Lower-case hex SHA-256 of the UTF-8 bytes; handed in, because this package computes nothing that hardware does better. */
export type Sha256Hex = (text: string) => string;

export type SealInput = {
  /** `decided_at` is the time `decide` was given, or a replay looks again at another moment. */
  readonly header: Omit<TokenHeader, "v" | "engine">;
  readonly detection: Detection;
  /** With `limits` as `decide` read them. */
  readonly context: Context;
  readonly slice: CutSlice;
  readonly decision: Decision;
  /** Hash of the token before; `firstPrevious` for the first. */
  readonly previous: string;
};

/** Each section is serialised once and hashed as written; `json` is the token's bytes, `token` the same as an object. */
export const sealToken = (input: SealInput, sha256Hex: Sha256Hex): { readonly token: Token; readonly json: string } => {
  const { org, site, agent, sequence, decided_at, bundle, weights } = input.header;
  const header: TokenHeader = { v: 1, org, site, agent, sequence, engine, decided_at, bundle, weights };
  const headerJson = JSON.stringify(header);
  const detectionJson = JSON.stringify(input.detection);
  const contextJson = JSON.stringify(input.context);
  const decisionJson = decisionText(input.decision);
  const digests: TokenDigests = {
    header: sha256Hex(headerJson),
    detection: sha256Hex(detectionJson),
    context: sha256Hex(contextJson),
    slice: sha256Hex(input.slice.json),
    decision: sha256Hex(decisionJson),
  };
  const { previous } = input;
  const hash = chainHash(previous, digests, sha256Hex);
  const json = `{"header":${headerJson},"detection":${detectionJson},"context":${contextJson},"slice":${input.slice.json},"decision":${decisionJson},"digests":{"header":"${digests.header}","detection":"${digests.detection}","context":"${digests.context}","slice":"${digests.slice}","decision":"${digests.decision}"},"previous":"${previous}","hash":"${hash}"}`;
  const { detection, context, decision } = input;
  return { token: { header, detection, context, slice: input.slice.value, decision, digests, previous, hash }, json };
};

/** SHA-256 over `previous` and the digests, in the order written, joined by newlines. */
export const chainHash = (previous: string, digests: TokenDigests, sha256Hex: Sha256Hex): string =>
  sha256Hex(
    `${previous}\n${digests.header}\n${digests.detection}\n${digests.context}\n${digests.slice}\n${digests.decision}`,
  );
