import { type Refusal, refusal } from "@reflex/protocol/refusal";
import { err, ok, type Result } from "@reflex/protocol/result";
import type { MirrorKind, MirrorLeader, MirrorStore, OutboxRow } from "../store/mirror-store.ts";
import { documentOf, type SiemDocument, type SiemPlace, streamOf } from "./documents.ts";
import type { Siem } from "./siem-port.ts";

/**
 * Carries every command's outcome and every feedback into the SIEM: at least once from the outbox, and once as a document, for
 * the id is made of the report and what may have arrived is asked after before it is sent again. One controller mirrors; the
 * outbox is the spool; a document that the SIEM refuses for good is put aside with the reason and holds up nobody.
 */
export type Mirror = {
  readonly state: () => MirrorState;
  readonly stop: () => Promise<void>;
};
export type MirrorState = {
  readonly is_leading: boolean;
  /** Since the last thing the SIEM took, by stream. */
  readonly refused: Readonly<Partial<Record<MirrorKind, string>>>;
  readonly sent: number;
  readonly put_aside: number;
};

export type MirrorDeps = {
  readonly store: Pick<MirrorStore, "waiting" | "settle" | "lags" | "tell">;
  readonly siem: Siem;
  readonly place: SiemPlace;
  /** The fencing token while this controller leads. */
  readonly leader: () => MirrorLeader | undefined;
  readonly random: () => number;
  readonly log: (fields: Readonly<Record<string, unknown>>, message: string) => void;
  readonly times?: Partial<MirrorTimes>;
};

export type MirrorTimes = {
  /** Looked again this soon when nothing waits. */
  readonly idleMs: number;
  readonly backoffFromMs: number;
  readonly backoffToMs: number;
  readonly lookMs: number;
  /** Waiting longer than this is told to people. */
  readonly lagSecondsMax: number;
};
export const mirrorTimes: MirrorTimes = {
  idleMs: 1_000,
  backoffFromMs: 1_000,
  backoffToMs: 60_000,
  lookMs: 30_000,
  lagSecondsMax: 300,
};

/** A step is about 1 kB; OpenSearch advises requests of 5 to 15 MB, and a small one costs less when it has to be sent again. */
const batchRowsMax = 2_000;
const batchBytesMax = 4 * 1024 * 1024;
const kinds: readonly MirrorKind[] = ["command", "feedback"];

export const startMirror = (deps: MirrorDeps): Mirror => {
  const { store, siem, place, log } = deps;
  const times = { ...mirrorTimes, ...deps.times };
  const refused: Partial<Record<MirrorKind, string>> = {};
  const stopping = new AbortController();
  let sent = 0;
  let putAside = 0;
  let isPrepared = false;

  /** Its own line for each stream: one that is refused does not hold up the other. */
  const run = async (kind: MirrorKind): Promise<void> => {
    let failures = 0;
    // Whoever led before, and this process before it died, may have sent what is still in the outbox.
    let isInDoubt = true;
    let bytesMax = batchBytesMax;
    while (!stopping.signal.aborted) {
      const leader = deps.leader();
      if (leader === undefined) {
        isInDoubt = true;
        await pause(times.idleMs);
        continue;
      }
      const carried = await carry(kind, leader, isInDoubt, bytesMax).catch((error: unknown) =>
        err(refusal("store-failed", error instanceof Error ? error.message.slice(0, 200) : "")),
      );
      if (carried.ok) {
        failures = 0;
        isInDoubt = false;
        bytesMax = Math.min(batchBytesMax, bytesMax * 2);
        if (refused[kind] !== undefined) log({ kind }, "the SIEM takes documents again");
        delete refused[kind];
        if (carried.value === "nothing waits") await pause(times.idleMs);
        continue;
      }
      isInDoubt = true;
      isPrepared = false;
      // A proxy in between may take less than OpenSearch does.
      if (carried.error.code === "too-large") bytesMax = Math.max(1, Math.floor(bytesMax / 4));
      if (refused[kind] === undefined)
        log({ kind, code: carried.error.code, detail: carried.error.detail }, "the SIEM is away");
      refused[kind] = `${carried.error.code}: ${carried.error.detail}`;
      failures += 1;
      // Full jitter, but never at once.
      const mostMs = Math.min(times.backoffToMs, times.backoffFromMs * 2 ** Math.min(failures, 16));
      await pause(times.backoffFromMs / 2 + deps.random() * mostMs);
    }
  };

  const carry = async (
    kind: MirrorKind,
    leader: MirrorLeader,
    isInDoubt: boolean,
    bytesMax: number,
  ): Promise<Result<"carried" | "nothing waits", Refusal>> => {
    const rows = await store.waiting(kind, batchRowsMax);
    if (rows.length === 0) return ok("nothing waits");
    if (!isPrepared) {
      const prepared = await siem.prepare();
      if (!prepared.ok) return prepared;
      isPrepared = true;
    }
    const { documents, unreadable } = batchOf(rows, place, bytesMax);
    const held = isInDoubt
      ? await siem.held(
          streamOf(kind, place),
          documents.map(({ document }) => document.id),
        )
      : ok<ReadonlySet<string>>(new Set());
    if (!held.ok) return held;
    const missing = documents.filter(({ document }) => !held.value.has(document.id));
    const fates = missing.length === 0 ? ok([]) : await siem.create(missing.map(({ document }) => document));
    if (!fates.ok) return fates;

    const stored = documents.filter(({ document }) => held.value.has(document.id)).map(({ id }) => id);
    const aside: { readonly id: number; readonly reason: string }[] = [...unreadable];
    const later: string[] = [];
    for (const [at, { id }] of missing.entries()) {
      const fate = fates.value[at];
      if (fate?.kind === "stored") stored.push(id);
      else if (fate?.kind === "refused") aside.push({ id, reason: fate.detail });
      else later.push(fate?.detail ?? "no fate");
    }
    const detail = `${aside.length} put aside, see reflexctl siem dead-letters; the first: ${aside[0]?.reason ?? ""}`;
    const isMine = await store.settle(leader, {
      stored,
      refused: aside,
      ...(aside.length === 0 ? {} : { event: { level: "warning", name: "siem-document-refused", detail } }),
    });
    if (!isMine) return err(refusal("conflict", "another controller mirrors now"));
    sent += stored.length;
    putAside += aside.length;
    return later.length === 0 ? ok("carried") : err(refusal("unreachable", `${later.length} not taken: ${later[0]}`));
  };

  /** Says when the SIEM is far behind, and when it is not any more. */
  const watch = async (): Promise<void> => {
    let isTold = false;
    while (!stopping.signal.aborted) {
      if (deps.leader() !== undefined) {
        try {
          isTold = await look(isTold);
        } catch (error) {
          log({ error: error instanceof Error ? error.message : "" }, "cannot tell how far the SIEM is behind");
        }
      } else isTold = false;
      await pause(times.lookMs);
    }
  };

  const look = async (wasTold: boolean): Promise<boolean> => {
    const lags = Object.values(await store.lags());
    const rows = lags.reduce((sum, lag) => sum + lag.rows, 0);
    const seconds = Math.round(Math.max(...lags.map(({ oldestSeconds }) => oldestSeconds)));
    const isLate = seconds > times.lagSecondsMax;
    const why = Object.values(refused)[0] ?? "it takes less than comes in";
    if (isLate && !wasTold)
      await store.tell({
        level: "alarm",
        name: "siem-behind",
        detail: `${rows} wait, the oldest ${seconds} s: ${why}`,
      });
    if (!isLate && wasTold)
      await store.tell({ level: "info", name: "siem-caught-up", detail: "the SIEM has everything again" });
    return isLate;
  };

  const pause = (ms: number): Promise<void> =>
    new Promise((done) => {
      const end = (): void => {
        clearTimeout(timer);
        stopping.signal.removeEventListener("abort", end);
        done();
      };
      const timer = setTimeout(end, ms);
      stopping.signal.addEventListener("abort", end);
      if (stopping.signal.aborted) end();
    });

  const running = Promise.all([...kinds.map(run), watch()]);
  return {
    state: () => ({ is_leading: deps.leader() !== undefined, refused: { ...refused }, sent, put_aside: putAside }),
    stop: async () => {
      stopping.abort();
      // A request under way ends by its own time-out; what it did is asked after at the next start.
      await siem.close();
      await running;
    },
  };
};

type Batch = {
  readonly documents: readonly { readonly id: number; readonly document: SiemDocument }[];
  readonly unreadable: readonly { readonly id: number; readonly reason: string }[];
};

const batchOf = (rows: readonly OutboxRow[], place: SiemPlace, bytesMax: number): Batch => {
  const documents: Batch["documents"][number][] = [];
  const unreadable: Batch["unreadable"][number][] = [];
  let bytes = 0;
  for (const row of rows) {
    const made = documentOf(row, place);
    if (!made.ok) {
      unreadable.push({ id: row.id, reason: made.error });
      continue;
    }
    bytes += Buffer.byteLength(made.value.text) + 256;
    // The first always goes, however long.
    if (bytes > bytesMax && documents.length > 0) break;
    documents.push({ id: row.id, document: made.value });
  }
  return { documents, unreadable };
};
