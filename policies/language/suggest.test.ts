import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { fieldNames } from "./fields.ts";
import { durationText, parseDurationSeconds, parsePercent } from "./quantities.ts";
import { editDistance, nearestName } from "./suggest.ts";

describe("the nearest name", () => {
  test.each([
    ["confidance", "confidence"],
    ["sevrity", "severity"],
    ["Asset_Class", "asset.class"],
    ["rule-origin", "rule.origin"],
    ["agreemnet", "agreement"],
  ])("%s -> %s", (written, meant) => {
    expect(nearestName(written, fieldNames)).toBe(meant);
  });

  test("is none where nothing is near", () => {
    expect(nearestName("weather", fieldNames)).toBeUndefined();
    expect(nearestName("", fieldNames)).toBeUndefined();
    expect(nearestName("x".repeat(10_000), fieldNames)).toBeUndefined();
  });

  test("is found after any one slip in a long name", () => {
    const slip = fc.tuple(
      fc.constantFrom(...fieldNames.filter((name) => name.length > 8)),
      fc.nat(7),
      fc.constantFrom("drop", "swap", "put"),
    );
    fc.assert(
      fc.property(slip, ([name, at, kind]) => {
        const swapped = `${name.slice(0, at)}${name[at + 1] ?? ""}${name[at] ?? ""}${name.slice(at + 2)}`;
        const written =
          kind === "drop"
            ? name.slice(0, at) + name.slice(at + 1)
            : kind === "swap"
              ? swapped
              : `${name.slice(0, at)}q${name.slice(at)}`;
        const near = nearestName(written, fieldNames) ?? "";
        expect(editDistance(written.replaceAll(/[._]/g, ""), near.replaceAll(/[._]/g, ""))).toBeLessThanOrEqual(1);
      }),
    );
  });
});

describe("quantities", () => {
  test("a duration is written as it is read", () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 9_999_999 }),
        (seconds) => parseDurationSeconds(durationText(seconds)) === seconds,
      ),
    );
  });

  test.each([
    ["90s", 90],
    ["60m", 3_600],
    ["24h", 86_400],
    ["7d", 604_800],
    ["1 h", 3_600],
    ["1.5h", undefined],
    ["60", undefined],
    ["-1h", undefined],
    ["1H", undefined],
    ["1h30m", undefined],
  ])("%s", (text, seconds) => {
    expect(parseDurationSeconds(text)).toBe(seconds);
  });

  test.each([
    ["5%", 5],
    ["5 %", 5],
    ["0.5%", 0.5],
    ["100%", 100],
    ["101%", undefined],
    ["5", undefined],
    ["-5%", undefined],
  ])("%s", (text, percent) => {
    expect(parsePercent(text)).toBe(percent);
  });
});
