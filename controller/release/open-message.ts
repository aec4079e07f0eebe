import { type Envelope, openEnvelope, type PayloadKind, type VerifyEnvelopeDeps } from "@reflex/protocol/envelope";
import { parseJson } from "@reflex/protocol/json";
import { type Refusal, refusal } from "@reflex/protocol/refusal";
import { err, ok, type Result } from "@reflex/protocol/result";
import type { Trust } from "@reflex/protocol/trust";
import { type Check, checkEnvelope } from "@reflex/protocol/validate";

export type OpenDeps = VerifyEnvelopeDeps & { readonly textOf: (bytes: Uint8Array) => string | undefined };
export type Opened<T> = { readonly envelope: Envelope; readonly payload: Uint8Array; readonly value: T };

/** Bytes → envelope. Nothing in it is believed yet. */
export const readEnvelope = (deps: OpenDeps, bytes: Uint8Array, bytesMax: number): Result<Envelope, Refusal> => {
  if (bytes.length > bytesMax) return err(refusal("too-large", `${bytes.length} bytes, ${bytesMax} are allowed`));
  const value = readJson(deps, bytes);
  if (!value.ok) return value;
  const envelope = checkEnvelope(value.value);
  return envelope.ok ? envelope : err(refusal("envelope-malformed", envelope.error.detail));
};

/** Signatures first, content after: nothing is read that nobody vouches for. */
export const openMessage = <T>(
  deps: OpenDeps,
  envelope: Envelope,
  kind: PayloadKind,
  role: Trust["roles"][keyof Trust["roles"]],
  check: Check<T>,
): Result<Opened<T>, Refusal> => {
  const payload = openEnvelope(deps, envelope, kind, role);
  if (!payload.ok) return payload;
  const json = readJson(deps, payload.value);
  if (!json.ok) return json;
  const value = check(json.value);
  return value.ok ? ok({ envelope, payload: payload.value, value: value.value }) : value;
};

const readJson = (deps: OpenDeps, bytes: Uint8Array): Result<unknown, Refusal> => {
  const text = deps.textOf(bytes);
  return text === undefined ? err(refusal("text-malformed")) : parseJson(text);
};
