import { randomBytes } from "node:crypto";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { PassThrough, Readable } from "node:stream";
import { afterAll, describe, expect, test } from "vitest";
import type { Clock, RawRecord, RecordFate, Timers } from "../ports.ts";
import { createFeedSource, type FeedProgress } from "./feed.ts";
import { createFeedClock } from "./feed-clock.ts";
import { createFileSource } from "./file.ts";
import { createStdinSource, stdinStream } from "./stdin.ts";
import { streamInFlightMax } from "./stream.ts";

const folder = mkdtempSync(join(tmpdir(), "reflex-listen-"));
afterAll(() => rmSync(folder, { recursive: true }));
const fileOf = (name: string, text: string | Uint8Array): string => {
  const path = join(folder, name);
  writeFileSync(path, text);
  return path;
};

const timers: Timers = {
  after: (delayMs, run) => {
    const timer = setTimeout(run, Math.min(delayMs, 5));
    return () => clearTimeout(timer);
  },
  soon: setImmediate,
};
const log = { info: () => {}, warn: () => {}, error: () => {} };
const deps = { timers, random: { bytes: (count: number) => randomBytes(count) }, log };
const decided: RecordFate = { kind: "decided", decisionId: "d", verdict: "hold" };
const textOf = ({ bytes }: RawRecord): string => Buffer.from(bytes).toString();

describe("file", () => {
  test("every record is offered once, in order, and counted by its fate", async () => {
    const path = fileOf("plain.ndjson", `{"n":1}\n\n{"n":2}\n{"n":3}`);
    const offered: string[] = [];
    const source = createFileSource(path, "auto", deps);
    const fates: RecordFate[] = [decided, { kind: "duplicate" }, { kind: "not_detection", reason: "flow" }];
    await source.start(async (record) => {
      offered.push(textOf(record));
      const fate = fates[offered.length - 1] ?? decided;
      setImmediate(() => record.settle(fate));
    });
    const totals = await source.finished;
    expect(offered).toEqual(['{"n":1}', '{"n":2}', '{"n":3}']);
    expect(totals).toEqual({ read: 3, decided: 1, duplicate: 1, not_detection: 1, dead_letter: 0, not_taken: 0 });
    expect(source.name).toBe("file:plain.ndjson");
  });

  test("a record that was not taken is offered until it is", async () => {
    const source = createFileSource(fileOf("stubborn.ndjson", `{"n":1}\n`), "auto", deps);
    let offers = 0;
    await source.start(async ({ settle }) => {
      offers += 1;
      settle(offers < 4 ? { kind: "not_taken", refusal: { code: "disk-full", detail: "" } } : decided);
    });
    const totals = await source.finished;
    expect([offers, totals.decided, totals.not_taken]).toEqual([4, 1, 0]);
  });

  test("no more are out at once than can be held, however slow the agent is", async () => {
    const lines = Array.from({ length: 3 * streamInFlightMax }, (_, n) => `{"n":${n}}`);
    const source = createFileSource(fileOf("many.ndjson", lines.join("\n")), "auto", deps);
    const open: RawRecord[] = [];
    let most = 0;
    await source.start(async (record) => {
      open.push(record);
      most = Math.max(most, open.length);
      if (open.length === streamInFlightMax)
        setTimeout(() => {
          for (const { settle } of open.splice(0)) settle(decided);
        }, 5);
    });
    expect((await source.finished).decided).toBe(lines.length);
    expect(most).toBe(streamInFlightMax);
  });

  test("stopping leaves what was not settled to the next run, and ends", async () => {
    const source = createFileSource(fileOf("stopped.ndjson", `{"n":1}\n`.repeat(2_000)), "auto", deps);
    const open: RawRecord[] = [];
    const full = Promise.withResolvers<void>();
    await source.start(async (record) => {
      open.push(record);
      if (open.length === streamInFlightMax) full.resolve();
    });
    await full.promise;
    const stopped = source.stop();
    for (const { settle } of open) settle({ kind: "not_taken", refusal: { code: "queue-full", detail: "" } });
    await stopped;
    const totals = await source.finished;
    expect(totals.decided).toBe(0);
    expect(open).toHaveLength(streamInFlightMax);
  });

  test("a line of 50 MB passes as a stub that is over the limit", async () => {
    const path = fileOf("long.ndjson", Buffer.concat([Buffer.alloc(50 << 20, "x"), Buffer.from('\n{"n":1}\n')]));
    const lengths: number[] = [];
    const source = createFileSource(path, "auto", deps);
    await source.start(async ({ bytes, settle }) => {
      lengths.push(bytes.length);
      settle(decided);
    });
    await source.finished;
    expect(lengths).toEqual([256 * 1024 + 1, 7]);
  });

  test("a file that is not there is said at once", async () => {
    await expect(createFileSource(join(folder, "none"), "auto", deps).start(async () => {})).rejects.toThrow("ENOENT");
  });

  test("stdin ends like a file", async () => {
    const stdin = new PassThrough();
    const source = createStdinSource(stdin, "auto", deps);
    await source.start(async ({ settle }) => settle(decided));
    stdin.write('{"n":1}\n{"n"');
    stdin.end(":2}");
    expect((await source.finished).decided).toBe(2);
  });
});

describe("feed", () => {
  const wall: Clock = { nowMs: () => Date.parse("2026-06-01T00:00:00Z") };
  const line = (timestamp: string, name: string): string => JSON.stringify({ timestamp, name });
  const older = fileOf(
    "older.ndjson",
    [
      line("2018-03-24T10:00:00-0600", "a1"),
      line("2018-03-23T10:00:00-0600", "a2"),
      line("2018-03-25T10:00:00-0600", "a3"),
    ].join("\n"),
  );
  const newer = fileOf(
    "newer.json",
    `[${[line("2020-03-04T10:00:00+0000", "b1"), line("2020-03-04T11:00:00+0000", "b2")].join(",\n")}]`,
  );
  const odd = fileOf(
    "odd.ndjson",
    [
      line("2019-01-01T00:00:00Z", "c1"),
      "not json",
      line("2099-01-01T00:00:00Z", "c3"),
      line("1970-01-01T00:00:00Z", "c4"),
      line("2019-01-02T00:00:00Z", "c5"),
    ].join("\n"),
  );

  const play = async (paths: readonly string[]) => {
    const clock = createFeedClock(wall);
    const progress: FeedProgress[] = [];
    const source = createFeedSource(paths, "auto", {
      ...deps,
      clock,
      wall,
      stdin: () => stdinStream(Readable.from([])),
      onProgress: (now) => progress.push(now),
    });
    const played: { text: string; nowMs: number; feedTimeMs: number | undefined }[] = [];
    await source.prime();
    const primedMs = clock.nowMs();
    await source.start(async (record) => {
      record.taken?.();
      played.push({ text: textOf(record), nowMs: clock.nowMs(), feedTimeMs: record.feedTimeMs });
      record.settle(decided);
    });
    const totals = await source.finished;
    return { played, progress, totals, primedMs };
  };
  const namesOf = (played: readonly { text: string }[]): string[] =>
    played.map(({ text }) => /"name":"(\w+)"/.exec(text)?.[1] ?? "?");

  test("recordings play in the order of their own times, whatever the order they are named in", async () => {
    for (const paths of [
      [older, odd, newer],
      [newer, older, odd],
      [odd, newer, older],
    ]) {
      const { played, totals, primedMs } = await play(paths);
      expect(namesOf(played)).toEqual(["a1", "a2", "a3", "c1", "?", "c3", "c4", "c5", "b1", "b2"]);
      expect(totals.read).toBe(10);
      expect(primedMs).toBe(Date.parse("2018-03-24T16:00:00Z"));
    }
  });

  test("time never goes back, nor to where no sensor was", async () => {
    const { played } = await play([older, newer, odd]);
    const times = played.map(({ nowMs }) => nowMs);
    expect(times).toEqual(times.toSorted((one, other) => one - other));
    expect(times.at(-1)).toBe(Date.parse("2020-03-04T11:00:00Z"));
  });

  test("time moves when a record is decided about, however far ahead the reading is", async () => {
    const wall = { nowMs: () => Date.UTC(2026, 0, 1) };
    const clock = createFeedClock(wall);
    const source = createFeedSource([older, newer], "auto", {
      ...deps,
      clock,
      wall,
      stdin: () => stdinStream(Readable.from([])),
    });
    const waiting: RawRecord[] = [];
    await source.prime();
    const primedMs = clock.nowMs();
    await source.start(async (record) => void waiting.push(record));
    while (waiting.length < 5) await new Promise((next) => setImmediate(next));
    expect(clock.nowMs()).toBe(primedMs);
    for (const record of waiting) {
      record.taken?.();
      expect(clock.nowMs()).toBe(record.feedTimeMs);
      record.settle(decided);
    }
    await source.finished;
  });

  test("freshness of each record is against the newest of its own file", async () => {
    const { played } = await play([older, newer]);
    expect(played.map(({ feedTimeMs }) => feedTimeMs)).toEqual(
      [
        "2018-03-24T16:00:00Z",
        "2018-03-24T16:00:00Z",
        "2018-03-25T16:00:00Z",
        "2020-03-04T10:00:00Z",
        "2020-03-04T11:00:00Z",
      ].map(Date.parse),
    );
  });

  test("a long feed says how far it is, and says when it is through", async () => {
    const long = fileOf(
      "long-feed.ndjson",
      Array.from({ length: 2_500 }, (_, n) => line("2020-01-01T00:00:00Z", `n${n}`)).join("\n"),
    );
    const { progress } = await play([long]);
    expect(progress.map(({ records }) => records)).toEqual([1_000, 2_000, 2_500]);
    expect(progress.at(-1)?.bytes).toBe(progress.at(-1)?.totalBytes);
  });
});
