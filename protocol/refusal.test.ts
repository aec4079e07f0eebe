import { describe, expect, test } from "vitest";
import { isRefusalCode, refusal, refusals } from "./refusal.ts";

describe.each(Object.entries(refusals))("%s", (code, { meaning, remedy }) => {
  test("says what happened and what a person does about it", () => {
    expect(code).toMatch(/^[a-z]+(-[a-z]+)*$/);
    for (const text of [meaning, remedy]) {
      expect(text.length).toBeGreaterThanOrEqual(4);
      expect(text.length).toBeLessThanOrEqual(120);
      // Shown in the middle of a sentence, so without a capital letter or final stop of its own.
      expect(text).not.toMatch(/\.$|\n|\s\s|^\s/);
      expect(text).not.toMatch(/^[A-Z][a-z]/);
    }
    expect(remedy).not.toBe(meaning);
    expect(isRefusalCode(code)).toBe(true);
  });
});

test("no two codes mean the same", () => {
  const meanings = Object.values(refusals).map(({ meaning }) => meaning);
  expect(new Set(meanings).size).toBe(meanings.length);
});

test("names that every object has are no codes", () => {
  for (const name of ["constructor", "__proto__", "toString", "", "Stale"]) expect(isRefusalCode(name)).toBe(false);
  expect(refusal("stale")).toEqual({ code: "stale", detail: "" });
});
