import { plain } from "@reflex/controller/reflexctl/table";
import { type Entity, entityText } from "@reflex/protocol/entity";
import type { Token } from "@reflex/protocol/token";

export type Screen = {
  readonly say: (text: string) => void;
  readonly decision: (token: Token) => void;
  readonly command: (row: {
    readonly action: string;
    readonly target: Entity;
    readonly state: string;
    readonly undo_at?: string;
    readonly code?: string;
  }) => void;
  /** One line that is overwritten on a terminal and printed now and then elsewhere. */
  readonly progress: (text: string) => void;
};

const colours = { act: 31, ask: 33, hold: 90, refuse: 35, observe: 36 } as const;
/** On a pipe, at most one progress line per this many milliseconds. */
const progressEveryMs = 2_000;

export const createScreen = (out: NodeJS.WriteStream, nowMs: () => number): Screen => {
  const terminal = out.isTTY === true;
  let progressShown = false;
  let progressAtMs = 0;
  const paint = (code: number, text: string): string => (terminal ? `\u001b[${code}m${text}\u001b[0m` : text);
  const write = (text: string): void => {
    if (progressShown && terminal) out.write("\r\u001b[2K");
    progressShown = false;
    out.write(`${text}\n`);
  };
  const width = (): number => (terminal ? Math.max(60, out.columns) : 240);

  return {
    say: write,
    decision: ({ header, decision, detection }) => {
      const time = header.decided_at.slice(11, 19);
      const head = `${time}  ${paint(colours[decision.verdict], decision.verdict.toUpperCase().padEnd(7))} ${plain(detection.rule.name)} (${detection.severity}, score ${decision.score.toFixed(2)})`;
      write(head);
      write(`          ${paint(90, plain(decision.justification).slice(0, 4 * width()))}`);
    },
    command: (row) => {
      const due = row.undo_at === undefined ? "" : `, undo due ${row.undo_at}`;
      const why = row.code === undefined ? "" : ` (${row.code})`;
      write(`          ${paint(32, "->")} ${row.action} ${plain(entityText(row.target))}: ${row.state}${why}${due}`);
    },
    progress: (text) => {
      if (terminal) {
        out.write(`\r\u001b[2K${text}`);
        progressShown = true;
        return;
      }
      if (nowMs() - progressAtMs < progressEveryMs) return;
      progressAtMs = nowMs();
      out.write(`${text}\n`);
    },
  };
};
