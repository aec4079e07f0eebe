import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { killReaches, killScopeKey, strongerKillState } from "./kill.ts";

type State = { readonly epoch: number; readonly state: "engaged" | "armed" };
const anyState: fc.Arbitrary<State> = fc.record({
  // Few epochs, so that ties are common.
  epoch: fc.integer({ min: 1, max: 4 }),
  state: fc.constantFrom("engaged", "armed"),
});

describe("killed means killed: what is kept depends on what was heard, not on when", () => {
  test("either order, same state", () => {
    fc.assert(
      fc.property(anyState, anyState, (a, b) => {
        expect(strongerKillState(a, b)).toEqual(strongerKillState(b, a));
      }),
    );
  });
  test("any grouping, same state", () => {
    fc.assert(
      fc.property(anyState, anyState, anyState, (a, b, c) => {
        expect(strongerKillState(strongerKillState(a, b), c)).toEqual(strongerKillState(a, strongerKillState(b, c)));
      }),
    );
  });
  test("hearing it again changes nothing", () => {
    fc.assert(
      fc.property(anyState, (a) => {
        expect(strongerKillState(a, a)).toEqual(a);
      }),
    );
  });
  test("a replayed release never undoes a later kill, and at a tie engaged wins", () => {
    fc.assert(
      fc.property(fc.array(anyState, { minLength: 1, maxLength: 12 }), (heard) => {
        const kept = heard.reduce((a, b) => strongerKillState(a, b));
        const newest = Math.max(...heard.map((one) => one.epoch));
        expect(kept.epoch).toBe(newest);
        expect(kept.state === "engaged").toBe(heard.some((one) => one.epoch === newest && one.state === "engaged"));
      }),
    );
  });
});

describe("whom a kill reaches", () => {
  const agent = { org: "acme", site: "hq", agent: "a-1" };
  test.each([
    [{ org: "acme", site: "*", agent: "*" }, true],
    [{ org: "acme", site: "hq", agent: "*" }, true],
    [{ org: "acme", site: "hq", agent: "a-1" }, true],
    [{ org: "acme", site: "hq", agent: "a-2" }, false],
    [{ org: "acme", site: "branch", agent: "*" }, false],
    [{ org: "acme", site: "branch", agent: "a-1" }, false],
    [{ org: "other", site: "*", agent: "*" }, false],
  ])("%j: %s", (aud, reaches) => {
    expect(killReaches(aud, agent)).toBe(reaches);
  });
  test("two scopes never share a key", () => {
    const segment = fc.constantFrom("*", "a", "b", "a-b");
    const scope = fc.record({ org: segment, site: segment, agent: segment });
    fc.assert(
      fc.property(scope, scope, (a, b) => {
        expect(killScopeKey(a) === killScopeKey(b)).toBe(a.org === b.org && a.site === b.site && a.agent === b.agent);
      }),
    );
  });
});
