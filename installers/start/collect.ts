import type { Client } from "@reflex/controller/reflexctl/client";
import { replayText } from "@reflex/controller/reflexctl/commands/decisions";
import type { Parts } from "./parts.ts";
import type { Screen } from "./screen.ts";
import type { Summary } from "./summary.ts";

/** Tokens fetched at once; each is a few kB. */
const pageSize = 200;

type FeedDone = {
  readonly tally: {
    readonly records: number;
    readonly detections: number;
    readonly notDetections: number;
    readonly deadLetters: number;
    readonly duplicates: number;
    readonly decisions: Summary["decisions"];
  };
  readonly lines: number;
  readonly latency_ms: { readonly p50: number; readonly p99: number };
  readonly commands: Readonly<Partial<Record<string, number>>>;
  readonly first_sequence: number;
  readonly last_sequence: number;
};

/** The agent says what it did, the controller what it stores; every stored token of this feed is replayed. */
export const collectSummary = async (
  parts: Parts,
  client: Client,
  screen: Screen,
): Promise<{
  readonly summary: Summary;
  readonly stored: { readonly decisions: number; readonly expected: number };
}> => {
  const done = (await parts.feedReported()) as unknown as FeedDone;
  let checked = 0;
  let mismatches = 0;
  let after = done.first_sequence - 1;
  while (after < done.last_sequence) {
    const page = await client.get<{ tokens: { sequence: number; token: string }[] }>(
      `/v1/tokens?agent=${encodeURIComponent(parts.agent)}&after=${after}&limit=${pageSize}`,
    );
    if (page.tokens.length === 0) break;
    for (const { sequence, token } of page.tokens) {
      after = sequence;
      if (sequence > done.last_sequence) break;
      checked += 1;
      if (!replayText(token).same) mismatches += 1;
    }
    screen.progress(`replaying tokens: ${checked} of ${done.last_sequence - done.first_sequence + 1}`);
  }
  const { tally, commands } = done;
  const open =
    (commands.planned ?? 0) +
    (commands.sent ?? 0) +
    (commands.confirmed ?? 0) +
    (commands.in_force ?? 0) +
    (commands.undoing ?? 0) +
    (commands.pending_verification ?? 0);
  return {
    summary: {
      lines: done.lines,
      detections: tally.detections,
      not_detections: tally.notDetections,
      dead_letters: tally.deadLetters,
      duplicates: tally.duplicates,
      decisions: tally.decisions,
      commands: {
        in_force: open,
        undone: commands.undone ?? 0,
        failed: commands.failed ?? 0,
        stuck: commands.stuck ?? 0,
      },
      replay: { checked, mismatches },
      latency_ms: done.latency_ms,
    },
    stored: { decisions: checked, expected: tally.detections },
  };
};
