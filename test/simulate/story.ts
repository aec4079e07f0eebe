import { createHash } from "node:crypto";

/** What happened, a line each: the end of it to read, all of it as a hash to compare two runs. */
export type Story = {
  readonly tell: (atMs: number, line: string) => void;
  readonly last: () => readonly string[];
  readonly length: () => number;
  readonly hash: () => string;
};

/** Enough to see what led to it. */
const linesKept = 60;

export const createStory = (onLine?: (line: string) => void): Story => {
  const hash = createHash("sha256");
  let lines: string[] = [];
  let length = 0;
  return {
    tell: (atMs, text) => {
      const line = `${clockOf(atMs)} ${text}`;
      hash.update(line).update("\n");
      length += 1;
      lines.push(line);
      if (lines.length > 4 * linesKept) lines = lines.slice(-linesKept);
      onLine?.(line);
    },
    last: () => lines.slice(-linesKept),
    length: () => length,
    hash: () => hash.copy().digest("hex"),
  };
};

const clockOf = (atMs: number): string => {
  const two = (value: number): string => String(Math.floor(value)).padStart(2, "0");
  const ms = String(atMs % 1_000).padStart(3, "0");
  return `${two(atMs / 3_600_000)}:${two((atMs / 60_000) % 60)}:${two((atMs / 1_000) % 60)}.${ms}`;
};
