import fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  type CommandEvent,
  type CommandState,
  commandEvents,
  commandStates,
  isTerminal,
  nextCommandState,
  owesUndo,
} from "./command-life.ts";

/** Every legal step, written out a second time: a change of the life of a command is a change here, seen in review. */
const steps: readonly string[] = [
  "planned send sent",
  "planned withdraw failed",
  "sent withheld planned",
  "sent applied confirmed",
  "sent refused failed",
  "sent unknown pending_verification",
  "confirmed found in_force",
  "confirmed missing failed",
  "confirmed unknown pending_verification",
  "confirmed undo undoing",
  "in_force undo undoing",
  "in_force missing undone",
  "in_force unknown pending_verification",
  "in_force renew sent",
  "in_force hand_over handed_over",
  "pending_verification found in_force",
  "pending_verification missing failed",
  "pending_verification resend sent",
  "pending_verification undo undoing",
  "pending_verification give_up stuck",
  "undoing taken_back undone",
  "undoing undo_unknown undoing",
  "undoing undo undoing",
  "undoing give_up stuck",
  "stuck marked undone",
  "stuck taken_back undone",
  "stuck undo undoing",
];

const pairs = commandStates.flatMap((state) => commandEvents.map((event) => [state, event] as const));
const after = (state: CommandState, event: CommandEvent): CommandState | undefined => {
  const next = nextCommandState(state, event);
  return next.ok ? next.value : undefined;
};
const reachableFrom = (start: CommandState, without: readonly CommandEvent[] = []): ReadonlySet<CommandState> => {
  const reached = new Set<CommandState>([start]);
  for (const state of reached) {
    for (const event of commandEvents) {
      const next = without.includes(event) ? undefined : after(state, event);
      if (next !== undefined) reached.add(next);
    }
  }
  return reached;
};

describe("the life of a command", () => {
  test.each(pairs)("%s, %s", (state, event) => {
    const listed = steps.filter((step) => step.startsWith(`${state} ${event} `)).map((step) => step.split(" ")[2]);
    expect(nextCommandState(state, event)).toEqual(
      listed.length === 1 ? { ok: true, value: listed[0] } : { ok: false, error: "illegal-transition" },
    );
  });

  test.each(commandStates.filter(isTerminal))("nothing moves a command out of %s", (state) => {
    expect(reachableFrom(state)).toEqual(new Set([state]));
  });

  test.each(commandStates.filter((state) => !isTerminal(state)))(
    "%s can come to an end, and to a person's eyes",
    (state) => {
      const reached = reachableFrom(state);
      expect([...reached].some(isTerminal)).toBe(true);
      if (owesUndo.has(state)) expect(reached).toContain("stuck");
    },
  );

  test("every lease is undone or reported stuck: what may be in force ends nowhere else", () => {
    for (const state of owesUndo) {
      if (state === "stuck") continue;
      // With an undo that never answers, only giving up is left, and that is seen.
      expect(reachableFrom(state, ["taken_back", "missing", "refused", "withheld", "marked", "hand_over"])).toContain(
        "stuck",
      );
    }
    expect(commandStates.filter((state) => !owesUndo.has(state))).toEqual([
      "planned",
      "undone",
      "failed",
      "handed_over",
    ]);
  });

  test("nothing is at the far end before `sent`, and only sending gets there", () => {
    expect(reachableFrom("planned", ["send"])).toEqual(new Set(["planned", "failed"]));
  });

  test("never act twice: a command is sent again only from where it was verified missing or in doubt, or to make its lease longer", () => {
    const intoSent = pairs.filter(([state, event]) => after(state, event) === "sent");
    expect(intoSent).toEqual([
      ["planned", "send"],
      ["in_force", "renew"],
      ["pending_verification", "resend"],
    ]);
  });

  test("any history of events keeps a state, and an illegal event leaves it as it was", () => {
    fc.assert(
      fc.property(fc.array(fc.constantFrom(...commandEvents), { maxLength: 40 }), (events) => {
        let state: CommandState = "planned";
        let ended = false;
        for (const event of events) {
          const next = nextCommandState(state, event);
          if (ended) expect(next.ok).toBe(false);
          if (next.ok) state = next.value;
          expect(commandStates).toContain(state);
          ended = isTerminal(state);
        }
      }),
      { numRuns: 1_000 },
    );
  });
});
