import { expect, test } from "vitest";
import { describeBreach } from "./describe-breach.ts";
import { type RunReport, simulate } from "./simulate.ts";

/** Short lives with much in them; `npm run simulate` runs long ones by the thousand. */
const minutes = 12;
/** Seeds that once broke a guarantee stay here for ever, each with what it found. */
const seeds = [
  1, // a use of a limit was dated by its last step: after a clock had gone back, the cap did not hold
  155, // an early undo that was not on the disk: after a kill -9 the lease was applied again
  2063, // a call that outlived its agent stayed in force for ever
  ...Array.from({ length: 24 }, (_, index) => 100 + index),
];

test("whatever fails, in whatever order, no guarantee of the design is broken", async () => {
  const reports: RunReport[] = [];
  for (const seed of seeds) reports.push(await simulate({ seed, minutes }));
  const broken = reports.filter(({ breaches }) => breaches.length > 0);
  expect(broken.map((report) => describeBreach(report, minutes)).join("\n")).toBe("");

  // The worlds did act, fail and recover: otherwise all of the above says nothing.
  const countOf = (what: string): number => reports.reduce((sum, { counts }) => sum + (counts.get(what) ?? 0), 0);
  expect(countOf("effects")).toBeGreaterThan(100);
  expect(countOf("fate: decided")).toBeGreaterThan(500);
  expect(countOf("crashes")).toBeGreaterThan(50);
  expect(countOf("clean stops")).toBeGreaterThan(5);
});

test("one seed is one history", async () => {
  const hashes = [];
  for (const seed of [7, 7, 8, 7]) hashes.push((await simulate({ seed, minutes: 6 })).storyHash);
  const [first, second, other, third] = hashes;
  expect(second).toBe(first);
  expect(third).toBe(first);
  expect(other).not.toBe(first);
});
