import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import { createWorld, org, patientMs, site, starterPolicies, until, untilTrue } from "../world.ts";
import { acting, detection } from "./detections.ts";

vi.setConfig(patientMs);

type DecisionRow = { readonly decision_id: string; readonly verdict: string; readonly event_id: string };
type Finding = { readonly code: string; readonly path: string };

const world = createWorld("decisions");
const json = async <T>(...args: readonly string[]): Promise<T> => {
  const ended = await world.reflexctl(...args, "--json");
  expect(ended.code, ended.stderr).toBe(0);
  return JSON.parse(ended.stdout) as T;
};
let acted: DecisionRow;
let tokenText = "";
const target = "198.51.100.177";

beforeAll(async () => {
  await world.startController();
  const bundle = join(world.folder, "bundle.json");
  const sign = ["bundle", "sign", starterPolicies, "--org", org, "--site", site, "--version", "1", "--out", bundle];
  await world.reflexctl(...sign, "--key", world.key("release-1"), "--key", world.key("release-2"));
  expect((await world.reflexctl("bundle", "publish", bundle)).code).toBe(0);
  await world.startAgent();
  await world.send(acting("shown-act", target));
  await world.send(
    detection("shown-hold", {
      tags: [],
      rule: { id: "odd", name: "Nobody knows \u001b[31mthis\u0007", origin: "anomaly" },
    }),
  );
  await world.send('{"event_id":"twice","event_id":"twice"}');
  const rows = await until("both decisions are stored", async () => {
    const found = await json<DecisionRow[]>("decisions", "list");
    return found.length === 2 ? found : undefined;
  });
  acted = rows.find((row) => row.event_id === "shown-act") as DecisionRow;
  tokenText = (await world.reflexctl("decisions", "show", acted.decision_id, "--json")).stdout.trimEnd();
});
afterAll(() => world.close());

describe("7. what was decided can be asked, and proven", () => {
  test("7.1 decisions list, narrowed by verdict", async () => {
    expect(acted.verdict).toBe("act");
    expect(
      (await json<DecisionRow[]>("decisions", "list", "--verdict", "act")).map((row) => row.event_id),
    ).toStrictEqual(["shown-act"]);
    expect(
      (await json<DecisionRow[]>("decisions", "list", "--verdict", "hold")).map((row) => row.event_id),
    ).toStrictEqual(["shown-hold"]);
    expect(await json<DecisionRow[]>("decisions", "list", "--limit", "1")).toHaveLength(1);
    expect((await world.reflexctl("decisions", "list", "--verdict", "perhaps")).code).toBe(1);
  });

  test("7.2 decisions show gives every reason, and a hostile name cannot move the cursor", async () => {
    const shown = await world.reflexctl("decisions", "show", acted.decision_id);
    for (const part of ["verdict     act", "score", "candidate   block_ip", target, "undo", "hash"])
      expect(shown.stdout).toContain(part);
    const [held] = await json<DecisionRow[]>("decisions", "list", "--verdict", "hold");
    const hostile = await world.reflexctl("decisions", "show", held?.decision_id ?? "");
    expect(hostile.stdout).toContain("Nobody knows");
    expect(hostile.stdout).not.toMatch(/[^\P{Cc}\n]/u);
    expect(await world.reflexctl("decisions", "show", "no-such-id")).toMatchObject({ code: 1, stdout: "" });
  });

  test("7.3 leases say what is in force and until when", async () => {
    await untilTrue("the block is in force", async () => {
      const leases = await json<{ target: { value: string }; state: string; undo_at: string | null }[]>("leases");
      return leases.some(
        (lease) => lease.target.value === target && lease.state === "in_force" && lease.undo_at !== null,
      );
    });
    expect((await world.reflexctl("leases")).stdout).toContain(target);
  });

  test("7.4 dead letters say what could not be read and why", async () => {
    await untilTrue("the dead letter is stored", async () =>
      (await json<{ code: string }[]>("dead-letters")).some((row) => row.code === "json-duplicate-key"),
    );
  });

  test("7.5 a stored decision replays to itself, by id and from a file", async () => {
    const file = join(world.folder, "token.json");
    writeFileSync(file, tokenText);
    for (const args of [[acted.decision_id], ["--file", file]]) {
      const replayed = await world.reflexctl("decisions", "replay", ...args);
      expect(replayed, replayed.stderr).toMatchObject({ code: 0, stdout: "the replayed decision equals its token\n" });
    }
    expect(readFileSync(file, "utf8")).toBe(tokenText);
    // Saved by an editor or a shell, a text ends with a line feed.
    writeFileSync(file, `${tokenText}\n`);
    expect((await world.reflexctl("decisions", "replay", "--file", file)).code).toBe(0);
  });

  /** One byte of the token text changed, by name of what it stands in. */
  const changes: Readonly<
    Record<string, { readonly from: RegExp; readonly to: (found: string) => string; readonly path: string }>
  > = {
    header: { from: /"agent":"agent-1"/, to: (found) => found.replace("1", "2"), path: "/header" },
    detection: { from: /"severity":"critical"/, to: () => '"severity":"criticaL"', path: "/detection" },
    confidence: { from: /"confidence":0\.97/, to: () => '"confidence":0.96', path: "/detection" },
    context: { from: /"context":\{.*?"criticality":"?\w/, to: (found) => flipLast(found), path: "/context" },
    slice: { from: /"slice":\{.*?"ttl_seconds":\d/, to: (found) => flipLast(found), path: "/slice" },
    decision: { from: /"decision":\{.*?"score":0\.\d/, to: (found) => flipLast(found), path: "/decision" },
    digests: { from: /"digests":\{"header":"\w/, to: (found) => flipLast(found), path: "/digests/header" },
    hash: { from: /"hash":"\w(?=\w{63}"\}$)/, to: (found) => flipLast(found), path: "/hash" },
  };
  const flipLast = (text: string): string => {
    const last = text.at(-1) ?? "";
    return `${text.slice(0, -1)}${last === "1" ? "2" : last === "a" ? "b" : /\d/.test(last) ? "1" : "a"}`;
  };

  for (const [name, { from, to, path }] of Object.entries(changes)) {
    test(`7.6 one byte changed in its ${name} is found and named`, async () => {
      const match = from.exec(tokenText);
      const found = match?.[0] ?? "";
      expect(found, "the token has this part").not.toBe("");
      // Where it was found, not where the same text comes first: another hash may begin with the same digit.
      const at = match?.index ?? 0;
      const altered = tokenText.slice(0, at) + to(found) + tokenText.slice(at + found.length);
      expect(altered).toHaveLength(tokenText.length);
      expect(altered).not.toBe(tokenText);
      const file = join(world.folder, `altered-${name}.json`);
      writeFileSync(file, altered);
      const replayed = await world.reflexctl("decisions", "replay", "--file", file, "--json");
      expect(replayed.code).toBe(1);
      const report = JSON.parse(replayed.stderr) as { same: boolean; findings: Finding[] };
      expect(report.same).toBe(false);
      expect(
        report.findings.map((finding) => finding.path),
        JSON.stringify(report.findings).slice(0, 1_000),
      ).toContain(path);
    });
  }

  test("7.7 a token nobody can read is a sentence, not a stack", async () => {
    for (const [name, content] of [
      ["cut", tokenText.slice(0, -20)],
      ["bomb", "[".repeat(500_000)],
      ["empty", ""],
      ["binary", Buffer.from([0xff, 0xfe, 0, 1]).toString("latin1")],
      ["altered", tokenText.replace(target, "198.51.100.178")],
      ["other", '{"v":1}'],
      ["doubled", tokenText.replace('"header":', '"header":{},"header":')],
    ] as const) {
      const file = join(world.folder, `${name}.json`);
      writeFileSync(file, content);
      const replayed = await world.reflexctl("decisions", "replay", "--file", file);
      expect(replayed, name).toMatchObject({ code: 1, stdout: "" });
      expect(replayed.stderr, name).toContain("the token does not replay");
      expect(replayed.stderr, name).not.toContain("    at ");
    }
    const shown = await world.reflexctl("decisions", "show", "--file", join(world.folder, "cut.json"));
    expect(shown).toMatchObject({ code: 1, stdout: "" });
    expect(shown.stderr).not.toContain("    at ");
  });
});
