import { type Refusal, refusal } from "@reflex/protocol/refusal";
import { err, type Result } from "@reflex/protocol/result";
import type { Trust } from "@reflex/protocol/trust";
import { checkTrust } from "@reflex/protocol/validate";
import { type OpenDeps, type Opened, openMessage, readEnvelope } from "./open-message.ts";

/** A few dozen keys. */
export const trustBytesMax = 256 * 1024;

/**
 * A trust document: the first is believed because whoever installs the controller hands it over; each later one must be
 * signed by the root keys before it and by its own (TUF §5.3.4), and follow by one.
 */
export const acceptTrust = (
  deps: OpenDeps,
  org: string,
  bytes: Uint8Array,
  current: Trust | undefined,
): Result<Opened<Trust>, Refusal> => {
  const envelope = readEnvelope(deps, bytes, trustBytesMax);
  if (!envelope.ok) return envelope;
  const claimed = claimedRoot(envelope.value.payload);
  if (claimed === undefined) return err(refusal("schema-invalid", "no root role in the trust document"));
  const own = openMessage(deps, envelope.value, "trust", claimed, checkTrust);
  if (!own.ok) return own;
  const { value } = own.value;
  if (value.org !== org) return err(refusal("audience-wrong", `the trust document is for ${value.org}`));
  if (current === undefined) return own;
  const byFormer = openMessage(deps, envelope.value, "trust", current.roles.root, checkTrust);
  if (!byFormer.ok) return byFormer;
  if (value.version !== current.version + 1)
    return err(refusal("version-rollback", `version ${value.version} does not follow ${current.version}`));
  return own;
};

/** The document's own root role, needed before anything in it can be verified; it must then vouch for itself. */
const claimedRoot = (payload: string): Trust["roles"]["root"] | undefined => {
  try {
    const checked = checkTrust(JSON.parse(Buffer.from(payload, "base64").toString("utf8")));
    return checked.ok ? checked.value.roles.root : undefined;
  } catch {
    return undefined;
  }
};
