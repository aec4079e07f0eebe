import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { callOf, connectorOf, textOfBody } from "./rest-fixture.ts";

const user = `
manifest: 1
name: directory
about: a directory
auth: none
actions:
  disable_user:
    targets: [user]
    resolve:
      request: { method: GET, path: [users], query: { name: $target.value } }
      items: /users
      where: { /name: { same_name: $target.value } }
      id: /id
      label: /name
      also: { user: [/name, /mail] }
      then: { request: { method: GET, path: [users, $resolved.id, groups] }, groups: "/*/name" }
    capture: { request: { method: GET, path: [users, $resolved.id] }, keep: { was_off: { when: { where: { /enabled: false } } }, shift: /shift } }
    apply: { unless: { $captured.was_off: true }, request: { method: PATCH, path: [users, $resolved.id], json: { enabled: false } } }
    verify: { request: { method: GET, path: [users, $resolved.id] }, present: { where: { /enabled: false } }, absent: { where: { /enabled: true } } }
    undo: { unless: { $captured.was_off: true }, request: { method: PATCH, path: [users, $resolved.id], json: { enabled: true, shift: $captured.shift } } }
`;

describe("a target is exactly one thing there", () => {
  const target = { type: "user", value: "Ada" } as const;
  const resolved = async (users: unknown, groups: unknown = [{ name: "staff" }, { name: "admins" }]) =>
    connectorOf(user, ({ url }) => ({ json: url.endsWith("/groups") ? groups : { users } })).connector.resolve?.(
      callOf({ action: "disable_user", target }),
    );

  test("one of that name, with everything it is called and belongs to", async () => {
    expect(
      await resolved([
        { id: 7, name: "ada", mail: "ada@corp.example" },
        { id: 8, name: "adam" },
      ]),
    ).toEqual({
      ok: true,
      value: {
        id: "7",
        label: "ada",
        entities: [
          { type: "user", value: "ada" },
          { type: "user", value: "ada@corp.example" },
        ],
        groups: ["staff", "admins"],
      },
    });
  });

  test("none, two, one without an id", async () => {
    for (const users of [
      [],
      [
        { id: 1, name: "Ada" },
        { id: 2, name: "ada" },
      ],
      [{ name: "Ada" }],
    ]) {
      expect(await resolved(users)).toMatchObject({ ok: false, error: { code: "target-unresolved" } });
    }
  });

  test("without an answer about its groups nobody can say that it may be touched", async () => {
    const { connector } = connectorOf(user, ({ url }) =>
      url.endsWith("/groups") ? { status: 500 } : { json: { users: [{ id: 1, name: "Ada" }] } },
    );
    expect(await connector.resolve?.(callOf({ action: "disable_user", target }))).toMatchObject({
      ok: false,
      error: { code: "unreachable" },
    });
  });

  test("what was never resolved is neither done nor undone", async () => {
    const { connector, asked } = connectorOf(user, () => ({ status: 200 }));
    const call = callOf({ action: "disable_user", target });
    expect(await connector.apply(call)).toMatchObject({ kind: "refused", code: "target-unresolved" });
    expect(await connector.undo(call)).toMatchObject({ kind: "undone" });
    expect(asked).toHaveLength(0);
  });
});

test("undo restores exactly what was before: any state, and nothing that was so already", async () => {
  const state = fc.record({
    enabled: fc.boolean(),
    shift: fc.oneof(fc.string(), fc.integer(), fc.boolean(), fc.constant(null)),
  });
  await fc.assert(
    fc.asyncProperty(state, async (before) => {
      let now: Record<string, unknown> = { ...before };
      const { connector } = connectorOf(user, (call) => {
        if (call.method === "PATCH") now = { ...now, ...(JSON.parse(textOfBody(call)) as Record<string, unknown>) };
        return { json: now };
      });
      const target = { type: "user", value: "ada" } as const;
      const call = callOf({
        action: "disable_user",
        target,
        resolved: { id: "7", label: "ada", entities: [], groups: [] },
      });
      const captured = await connector.captureUndo(call);
      if (!captured.ok) return false;
      const full = { ...call, undoData: captured.value };
      expect((await connector.apply(full)).kind).toBe("applied");
      expect((await connector.verify(full)).kind).toBe("present");
      expect((await connector.undo(full)).kind).toBe("undone");
      expect((await connector.undo(full)).kind).toBe("undone");
      expect(now).toEqual(before);
      return true;
    }),
    { numRuns: 200 },
  );
});

test("undo data that is lost leaves the undo to be tried again, not done wrong", async () => {
  const { connector, asked } = connectorOf(user, () => ({ status: 200 }));
  const call = callOf({
    action: "disable_user",
    target: { type: "user", value: "a" },
    resolved: { id: "7", label: "a", entities: [], groups: [] },
  });
  for (const undoData of ["", "{", "null", '{"captured":{}}'])
    expect((await connector.undo({ ...call, undoData })).kind).toBe("retry");
  expect(asked).toHaveLength(0);
});
