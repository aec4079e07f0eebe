import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { afterEach, beforeEach, expect, test } from "vitest";
import { openMarks } from "./marks.ts";

let folder = "";
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "reflex-marks-"));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

const raise = (values: Record<string, number>): void => {
  expect(openMarks(folder).raise(values).ok).toBe(true);
};
const slot = fc.constantFrom("marks.a", "marks.b");

test("a copy cut or changed anywhere loses nothing: its twin holds the same newest marks", () => {
  raise({ bundle: 6 });
  raise({ bundle: 7, weights: 3, "kill:site": 12 });
  const newest = { bundle: 7, weights: 3, "kill:site": 12 };
  fc.assert(
    fc.property(slot, fc.nat(), fc.integer({ min: 1, max: 255 }), fc.boolean(), (name, at, flip, isCut) => {
      const path = join(folder, name);
      const whole = readFileSync(path);
      const index = at % whole.length;
      const damaged = isCut ? whole.subarray(0, index) : Buffer.from(whole);
      if (!isCut) damaged[index] = (damaged[index] ?? 0) ^ flip;
      writeFileSync(path, damaged);
      expect(openMarks(folder).values()).toEqual(newest);
      writeFileSync(path, whole);
    }),
    { numRuns: 400 },
  );
});

test("a write torn at any byte leaves the marks before it or the marks after it, never less", () => {
  raise({ bundle: 1 });
  const before = readFileSync(join(folder, "marks.b"));
  raise({ bundle: 2 });
  const after = readFileSync(join(folder, "marks.a"));
  for (let cut = 0; cut <= after.length; cut += 1) {
    writeFileSync(join(folder, "marks.a"), after.subarray(0, cut));
    writeFileSync(join(folder, "marks.b"), before);
    expect(openMarks(folder).values()).toEqual({ bundle: cut === after.length ? 2 : 1 });
    // The next rise repairs the torn copy.
    raise({ bundle: 3 });
    expect(readFileSync(join(folder, "marks.a"))).toEqual(readFileSync(join(folder, "marks.b")));
  }
});

test("marks only rise", () => {
  fc.assert(
    fc.property(
      fc.array(fc.dictionary(fc.constantFrom("bundle", "weights", "head"), fc.nat(50)), { maxLength: 8 }),
      (raises) => {
        rmSync(folder, { recursive: true, force: true });
        const marks = openMarks(folder);
        const highest: Record<string, number> = {};
        for (const values of raises) {
          marks.raise(values);
          for (const [key, value] of Object.entries(values)) highest[key] = Math.max(highest[key] ?? 0, value);
          expect(openMarks(folder).values()).toEqual(highest);
        }
      },
    ),
    { numRuns: 60 },
  );
});

test("both copies lost is amnesia, said as such and not as zero", () => {
  expect(openMarks(folder).values()).toBeUndefined();
  raise({ bundle: 4 });
  for (const name of ["marks.a", "marks.b"]) writeFileSync(join(folder, name), "00000000 {}\n");
  expect(openMarks(folder).values()).toBeUndefined();
});
