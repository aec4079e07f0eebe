import { err, ok, type Result } from "./result.ts";

/**
 * The life of a command. `planned` is durable before anything leaves the agent; `sent` is durable before the call.
 * `confirmed` = the connector said yes; `in_force` = verified (or the connector cannot verify, and every screen says so).
 * Terminal: `undone`, `failed` (provably not applied), `handed_over` (a person took it over: it stays in force and the agent owes
 * nothing more). `stuck` is not: a human must look, and it stays listed until marked.
 */
export const commandStates = [
  "planned",
  "sent",
  "confirmed",
  "in_force",
  "undoing",
  "undone",
  "pending_verification",
  "failed",
  "stuck",
  "handed_over",
] as const;
export type CommandState = (typeof commandStates)[number];

export const commandEvents = [
  "send", // intent is durable, the call is about to be made
  "withheld", // the agent stopped before the call was made: back to the plan
  "withdraw", // a brake closed before the call; nothing was sent
  "applied", // the connector confirmed
  "refused", // the connector says nothing was applied, and repeating will not help
  "unknown", // time-out, lost connection or crash: applied or not, nobody knows
  "found", // verify: it is there
  "missing", // verify: it is not there
  "resend", // verified missing and allowed to try again
  "renew", // a longer lease: the far end is told the new time with the same key
  "undo", // deadline, early undo or release: the undo call is about to be made
  "taken_back", // undo confirmed (or verify: it is not there any more)
  "undo_unknown", // undo call failed or timed out; it is tried again
  "give_up", // bounded retries are used up
  "marked", // a human says it was undone by hand
  "hand_over", // a human takes it over as it stands
] as const;
export type CommandEvent = (typeof commandEvents)[number];

const life: Readonly<Record<CommandState, Readonly<Partial<Record<CommandEvent, CommandState>>>>> = {
  planned: { send: "sent", withdraw: "failed" },
  sent: { withheld: "planned", applied: "confirmed", refused: "failed", unknown: "pending_verification" },
  confirmed: { found: "in_force", missing: "failed", unknown: "pending_verification", undo: "undoing" },
  in_force: {
    undo: "undoing",
    missing: "undone",
    unknown: "pending_verification",
    renew: "sent",
    hand_over: "handed_over",
  },
  pending_verification: { found: "in_force", missing: "failed", resend: "sent", undo: "undoing", give_up: "stuck" },
  // A second undo is legal: undoing survives restarts and is simply tried again.
  undoing: { taken_back: "undone", undo_unknown: "undoing", undo: "undoing", give_up: "stuck" },
  stuck: { marked: "undone", taken_back: "undone", undo: "undoing" },
  undone: {},
  failed: {},
  handed_over: {},
};

/** The only function that moves a command. Anything not listed is illegal and leaves the command as it was. */
export const nextCommandState = (
  state: CommandState,
  event: CommandEvent,
): Result<CommandState, "illegal-transition"> => {
  const next = life[state][event];
  return next === undefined ? err("illegal-transition") : ok(next);
};

/** States in which something may be in force at the far end, so the agent owes an undo. */
export const owesUndo: ReadonlySet<CommandState> = new Set([
  "sent",
  "confirmed",
  "in_force",
  "pending_verification",
  "undoing",
  "stuck",
]);
export const isTerminal = (state: CommandState): boolean =>
  state === "undone" || state === "failed" || state === "handed_over";
