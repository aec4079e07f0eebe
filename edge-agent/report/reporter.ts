import { type Envelope, payloadTypes, preAuthEncoding } from "@reflex/protocol/envelope";
import { batchBytesMax, batchesUnackedMax, batchRecordsMax, mqttPacketBytesMax } from "@reflex/protocol/limits";
import type { Gap } from "@reflex/protocol/report";
import { timestampOf } from "@reflex/protocol/timestamp";
import type { Link } from "../link/link-port.ts";
import type { Clock, Crypto, Journal, Log, Timers } from "../ports.ts";

/** Signs with the agent's report key. */
export type Signer = { readonly keyid: string; readonly sign: (message: Uint8Array) => string };

export type Reporter = {
  readonly start: () => void;
  readonly stop: () => void;
  /** Something was written to the spool. */
  readonly wake: () => void;
  /** The controller committed everything up to here. */
  readonly acknowledge: (upTo: number) => void;
  /** What was in flight may be lost: go on from the last acknowledged. */
  readonly reconnected: () => void;
  readonly inFlight: () => number;
};

export type ReporterTimes = {
  /** Waits this long for a batch to fill; one signature covers 256 records. */
  readonly lingerMs: number;
  readonly pollMs: number;
  /** No acknowledgement within this: send again, then ever later. */
  readonly ackMs: number;
  readonly ackMsMax: number;
};
export const reporterTimes: ReporterTimes = { lingerMs: 50, pollMs: 1_000, ackMs: 10_000, ackMsMax: 120_000 };

export type ReporterDeps = {
  readonly self: { readonly org: string; readonly site: string; readonly agent: string };
  readonly bootId: string;
  readonly journal: Pick<Journal, "reports" | "spool" | "write">;
  readonly link: Pick<Link, "connected" | "publish">;
  readonly signer: Signer;
  readonly crypto: Crypto;
  readonly clock: Clock;
  readonly timers: Timers;
  readonly log: Log;
  readonly times?: Partial<ReporterTimes>;
};

/** `{"sequence":9007199254740991,"kind":"dead_letter","body":}` and a comma. */
const recordFrameBytes = 64;
const batchFrameBytes = 512;
const envelopeFrameBytes = 1_024;
const bodiesBytesMax = batchBytesMax - batchFrameBytes - batchRecordsMax * recordFrameBytes;
/** A record alone in its batch may be longer than a batch, as long as the packet holds it in base64. */
const loneBytesMax =
  Math.floor(((mqttPacketBytesMax - envelopeFrameBytes) * 3) / 4) - batchFrameBytes - recordFrameBytes;

type Spooled = ReturnType<Journal["reports"]>[number];

/**
 * Sends the spool in order, at least once, and forgets only what the controller says it has committed.
 * The journal holds the truth; all that is kept here is how far was sent.
 */
export const createReporter = (deps: ReporterDeps): Reporter => {
  const { journal, link, crypto, timers, log } = deps;
  const times = { ...reporterTimes, ...deps.times };
  let isRunning = false;
  /** Next to send; everything before `acknowledged + 1` is the controller's. */
  let next = 1;
  let acknowledged = 0;
  let inFlight: { readonly last: number; readonly sentAtMs: number }[] = [];
  let ackMs = times.ackMs;
  let isPumpSoon = false;
  let cancelPoll: (() => void) | undefined;

  const pump = (): void => {
    isPumpSoon = false;
    if (!isRunning || !link.connected()) return;
    next = Math.max(next, acknowledged + 1);
    while (inFlight.length < batchesUnackedMax) {
      const records = nextRecords();
      const first = records[0]?.sequence;
      const last = records.at(-1)?.sequence;
      if (first === undefined || last === undefined) return;
      inFlight.push({ last, sentAtMs: deps.clock.nowMs() });
      next = last + 1;
      void send({ first, last }, records).then((sent) => {
        if (!sent.ok) log.warn({ first, last, code: sent.error.code }, "batch not sent, will be repeated");
      });
    }
  };

  type Line = { readonly json: string; readonly sequence: number };

  const nextRecords = (): readonly Line[] => {
    if (next > journal.spool().last) return [];
    const found = journal.reports(next, batchRecordsMax, bodiesBytesMax);
    const first = found[0];
    if (first === undefined) return [];
    // What the spool had to drop is explained by a gap record that stands at the last sequence it covers. A jump without
    // one is damage, and is said in the same way.
    if (first.sequence > next && first.kind !== "gap") return [gapLine(next, first.sequence - 1, "spool-full")];
    if (found.length === 1) return [loneLine(first)];
    return found.filter((record, index) => record.sequence === first.sequence + index).map(lineOf);
  };

  const loneLine = (record: Spooled): Line => {
    const bytes = crypto.utf8(record.bodyJson).length;
    if (bytes <= loneBytesMax) return lineOf(record);
    log.error(
      { sequence: record.sequence, kind: record.kind, bytes, bytesMax: loneBytesMax },
      "report too large, a gap is sent instead",
    );
    return gapLine(record.sequence, record.sequence, "too-large");
  };

  const lineOf = ({ sequence, kind, bodyJson }: Spooled): Line => ({
    sequence,
    json: `{"sequence":${sequence},"kind":"${kind}","body":${bodyJson}}`,
  });

  const gapLine = (first: number, last: number, code: Gap["code"]): Line => {
    const gap: Gap = { at: timestampOf(deps.clock.nowMs()), first, last, code };
    return { sequence: last, json: `{"sequence":${last},"kind":"gap","body":${JSON.stringify(gap)}}` };
  };

  const send = (range: { readonly first: number; readonly last: number }, records: readonly Line[]) => {
    const { org, site, agent } = deps.self;
    const frame = JSON.stringify({ v: 1, org, site, agent, boot_id: deps.bootId, ...range });
    // Bodies are put in as they were stored: parsing and printing a token again could change its bytes.
    const payload = crypto.utf8(`${frame.slice(0, -1)},"records":[${records.map((record) => record.json).join(",")}]}`);
    const signature = deps.signer.sign(preAuthEncoding(payloadTypes.batch, payload));
    const envelope: Envelope = {
      payloadType: payloadTypes.batch,
      payload: crypto.encodeBase64(payload),
      signatures: [{ keyid: deps.signer.keyid, sig: signature }],
    };
    return link.publish("report", envelope);
  };

  const acknowledge = (upTo: number): void => {
    const { last } = journal.spool();
    if (upTo > Math.max(last, next - 1)) {
      log.error({ upTo, last }, "the controller acknowledges reports this agent never wrote; its journal was replaced");
      return;
    }
    if (upTo <= acknowledged) return;
    acknowledged = upTo;
    ackMs = times.ackMs;
    inFlight = inFlight.filter((batch) => batch.last > upTo);
    void journal.write([{ kind: "acknowledged", upTo }]).then((written) => {
      // Not freed now is freed with the next acknowledgement; sending it twice does no harm.
      if (!written.ok) log.warn({ upTo, code: written.error.code }, "acknowledgement not stored");
    });
    wake();
  };

  const resend = (): void => {
    inFlight = [];
    next = acknowledged + 1;
    pump();
  };

  const poll = (): void => {
    cancelPoll = timers.after(times.pollMs, poll);
    const oldest = inFlight[0];
    if (oldest !== undefined && link.connected() && deps.clock.nowMs() - oldest.sentAtMs >= ackMs) {
      log.warn({ from: acknowledged + 1, waitedMs: ackMs }, "no acknowledgement, sending again");
      ackMs = Math.min(times.ackMsMax, ackMs * 2);
      resend();
    } else {
      pump();
    }
  };

  const wake = (): void => {
    if (isPumpSoon || !isRunning) return;
    isPumpSoon = true;
    timers.after(times.lingerMs, pump);
  };

  return {
    start: () => {
      isRunning = true;
      // What is spooled is what is not acknowledged.
      acknowledged = journal.spool().first - 1;
      next = acknowledged + 1;
      poll();
    },
    stop: () => {
      isRunning = false;
      cancelPoll?.();
    },
    wake,
    acknowledge,
    reconnected: () => {
      ackMs = times.ackMs;
      resend();
    },
    inFlight: () => inFlight.length,
  };
};
