import { randomBytes } from "node:crypto";
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { join } from "node:path";
import type { Summary } from "@reflex/installers/start/summary";
import { afterAll, describe, expect, test, vi } from "vitest";
import {
  makeFolder,
  patientMs,
  processesOf,
  removeFolder,
  root,
  startProgram,
  startProgramAt,
  until,
  untilTrue,
} from "../world.ts";
import { hostileLines, recorded } from "./detections.ts";

vi.setConfig(patientMs);

const folder = makeFolder("start");
afterAll(() => removeFolder(folder));
const fileOf = (name: string, content: string | Uint8Array): string => {
  const path = join(folder, name);
  writeFileSync(path, content);
  return path;
};
const data = (name: string): string => join(folder, name);

const start = (args: readonly string[], input?: string | Uint8Array) => {
  const program = startProgramAt([startProgram, ...args], input === undefined ? "ignore" : "pipe");
  if (input !== undefined) program.process.stdin?.end(input);
  return program.ended;
};
const play = async (dataName: string, more: readonly string[], input?: string | Uint8Array): Promise<Summary> => {
  const ended = await start(["--once", "--json", "--data", data(dataName), "--port-base", "0", ...more], input);
  expect(ended.code, ended.stderr).toBe(0);
  const lines = ended.stdout.split("\n");
  expect(lines, "standard output is the summary and nothing else").toHaveLength(2);
  expect(lines[1]).toBe("");
  return expectWhole(JSON.parse(lines[0] ?? "") as Summary);
};

/** Exactly the promised fields, and every line in exactly one count. */
const expectWhole = (summary: Summary): Summary => {
  const shape = (value: unknown): unknown =>
    typeof value === "object" && value !== null
      ? Object.fromEntries(Object.entries(value).map(([name, inner]) => [name, shape(inner)]))
      : typeof value;
  const number = "number";
  expect(shape(summary)).toStrictEqual({
    lines: number,
    detections: number,
    not_detections: number,
    dead_letters: number,
    duplicates: number,
    decisions: { act: number, ask: number, hold: number, refuse: number, observe: number },
    commands: { in_force: number, undone: number, failed: number, stuck: number },
    replay: { checked: number, mismatches: number },
    latency_ms: { p50: number, p99: number },
  });
  const { detections, not_detections, dead_letters, duplicates, decisions, replay } = summary;
  expect(detections + not_detections + dead_letters + duplicates).toBe(summary.lines);
  expect(Object.values(decisions).reduce((sum, count) => sum + count, 0)).toBe(detections);
  expect(replay).toStrictEqual({ checked: detections, mismatches: 0 });
  return summary;
};

describe("1. what is fed is decided, stored, replayed and counted", () => {
  test("1.1 the built-in attack acts, asks, holds, refuses and observes", async () => {
    const summary = await play("scenario", ["--fresh"]);
    for (const count of Object.values(summary.decisions)) expect(count).toBeGreaterThan(0);
    expect(summary.commands.in_force).toBe(summary.decisions.act);
    expect(summary.commands).toMatchObject({ failed: 0, stuck: 0 });
    expect(summary).toMatchObject({ not_detections: 1, dead_letters: 1, duplicates: 1 });
    expect(processesOf(data("scenario"))).toStrictEqual([]);
  });

  test("1.2 hostile lines are dead letters with the code that says why, and the lines around them are decided", async () => {
    const text = ["", recorded("before"), ...hostileLines.map((line) => line.text), "   ", recorded("after", 1), ""];
    const hostile = fileOf("hostile.ndjson", text.join("\n"));
    const summary = await play("hostile", ["--fresh", "--feed", hostile]);
    expect(summary).toMatchObject({ lines: hostileLines.length + 2, detections: 2, dead_letters: hostileLines.length });

    const again = await play("hostile", ["--feed", hostile]);
    expect(again).toMatchObject({ detections: 0, duplicates: 2, dead_letters: hostileLines.length });

    const utf16 = fileOf(
      "utf16.ndjson",
      Buffer.from(`\ufeff${[recorded("wide-1"), recorded("wide-2")].join("\n")}`, "utf16le"),
    );
    const garbage = fileOf("garbage.bin", randomBytes(300_000));
    const odd = await play("hostile", [
      "--feed",
      utf16,
      garbage,
      fileOf("empty.ndjson", ""),
      fileOf("last.ndjson", recorded("last", 2)),
    ]);
    expect(odd).toMatchObject({ detections: 1, duplicates: 0, not_detections: 0 });
    expect(odd.dead_letters).toBeGreaterThan(1_000);
  });

  test("1.3 the codes of the dead letters can be asked for afterwards", async () => {
    const lines = hostileLines.map((line) => line.text).join("\n");
    const program = startProgramAt([
      startProgram,
      ...["--fresh", "--data", data("codes"), "--port-base", "0", "--feed", fileOf("codes.ndjson", lines)],
    ]);
    try {
      await untilTrue("the feed is done", () => program.stdout().includes("the feed is done"));
      const listed = await until("every dead letter is stored", async () => {
        const reflexctl = join(root, "controller/reflexctl/main.ts");
        const { stdout } = await startProgramAt([reflexctl, "dead-letters", "--json", "--data", data("codes")]).ended;
        const rows = JSON.parse(stdout) as { code: string }[];
        return rows.length < hostileLines.length ? undefined : rows;
      });
      expect(listed.map((row) => row.code).sort()).toStrictEqual(hostileLines.map((line) => line.code).sort());
    } finally {
      expect((await program.kill("SIGINT")).code).toBe(0);
    }
  });

  test("1.4 a feed comes through standard input too, and only its repetitions are duplicates", async () => {
    const text = [recorded("in-1"), recorded("in-2", 1), recorded("in-1")].join("\n");
    expect(await play("stdin", ["--fresh", "--feed", "-"], text)).toMatchObject({ detections: 2, duplicates: 1 });
    expect(await play("stdin", ["--feed", "-"], text)).toMatchObject({ lines: 3, detections: 0, duplicates: 3 });
  });

  for (const [format, path] of [
    ["suricata", "suricata-eve/wrccdc-2018.eve.ndjson"],
    ["wazuh", "wazuh-alerts/ait-ldsv1-insect.alerts.ndjson"],
  ] as const) {
    const sample = join(root, "../shared/samples", path);
    test.skipIf(!existsSync(sample))(`1.5 a real ${format} recording is accounted for to the line`, async () => {
      const name = `sample-${format}`;
      const summary = await play(name, ["--fresh", "--feed", sample]);
      const lines = readFileSync(sample, "utf8")
        .split("\n")
        .filter((line) => line.trim() !== "").length;
      expect(summary.lines).toBe(lines);
      expect(summary.dead_letters).toBe(0);
      expect(summary.detections).toBeGreaterThan(0);
      expect(summary.commands).toMatchObject({ failed: 0, stuck: 0 });
    });
  }
});

describe("2. what cannot work is said in one sentence before anything starts", () => {
  test("2.1 a feed that is missing, and one that is a folder", async () => {
    for (const feed of [data("missing.ndjson"), folder]) {
      const ended = await start(["--once", "--json", "--data", data("none"), "--feed", feed]);
      expect(ended).toMatchObject({ code: 1, stdout: "" });
      expect(ended.stderr).toMatch(/^reflex: cannot read the feed .*\n$/);
      expect(ended.stderr).toContain(feed);
    }
    expect(existsSync(data("none"))).toBe(false);
  });

  test("2.2 options that mean nothing end with usage and code 2", async () => {
    for (const args of [["--bogus"], ["--json"], ["--feed"], ["--port-base", "x"], ["--data"], ["word"]]) {
      const ended = await start(args);
      expect(ended, args.join(" ")).toMatchObject({ code: 2, stdout: "" });
      expect(ended.stderr).toContain("npm start -- [options]");
      expect(ended.stderr).not.toContain("    at ");
    }
  });

  test("2.3 a port that is taken is named with what uses it here and what to do", async () => {
    const taken = createServer();
    await new Promise<void>((done) => taken.listen(0, "0.0.0.0", done));
    const { port } = taken.address() as { port: number };
    try {
      for (const [offset, use] of ["API", "broker", "webhook", "EDL"].entries()) {
        const ended = await start(["--once", "--data", data("ports"), "--port-base", String(port - offset)]);
        expect(ended.code).toBe(1);
        expect(ended.stderr).toBe(
          `reflex: port ${port} for the ${use} is in use by another program; stop what uses it, or choose other ports with --port-base (0 = any free ones)\n`,
        );
      }
    } finally {
      taken.close();
    }
  });

  test("2.4 --fresh deletes nothing that is not ours", async () => {
    mkdirSync(data("photos"));
    const kept = join(data("photos"), "holiday.txt");
    writeFileSync(kept, "sea");
    const ended = await start(["--once", "--fresh", "--data", data("photos"), "--port-base", "0"]);
    expect(ended.code).toBe(1);
    expect(ended.stderr).toContain("does not look like a data folder of Reflex");
    expect(readFileSync(kept, "utf8")).toBe("sea");
  });
});
