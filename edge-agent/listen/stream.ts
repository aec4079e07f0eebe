import type { Log, Random, RecordFate, Source, Timers } from "../ports.ts";
import { createPatientOffer, type PatientOffer } from "./patient-offer.ts";
import { createRecordSplitter } from "./record-splitter.ts";

/** Bytes from somewhere that ends: a file, a pipe. `close` makes the iteration end early. */
export type ByteStream = { readonly chunks: AsyncIterable<Uint8Array>; readonly close: () => void };

export type StreamTotals = Readonly<Record<RecordFate["kind"] | "read", number>>;

/** A source that comes to an end. */
export type EndingSource = Source & {
  /** Resolves when every record was read and settled, or the source was stopped; rejects if reading failed. */
  readonly finished: Promise<StreamTotals>;
};

export type StreamDeps = { readonly timers: Timers; readonly random: Random; readonly log: Log };

/** Two batches: one being made durable, one waiting. More would only wait longer. */
export const streamInFlightMax = 128;

/** Plays the records of one stream, in order. */
export const createStreamSource = (
  name: string,
  format: string,
  openStream: () => Promise<ByteStream>,
  { timers, random, log }: StreamDeps,
): EndingSource => {
  assertTextFormat(format);
  const totals = createTotals();
  const finished = Promise.withResolvers<StreamTotals>();
  // A rejection nobody waits for must not end the process: it is logged too.
  finished.promise.catch(() => {});
  let stream: ByteStream | undefined;
  let patient: PatientOffer | undefined;
  let stopped = false;

  const play = async ({ chunks }: ByteStream, offers: PatientOffer): Promise<void> => {
    const splitter = createRecordSplitter();
    const offerAll = async (records: readonly Uint8Array[]): Promise<void> => {
      for (const bytes of records) {
        if (stopped) return;
        totals.count("read");
        await offers.offer({ bytes, source: name, format }, ({ kind }) => totals.count(kind));
      }
    };
    for await (const chunk of chunks) {
      if (stopped) break;
      await offerAll(splitter.push(chunk));
    }
    await offerAll(splitter.end());
    await offers.whenIdle();
  };

  return {
    name,
    finished: finished.promise,
    start: async (offer) => {
      stream = await openStream();
      patient = createPatientOffer({ offer, timers, random, inFlightMax: streamInFlightMax });
      play(stream, patient).then(
        () => finished.resolve(totals.read()),
        (error: unknown) => {
          if (stopped) return finished.resolve(totals.read());
          log.error({ source: name, error: error instanceof Error ? error.message : "unknown" }, "reading failed");
          finished.reject(error);
        },
      );
    },
    stop: async () => {
      stopped = true;
      stream?.close();
      await patient?.stop();
    },
  };
};

/** Recordings are text: protobuf messages have no mark between them. */
export const assertTextFormat = (format: string): void => {
  if (format === "protobuf") throw new Error("protobuf is for webhook and mqtt; a recording holds JSON");
};

export const createTotals = () => {
  const totals = { read: 0, decided: 0, duplicate: 0, not_detection: 0, dead_letter: 0, not_taken: 0 };
  return {
    count: (kind: keyof typeof totals): void => {
      totals[kind] += 1;
    },
    read: (): StreamTotals => ({ ...totals }),
  };
};
