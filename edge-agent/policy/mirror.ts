import type { Refusal } from "@reflex/protocol/refusal";
import { ok, type Result } from "@reflex/protocol/result";
import type { Crypto } from "../ports.ts";
import type { Slots } from "./slots-port.ts";

/** A small file kept twice with a digest, so that one damaged sector loses nothing. */
export type Mirror = {
  /** Both copies, best effort; ok when at least the first is durable. */
  readonly write: (text: string) => Promise<Result<void, Refusal>>;
  /** Undamaged copies, `found` counting the files that are there at all. */
  readonly read: () => Promise<{ readonly texts: readonly string[]; readonly found: number }>;
};

const digestLength = 64;

export const createMirror = (
  deps: { readonly slots: Slots; readonly crypto: Crypto },
  name: string,
  bytesMax: number,
): Mirror => {
  const { slots, crypto } = deps;
  const names = [`${name}.a`, `${name}.b`];
  return {
    write: async (text) => {
      const bytes = crypto.utf8(`${crypto.sha256Hex(text)}${text}`);
      const results: Result<void, Refusal>[] = [];
      for (const each of names) results.push(await slots.write(each, bytes));
      return results.find((result) => result.ok) ?? results[0] ?? ok(undefined);
    },
    read: async () => {
      const texts: string[] = [];
      let found = 0;
      for (const each of names) {
        const read = await slots.read(each, bytesMax);
        if (read.ok && read.value === undefined) continue;
        found += 1;
        const whole = read.ok && read.value !== undefined ? crypto.textOf(read.value) : undefined;
        const text = whole?.slice(digestLength);
        if (text !== undefined && crypto.sha256Hex(text) === whole?.slice(0, digestLength)) texts.push(text);
      }
      return { texts, found };
    },
  };
};
