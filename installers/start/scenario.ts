import { readFileSync } from "node:fs";
import type { Writable } from "node:stream";

/** Between two records of the scenario: slow enough to read along, fast enough to stay. */
const paceMs = 900;

/**
 * Plays the built-in attack live: times are now, ids are of this run, so that each start is a new attack. Repeats within the
 * file stay repeats: a line that equals an earlier one is sent as the very same bytes.
 */
export const playScenario = async (
  path: string,
  into: Writable,
  options: { readonly paced: boolean; readonly signal: AbortSignal; readonly nowMs: () => number },
): Promise<void> => {
  const run = options.nowMs().toString(36);
  const sent = new Map<string, string>();
  const lines = readFileSync(path, "utf8")
    .split("\n")
    .filter((line) => line.trim() !== "");
  for (const [index, line] of lines.entries()) {
    if (options.signal.aborted) break;
    const text =
      sent.get(line) ??
      fill(line, { now: new Date(options.nowMs()).toISOString(), run, number: String(options.nowMs() * 100 + index) });
    sent.set(line, text);
    into.write(`${text}\n`);
    if (options.paced) await new Promise((wake) => setTimeout(wake, paceMs));
  }
  into.end();
};

const fill = (line: string, values: Readonly<Record<string, string>>): string =>
  line.replace(/\{\{(\w+)\}\}/g, (_, name: string) => values[name] ?? "");
