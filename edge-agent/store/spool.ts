import type { DatabaseSync } from "node:sqlite";
import type { Gap, ReportKind } from "@reflex/protocol/report";
import { timestampOf } from "@reflex/protocol/timestamp";
import type { JournalBounds } from "./bounds.ts";
import type { Counters } from "./counters.ts";

export type Spooled = { readonly sequence: number; readonly kind: ReportKind; readonly bodyJson: string };

/**
 * Reports waiting for the controller. Sequences are given inside the commit and never again, even after every row is
 * acknowledged and gone. When the spool is full the oldest reports make room, and one gap record in their place says which:
 * it stands at the last sequence it covers, so what is sent stays consecutive and the first record of a batch explains any jump.
 */
export type Spool = {
  readonly add: (kind: ReportKind, bodyJson: string) => void;
  readonly acknowledge: (upTo: number) => void;
  readonly makeRoom: (nowMs: number) => void;
  readonly read: (fromSequence: number, recordsMax: number, bytesMax: number) => readonly Spooled[];
  readonly extent: () => { readonly first: number; readonly last: number; readonly bytes: number };
};

export const createSpool = (database: DatabaseSync, counters: Counters, bounds: JournalBounds): Spool => {
  const insert = database.prepare("INSERT INTO reports (sequence, kind, body, bytes) VALUES (?, ?, ?, ?)");
  const sumTo = database.prepare("SELECT coalesce(sum(bytes), 0) AS bytes FROM reports WHERE sequence <= ?");
  const deleteTo = database.prepare("DELETE FROM reports WHERE sequence <= ?");
  const oldest = database.prepare("SELECT sequence, kind, body, bytes FROM reports ORDER BY sequence LIMIT 1000");
  const from = database.prepare(
    "SELECT sequence, kind, body, bytes FROM reports WHERE sequence >= ? ORDER BY sequence LIMIT ?",
  );

  const put = (sequence: number, kind: ReportKind, bodyJson: string): void => {
    const bytes = Buffer.byteLength(bodyJson);
    insert.run(sequence, kind, bodyJson, bytes);
    counters.add("spool_bytes", bytes);
  };

  const removeTo = (sequence: number): void => {
    counters.add("spool_bytes", -(sumTo.get(sequence) as { bytes: number }).bytes);
    deleteTo.run(sequence);
  };

  return {
    add: (kind, bodyJson) => {
      counters.add("report_sequence", 1);
      put(counters.get("report_sequence"), kind, bodyJson);
    },
    acknowledge: (upTo) => {
      removeTo(upTo);
      counters.set(
        "spool_first",
        Math.max(counters.get("spool_first"), Math.min(upTo, counters.get("report_sequence"))),
      );
    },
    makeRoom: (nowMs) => {
      const excess = counters.get("spool_bytes") - bounds.spoolBytesMax;
      if (excess <= 0) return;
      // Room for a tenth more than needed, so that a full spool does not write a new gap with every commit.
      const target = excess + bounds.spoolBytesMax / 10;
      const covered = prefixOf(rowsOf(oldest.all()), target);
      const last = covered.at(-1)?.sequence;
      if (last === undefined) return;
      const gap: Gap = { at: timestampOf(nowMs), first: counters.get("spool_first") + 1, last, code: "spool-full" };
      removeTo(last);
      put(last, "gap", JSON.stringify(gap));
    },
    read: (fromSequence, recordsMax, bytesMax) => {
      const rows = rowsOf(from.all(fromSequence, recordsMax));
      // The first goes out whatever its size, or one long report would stop all that follow.
      const fitting = rows.slice(0, Math.max(1, countWithin(rows, bytesMax)));
      return fitting.map(({ sequence, kind, body }) => ({ sequence, kind, bodyJson: body }));
    },
    extent: () => ({
      first: counters.get("spool_first") + 1,
      last: counters.get("report_sequence"),
      bytes: counters.get("spool_bytes"),
    }),
  };
};

type ReportRow = {
  readonly sequence: number;
  readonly kind: ReportKind;
  readonly body: string;
  readonly bytes: number;
};
const rowsOf = (rows: unknown[]): ReportRow[] => rows as ReportRow[];

/** The fewest oldest rows that free so many bytes, or all of them. */
const prefixOf = (rows: readonly ReportRow[], bytesWanted: number): readonly ReportRow[] =>
  rows.slice(0, countWithin(rows, bytesWanted) + 1);

const countWithin = (rows: readonly ReportRow[], bytesMax: number): number => {
  let bytes = 0;
  let count = 0;
  for (const row of rows) {
    bytes += row.bytes;
    if (bytes > bytesMax) break;
    count += 1;
  }
  return count;
};
