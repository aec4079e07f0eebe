import { readFileSync } from "node:fs";
import { entityTypes } from "@reflex/protocol/entity";
import { checkDetection } from "@reflex/protocol/validate";
import fc from "fast-check";
import { expect, test } from "vitest";
import { defaultHomeNets } from "../address.ts";
import { type JsonFormat, normalisers } from "./recognise.ts";

/** A place in a record and what it becomes there. */
type Mutation = { readonly path: readonly number[]; readonly value: unknown };

const hostileText = fc.oneof(
  fc.constantFrom(
    "",
    " ",
    "-",
    "\u0000",
    "\u202e",
    "\ud800",
    "__proto__",
    "0.0.0.0",
    "::ffff:1.2.3.4",
    "999.1.1.1",
    "<a>",
    "1e9",
  ),
  fc.constantFrom("x".repeat(4_000), "[**] [1:2:3] ".repeat(400), "9".repeat(400), "2026-03-01T10:00:00"),
  fc.string({ unit: "binary", maxLength: 40 }),
);
const hostile: fc.Arbitrary<unknown> = fc.oneof(
  { weight: 4, arbitrary: hostileText },
  fc.constantFrom(null, true, 0, -1, 1e308, 2 ** 53, -0, [], {}),
  fc.array(hostileText, { maxLength: 4 }),
  fc.constant(Array.from({ length: 300 }, (_, index) => `tag-${index}`)),
  fc.dictionary(fc.constantFrom("ip", "id", "name", "level", "severity", "metadata", "__proto__", "x"), hostileText),
);
const mutation: fc.Arbitrary<Mutation> = fc.record({
  path: fc.array(fc.nat({ max: 30 }), { minLength: 1, maxLength: 4 }),
  value: hostile,
});

const isContainer = (value: unknown): value is Record<string, unknown> => typeof value === "object" && value !== null;

/** Follows the path as far as there are containers, then replaces what is there. */
const mutate = (record: unknown, { path, value }: Mutation): unknown => {
  if (!isContainer(record)) return value;
  let at = record;
  for (const [depth, step] of path.entries()) {
    const keys = Object.keys(at);
    const key = keys[step % Math.max(1, keys.length)];
    if (key === undefined) return record;
    const next = at[key];
    if (depth === path.length - 1 || !isContainer(next)) {
      at[key] = value;
      return record;
    }
    at = next;
  }
  return record;
};

const seed = 20_260_301;

for (const format of ["native", "suricata", "wazuh"] as const satisfies readonly JsonFormat[]) {
  const file = new URL(`../fixtures/${format}.json`, import.meta.url);
  const texts = (JSON.parse(readFileSync(file, "utf8")) as { record: unknown }[]).map(({ record }) =>
    JSON.stringify(record),
  );

  test(`${format}: 100 000 mutated records never throw, and what becomes a detection is a legal one (seed ${seed})`, () => {
    const kinds = { detection: 0, not_detection: 0, dead_letter: 0 };
    fc.assert(
      fc.property(fc.constantFrom(...texts), fc.array(mutation, { minLength: 1, maxLength: 4 }), (text, mutations) => {
        const value = mutations.reduce<unknown>(mutate, JSON.parse(text));
        const normalised = normalisers[format](value, { homeNets: defaultHomeNets });
        kinds[normalised.kind] += 1;
        if (normalised.kind !== "detection") return;
        const checked = checkDetection(normalised.detection);
        if (!checked.ok) throw new Error(checked.error.detail);
        for (const { type, value: entity } of normalised.detection.entities) {
          if (!entityTypes.includes(type) || /\p{Cc}|\p{Cf}/u.test(entity)) throw new Error(`entity ${type}`);
        }
      }),
      { numRuns: 100_000, seed },
    );
    // A run in which one fate never came up would prove nothing about it.
    expect(kinds.detection).toBeGreaterThan(1_000);
    expect(kinds.dead_letter).toBeGreaterThan(1_000);
    if (format !== "native") expect(kinds.not_detection).toBeGreaterThan(100);
  });
}
