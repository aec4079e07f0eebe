import type { KillState } from "@reflex/protocol/kill";
import { type Refusal, refusal } from "@reflex/protocol/refusal";
import { err, ok, type Result } from "@reflex/protocol/result";
import type { Trust } from "@reflex/protocol/trust";
import { checkKillState } from "@reflex/protocol/validate";
import { type OpenDeps, type Opened, openMessage, readEnvelope } from "./open-message.ts";

export const killBytesMax = 16 * 1024;

/** Engaging needs one key of the kill role, releasing as many as the trust document says. */
export const acceptKill = (deps: OpenDeps, trust: Trust, bytes: Uint8Array): Result<Opened<KillState>, Refusal> => {
  const envelope = readEnvelope(deps, bytes, killBytesMax);
  if (!envelope.ok) return envelope;
  const engage = openMessage(deps, envelope.value, "kill", trust.roles.kill, checkKillState);
  if (!engage.ok) return engage;
  const { value } = engage.value;
  if (value.aud.org !== trust.org) return err(refusal("audience-wrong", `the kill is for ${value.aud.org}`));
  if (value.state === "engaged") return ok(engage.value);
  return openMessage(
    deps,
    envelope.value,
    "kill",
    { keys: trust.roles.kill.keys, threshold: trust.kill_release_threshold },
    checkKillState,
  );
};
