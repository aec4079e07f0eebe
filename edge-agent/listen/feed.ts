import { basename } from "node:path";
import { readTime } from "../admit/normalise/reading.ts";
import type { Clock } from "../ports.ts";
import { type FeedClock, isSaneTime } from "./feed-clock.ts";
import { openFile } from "./file.ts";
import { createPatientOffer, type PatientOffer } from "./patient-offer.ts";
import { createRecordSplitter } from "./record-splitter.ts";
import {
  assertTextFormat,
  type ByteStream,
  createTotals,
  type EndingSource,
  type StreamDeps,
  type StreamTotals,
  streamInFlightMax,
} from "./stream.ts";

export type FeedProgress = { readonly records: number; readonly bytes: number; readonly totalBytes: number };

export type FeedSource = EndingSource & {
  /** Opens the recordings and sets the clock to the earliest first record. `start` does it if nobody did. */
  readonly prime: () => Promise<void>;
};

export type FeedDeps = StreamDeps & {
  readonly clock: FeedClock;
  readonly wall: Clock;
  /** What `-` among the paths means; read once, its size unknown beforehand. */
  readonly stdin: () => ByteStream;
  /** Called about every thousand records, and at the end. */
  readonly onProgress?: (progress: FeedProgress) => void;
};

/**
 * Several recordings played together on their own time: whichever file's next record is earliest comes next, so one of 2018
 * and one of 2020 play in that order however they are named; within a file the order is kept. Each record carries the newest
 * time seen so far in its own file, against which its freshness is judged (admit: feedFreshnessSeconds).
 */
export const createFeedSource = (paths: readonly string[], format: string, deps: FeedDeps): FeedSource => {
  if (paths.length === 0 || paths.length > feedFilesMax) throw new Error(`a feed has 1 to ${feedFilesMax} files`);
  assertTextFormat(format);
  const { clock, wall, timers, random, log, onProgress } = deps;
  const totals = createTotals();
  const finished = Promise.withResolvers<StreamTotals>();
  finished.promise.catch(() => {});
  let recordings: readonly Recording[] | undefined;
  let patient: PatientOffer | undefined;
  let stopped = false;

  const prime = async (): Promise<void> => {
    recordings ??= await Promise.all(
      paths.map(async (path) =>
        path === "-"
          ? openRecording("stdin", { ...deps.stdin(), totalBytes: 0 }, wall)
          : openRecording(basename(path), await openFile(path), wall),
      ),
    );
    const firsts = recordings.map(({ head }) => head()?.timeMs).filter((timeMs) => timeMs !== undefined);
    if (firsts.length > 0) clock.advance(Math.min(...firsts));
  };

  const report = (playing: readonly Recording[], records: number): void =>
    onProgress?.({
      records,
      bytes: playing.reduce((sum, recording) => sum + recording.readBytes(), 0),
      totalBytes: playing.reduce((sum, { totalBytes }) => sum + totalBytes, 0),
    });

  const play = async (playing: readonly Recording[], offers: PatientOffer): Promise<void> => {
    let records = 0;
    for (let next = earliest(playing); next !== undefined && !stopped; next = earliest(playing)) {
      const head = next.head();
      if (head === undefined) break;
      await next.advance();
      totals.count("read");
      records += 1;
      const { bytes, timeMs, newestMs } = head;
      const record = {
        bytes,
        source: next.name,
        format,
        ...(newestMs === undefined ? {} : { feedTimeMs: newestMs }),
        ...(timeMs === undefined ? {} : { taken: () => clock.advance(timeMs) }),
      };
      await offers.offer(record, ({ kind }) => totals.count(kind));
      if (records % progressEveryRecords === 0) report(playing, records);
    }
    await offers.whenIdle();
    report(playing, records);
  };

  return {
    name: "feed",
    finished: finished.promise,
    prime,
    start: async (offer) => {
      await prime();
      patient = createPatientOffer({ offer, timers, random, inFlightMax: streamInFlightMax });
      play(recordings ?? [], patient).then(
        () => finished.resolve(totals.read()),
        (error: unknown) => {
          if (stopped) return finished.resolve(totals.read());
          log.error({ source: "feed", error: error instanceof Error ? error.message : "unknown" }, "reading failed");
          finished.reject(error);
        },
      );
    },
    stop: async () => {
      stopped = true;
      for (const recording of recordings ?? []) recording.close();
      await patient?.stop();
    },
  };
};

/** Each open recording holds a chunk in memory. */
const feedFilesMax = 64;
const progressEveryRecords = 1_000;

/** `timeMs` is absent where no sane time can be read; such a record comes right after the one before it. */
type Head = { readonly bytes: Uint8Array; readonly timeMs?: number; readonly newestMs?: number };

type Recording = {
  readonly name: string;
  readonly totalBytes: number;
  readonly readBytes: () => number;
  readonly head: () => Head | undefined;
  readonly advance: () => Promise<void>;
  readonly close: () => void;
};

type SizedStream = ByteStream & { readonly totalBytes: number };

const openRecording = async (
  name: string,
  { chunks, close, totalBytes }: SizedStream,
  wall: Clock,
): Promise<Recording> => {
  const iterator = chunks[Symbol.asyncIterator]();
  const splitter = createRecordSplitter();
  let waiting: readonly Uint8Array[] = [];
  let at = 0;
  let readBytes = 0;
  let ended = false;
  let head: Head | undefined;
  let newestMs: number | undefined;

  const advance = async (): Promise<void> => {
    while (at === waiting.length && !ended) {
      const { value, done } = await iterator.next();
      ended = done === true;
      waiting = ended ? splitter.end() : splitter.push(value);
      readBytes += ended ? 0 : value.length;
      at = 0;
    }
    const bytes = waiting[at];
    at += 1;
    if (bytes === undefined) {
      at = waiting.length;
      head = undefined;
      return;
    }
    const timeMs = recordTime(bytes, wall);
    if (timeMs !== undefined) newestMs = Math.max(newestMs ?? timeMs, timeMs);
    head = { bytes, ...(timeMs === undefined ? {} : { timeMs }), ...(newestMs === undefined ? {} : { newestMs }) };
  };

  await advance();
  return { name: `feed:${name}`, totalBytes, readBytes: () => readBytes, head: () => head, advance, close };
};

const earliest = (recordings: readonly Recording[]): Recording | undefined => {
  let first: Recording | undefined;
  let firstMs = Number.POSITIVE_INFINITY;
  for (const recording of recordings) {
    const head = recording.head();
    if (head === undefined) continue;
    const timeMs = head.timeMs ?? head.newestMs ?? Number.NEGATIVE_INFINITY;
    if (first === undefined || timeMs < firstMs) {
      first = recording;
      firstMs = timeMs;
    }
  }
  return first;
};

/** For the order of play alone; admission reads the record again and strictly. */
const recordTime = (bytes: Uint8Array, wall: Clock): number | undefined => {
  try {
    const record: unknown = JSON.parse(decoder.decode(bytes));
    const timeMs = readTime((record as { timestamp?: unknown } | null)?.timestamp)?.timeMs;
    return timeMs !== undefined && isSaneTime(timeMs, wall) ? timeMs : undefined;
  } catch {
    return undefined;
  }
};
const decoder = new TextDecoder();
