import Type from "typebox";

/**
 * The one list of expected failures. A code is stable for ever (it is in tokens, tables and dashboards);
 * the meaning says what happened, the remedy says what a person does about it.
 */
export const refusals = {
  // reading bytes
  "json-malformed": {
    meaning: "the bytes are not one JSON value",
    remedy: "send one JSON object per line or body, UTF-8",
  },
  "json-too-deep": { meaning: "JSON nests deeper than 16 levels", remedy: "flatten the record at the source" },
  "json-duplicate-key": {
    meaning: "an object names one key twice",
    remedy: "remove the second key; two readers would disagree about it",
  },
  "json-number": { meaning: "a number is NaN, infinite or beyond 2^53", remedy: "send large ids as strings" },
  "json-key": { meaning: "an object uses the key __proto__", remedy: "rename the key at the source" },
  "protobuf-malformed": {
    meaning: "the bytes are not one protobuf message of this kind",
    remedy: "encode with protocol/reflex.proto",
  },
  "text-malformed": { meaning: "the bytes are not valid UTF-8", remedy: "encode the record as UTF-8" },
  "too-large": {
    meaning: "the message is longer than its limit",
    remedy: "send less; limits are in protocol/limits.ts",
  },
  "schema-invalid": {
    meaning: "a field is missing or has the wrong type",
    remedy: "compare with the JSON Schema in protocol/schema",
  },
  // admitting a detection
  "format-unknown": {
    meaning: "no normaliser recognises the record",
    remedy: "name the format on the source, or add a normaliser",
  },
  "timestamp-malformed": { meaning: "the event time cannot be read", remedy: "send RFC 3339 with an offset" },
  "timestamp-absurd": {
    meaning: "the event time is before 2000 or in the future",
    remedy: "check the clock of the sensor",
  },
  stale: {
    meaning: "the detection is older than the freshness window",
    remedy: "act by hand; check the lag of the source",
  },
  "event-id-reused": {
    meaning: "an event_id came again with other content",
    remedy: "check the sensor: ids must be unique",
  },
  "entity-malformed": {
    meaning: "an entity is not a legal address, host, user or domain",
    remedy: "fix the mapping of the source",
  },
  // trusting
  "envelope-malformed": { meaning: "not a DSSE envelope", remedy: "sign with reflexctl" },
  "payload-type-wrong": {
    meaning: "a signature over another kind of message",
    remedy: "publish this message on its own channel",
  },
  "signature-invalid": {
    meaning: "no signature of a trusted key matches the bytes",
    remedy: "sign again; the bytes or the key are wrong",
  },
  "threshold-not-met": {
    meaning: "fewer distinct trusted keys signed than the role demands",
    remedy: "have another key holder sign",
  },
  "audience-wrong": {
    meaning: "the message is for another organisation, site or agent",
    remedy: "publish for this site",
  },
  "version-rollback": {
    meaning: "older than (or equal to) what was accepted before",
    remedy: "issue the old content under a higher version",
  },
  "hash-mismatch": {
    meaning: "the bytes are not the ones that were announced",
    remedy: "publish again; the transfer or store is damaged",
  },
  expired: { meaning: "past its expiry", remedy: "issue it again" },
  "self-test-failed": {
    meaning: "the bundle's own cases do not pass on this agent's engine",
    remedy: "run reflexctl policy test with the agent's version",
  },
  "self-test-timeout": {
    meaning: "the self-test ran out of time or memory",
    remedy: "make the bundle smaller; see protocol/limits.ts",
  },
  "bundle-invalid": {
    meaning: "signed, but not a legal bundle",
    remedy: "publish with reflexctl, which checks before signing",
  },
  "trust-missing": {
    meaning: "no trust document is pinned on this agent",
    remedy: "enrol the agent with a join token",
  },
  replayed: { meaning: "this signed message was accepted before", remedy: "none; repeated delivery is harmless" },
  // deciding
  "no-permit": {
    meaning: "no policy covers this detection (learning state)",
    remedy: "an analyst decides; a proposal may follow",
  },
  forbidden: {
    meaning: "a guard forbids this action here",
    remedy: "read the guard's why; change the policy by review",
  },
  "approval-required": { meaning: "a guard demands a human's consent", remedy: "approve or reject in the console" },
  "limit-exceeded": { meaning: "the action would exceed a limit", remedy: "act by hand or raise the limit by review" },
  "limit-unknown": {
    meaning: "a limit cannot be computed (unknown population or counter)",
    remedy: "complete the inventory",
  },
  "never-touch": { meaning: "the target is on the never-touch list", remedy: "act by hand if you must" },
  "target-unresolved": {
    meaning: "the target is not exactly one thing",
    remedy: "complete the inventory or fix the mapping",
  },
  contradiction: { meaning: "granted actions exclude each other", remedy: "an analyst chooses; fix the policies" },
  "too-many-candidates": { meaning: "more than 32 (action, target) pairs were granted", remedy: "narrow the permits" },
  "already-in-force": {
    meaning: "the same action on the same target is in force",
    remedy: "none; the lease is joined",
  },
  // brakes
  "kill-engaged": { meaning: "the kill switch is engaged", remedy: "release it with two keys when safe" },
  "no-bundle": { meaning: "no verified policy is active", remedy: "publish a bundle for this site" },
  "lease-lapsed": {
    meaning: "the controller was not heard within the lease",
    remedy: "restore the link; acting resumes by itself",
  },
  "circuit-open": {
    meaning: "too many failures or actions; automation pauses",
    remedy: "look at the connector, then close the circuit",
  },
  shadow: { meaning: "dry run: recorded what it would have done", remedy: "enforce when you trust it" },
  // acting
  "connector-unknown": {
    meaning: "no connector is configured for this action",
    remedy: "add a route and a connector for the site",
  },
  "connector-refused": {
    meaning: "the target system refused the call and nothing was applied",
    remedy: "read the detail; check rights and arguments",
  },
  "connector-failed": {
    meaning: "the call failed and nothing was applied",
    remedy: "check the target system; it was retried",
  },
  "connector-timeout": {
    meaning: "no answer: unknown whether it was applied",
    remedy: "none yet; it is verified before anything is repeated",
  },
  "verify-absent": { meaning: "the target system says the action is not in force", remedy: "check who removed it" },
  "verify-unknown": {
    meaning: "the target system cannot say whether the action is in force",
    remedy: "check the target system",
  },
  "undo-failed": {
    meaning: "the action could not be taken back",
    remedy: "undo by hand now, then mark it with reflexctl",
  },
  "illegal-transition": {
    meaning: "the life of a command does not allow this step",
    remedy: "report a bug; the command was left as it was",
  },
  // store and link
  "disk-full": {
    meaning: "the journal cannot be written; nothing is acted on",
    remedy: "free space; the agent resumes by itself",
  },
  "state-locked": {
    meaning: "another agent process uses this state folder",
    remedy: "stop the other process, or give this one a folder of its own",
  },
  "store-damaged": {
    meaning: "the journal on disk cannot be read",
    remedy: "move the state folder aside and start again; check by hand what this agent left in force",
  },
  "queue-full": {
    meaning: "more is waiting than the agent may hold",
    remedy: "slow the source; nothing was acknowledged",
  },
  "spool-full": {
    meaning: "the report spool is full; a gap record says what is missing",
    remedy: "restore the link to the controller",
  },
  "store-failed": {
    meaning: "the controller's database did not take it; nothing was stored",
    remedy: "check the database; it is sent again by itself",
  },
  unreachable: {
    meaning: "the other side could not be reached or stopped answering",
    remedy: "check address, network and certificate; it is tried again by itself",
  },
  unauthorised: { meaning: "the caller may not do this", remedy: "use a token or certificate with the role" },
  "not-found": { meaning: "no such thing", remedy: "check the id" },
  conflict: { meaning: "something newer is already there", remedy: "read it, then decide again" },
  // replay
  "token-altered": {
    meaning: "a section of the token does not match its digest",
    remedy: "fetch the token from the agent's or controller's chain",
  },
  "chain-broken": {
    meaning: "the token does not follow the one before it",
    remedy: "fetch the missing tokens; compare both chains",
  },
  "replay-differs": {
    meaning: "recomputing the decision gives another result",
    remedy: "compare the paths listed; keep the token as evidence",
  },
  "engine-unknown": {
    meaning: "the token was decided by another engine version",
    remedy: "replay with that version of reflexctl",
  },
} as const satisfies Record<string, { readonly meaning: string; readonly remedy: string }>;

export type RefusalCode = keyof typeof refusals;
export const RefusalCodeSchema = Type.Enum(Object.keys(refusals) as unknown as [RefusalCode, ...RefusalCode[]]);

/** A refusal with the detail a person needs: field path, file:line, observed and allowed value. Never raw input. */
export type Refusal = { readonly code: RefusalCode; readonly detail: string };

export const refusal = (code: RefusalCode, detail = ""): Refusal => ({ code, detail });
export const isRefusalCode = (value: string): value is RefusalCode => Object.hasOwn(refusals, value);
