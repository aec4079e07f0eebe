import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { callOf, connectorOf, type FarEnd, textOfBody } from "./rest-fixture.ts";

/** A firewall group as FortiGate and pfSense have it: read all members, write all members. */
const manifest = (guard: string): string => `
manifest: 1
name: group
about: an address group that is written as a whole
auth: none
actions:
  block_ip:
    targets: [address]
    apply:
      read: { request: { method: GET, path: [group] }, keep: { members: "/members/*", version: /version } }
      guarded: ${guard}
      request: { method: PUT, path: [group], json: { version: $read.version, members: { add: $target.value, to: $read.members } } }
    verify: { request: { method: GET, path: [group] }, present: { where: { "/members/*": $target.value } }, absent: { where: { "/members/*": { not: $target.value } } } }
    undo:
      read: { request: { method: GET, path: [group] }, keep: { members: "/members/*", version: /version } }
      guarded: ${guard}
      request: { method: PUT, path: [group], json: { version: $read.version, members: { remove: $target.value, from: $read.members } } }
`;
const guards = {
  etag: "{ etag: true }",
  revision: "{ revision: $read.version, lost: { status: 409, where: { /error: stale } } }",
} as const;

/** The group, with somebody else who may write between any two of our requests. */
const group = (guard: keyof typeof guards, meanwhile: (step: number) => string | undefined) => {
  let version = 1;
  const members = new Set(["198.51.100.1"]);
  let step = 0;
  const farEnd: FarEnd = (call) => {
    const foreign = meanwhile(step);
    step += 1;
    if (foreign !== undefined && !members.has(foreign)) {
      members.add(foreign);
      version += 1;
    }
    if (call.method === "GET") return { json: { version, members: [...members] }, headers: { etag: `"${version}"` } };
    const asked = JSON.parse(textOfBody(call)) as { version: number; members: string[] };
    if (guard === "etag" && call.headers["if-match"] !== `"${version}"`) return { status: 412 };
    if (guard === "revision" && asked.version !== version) return { status: 409, json: { error: "stale" } };
    members.clear();
    for (const member of asked.members) members.add(member);
    version += 1;
    return { status: 200 };
  };
  return { farEnd, members };
};

describe.each(Object.keys(guards) as (keyof typeof guards)[])("a whole list guarded by %s", (guard) => {
  test("no entry of another writer is lost, wherever it comes in between, and ours are there in the end", async () => {
    const writes = fc.array(fc.option(fc.nat(200), { nil: undefined }), { maxLength: 24 });
    await fc.assert(
      fc.asyncProperty(writes, fc.uniqueArray(fc.nat(200), { minLength: 1, maxLength: 3 }), async (foreign, ours) => {
        const { farEnd, members } = group(guard, (step) =>
          foreign[step] === undefined ? undefined : `192.0.2.${foreign[step]}`,
        );
        const { connector } = connectorOf(manifest(guards[guard]), farEnd);
        const calls = ours.map((last) => callOf({ target: { type: "address", value: `203.0.113.${last}` } }));
        const untilDone = async (change: () => Promise<{ readonly kind: string }>, done: string): Promise<void> => {
          for (let tries = 0; tries < 60; tries += 1) {
            const { kind } = await change();
            if (kind === done) return;
            expect(kind).toBe("retry");
          }
          throw new Error("never done");
        };
        await Promise.all(calls.map((call) => untilDone(() => connector.apply(call), "applied")));
        for (const call of calls) expect((await connector.verify(call)).kind).toBe("present");
        await Promise.all(calls.map((call) => untilDone(() => connector.undo(call), "undone")));
        for (const call of calls) expect((await connector.verify(call)).kind).toBe("absent");
        const theirs = foreign.flatMap((last) => (last === undefined ? [] : [`192.0.2.${last}`]));
        // Some of theirs may come with a step that was never reached.
        const reached = theirs.filter((one) => members.has(one));
        expect([...members].sort()).toEqual(["198.51.100.1", ...new Set(reached)].sort());
        return true;
      }),
      { numRuns: 200 },
    );
  });

  test("an entry written between our reading and our writing survives", async () => {
    const { farEnd, members } = group(guard, (step) => (step === 1 ? "192.0.2.77" : undefined));
    const { connector } = connectorOf(manifest(guards[guard]), farEnd);
    expect((await connector.apply(callOf())).kind).toBe("retry");
    expect([...members]).toEqual(["198.51.100.1", "192.0.2.77"]);
    expect((await connector.apply(callOf())).kind).toBe("applied");
    expect([...members]).toEqual(["198.51.100.1", "192.0.2.77", "203.0.113.9"]);
  });

  test("our own changes take turns, so that only others can be faster", async () => {
    const { farEnd, members } = group(guard, () => undefined);
    const { connector } = connectorOf(manifest(guards[guard]), farEnd);
    const calls = Array.from({ length: 20 }, (_, last) =>
      callOf({ target: { type: "address", value: `203.0.113.${last}` } }),
    );
    const outcomes = await Promise.all(calls.map((call) => connector.apply(call)));
    expect(outcomes.every(({ kind }) => kind === "applied")).toBe(true);
    expect(members.size).toBe(21);
  });
});

test("a product that gives no ETag after all is not written to", async () => {
  for (const etag of [undefined, "", 'W/"1"']) {
    const { connector, asked } = connectorOf(manifest(guards.etag), () => ({
      json: { version: 1, members: [] },
      headers: etag === undefined ? {} : { etag },
    }));
    expect(await connector.apply(callOf())).toMatchObject({ kind: "refused", code: "connector-refused" });
    expect(asked.every(({ method }) => method === "GET")).toBe(true);
  }
});
