import { describe, expect, test } from "vitest";
import { runCase } from "./cases.ts";
import type { CaseName } from "./subject.ts";
import { toySubject } from "./subjects/toy.ts";
import type { ToyFlaw } from "./toy-connector.ts";

/** Each flaw a real connector had, and the case that must see it. */
const seenBy: Readonly<Record<ToyFlaw, CaseName>> = {
  "takes a time-out for a failure": "time-out after success",
  "takes 500 for a no": "5xx storm",
  "forgets to ask for a new token": "expired token refreshed",
  "guesses when verifying": "TLS name mismatch refused",
  "undoes everything": "others untouched",
  "undoes what was there before": "what was so before stays so",
  "fails to undo what is not there": "undo twice",
  "takes any target": "illegal targets refused",
  "lists everything": "lists ours alone",
  "ignores Retry-After": "429 waits as asked",
  "waits for ever": "slow body bounded",
  "tells its password": "secrets stay secret",
};

describe.concurrent("the kit sees a connector that", () => {
  for (const [flaw, name] of Object.entries(seenBy) as [ToyFlaw, CaseName][]) {
    test(`${flaw}: ${name}`, async () => {
      expect((await runCase(toySubject(flaw), name)).kind).toBe("fail");
    });
  }
});
