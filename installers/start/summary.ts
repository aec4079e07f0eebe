/** What `--once --json` prints; every line of the feed is in exactly one of the four counts after `lines`. */
export type Summary = {
  readonly lines: number;
  readonly detections: number;
  readonly not_detections: number;
  readonly dead_letters: number;
  readonly duplicates: number;
  readonly decisions: {
    readonly act: number;
    readonly ask: number;
    readonly hold: number;
    readonly refuse: number;
    readonly observe: number;
  };
  readonly commands: {
    readonly in_force: number;
    readonly undone: number;
    readonly failed: number;
    readonly stuck: number;
  };
  readonly replay: { readonly checked: number; readonly mismatches: number };
  readonly latency_ms: { readonly p50: number; readonly p99: number };
};

/** What must hold for exit code 0; each finding is a sentence for a person. */
export const findings = (
  summary: Summary,
  stored: { readonly decisions: number; readonly expected: number },
): readonly string[] => {
  const found: string[] = [];
  const accounted = summary.detections + summary.not_detections + summary.dead_letters + summary.duplicates;
  if (accounted !== summary.lines) found.push(`${summary.lines} lines were read, but ${accounted} are accounted for`);
  const decided = Object.values(summary.decisions).reduce((sum, count) => sum + count, 0);
  if (decided !== summary.detections) found.push(`${summary.detections} detections, but ${decided} decisions`);
  if (stored.decisions < stored.expected)
    found.push(`${stored.expected} decisions were made, but the controller stores ${stored.decisions}`);
  if (summary.replay.mismatches > 0)
    found.push(`${summary.replay.mismatches} tokens do not replay to the decision they record`);
  if (summary.replay.checked < summary.detections)
    found.push(`only ${summary.replay.checked} of ${summary.detections} tokens could be replayed`);
  return found;
};

export const summaryText = (summary: Summary, problems: readonly string[]): string => {
  const { decisions, commands } = summary;
  return [
    "",
    `${summary.lines} lines: ${summary.detections} detections, ${summary.not_detections} not detections, ${summary.dead_letters} dead letters, ${summary.duplicates} duplicates`,
    `decisions: ${decisions.act} act, ${decisions.ask} ask, ${decisions.hold} hold, ${decisions.refuse} refuse, ${decisions.observe} observe`,
    `commands: ${commands.in_force} in force, ${commands.undone} undone, ${commands.failed} failed, ${commands.stuck} stuck`,
    `replayed ${summary.replay.checked} tokens, ${summary.replay.mismatches} differ`,
    `detection in to decision durable: p50 ${summary.latency_ms.p50} ms, p99 ${summary.latency_ms.p99} ms`,
    ...(problems.length === 0 ? ["nothing was lost"] : problems.map((problem) => `PROBLEM: ${problem}`)),
    "",
  ].join("\n");
};
