import { entityKey } from "@reflex/protocol/entity";
import { capOfBlocks, capOfHosts } from "../bundles.ts";
import type { Guarantee } from "../happening.ts";

type Use = { readonly atMs: number; readonly target: string };

/**
 * What really came into force, by when it was decided: in no window more than the cap. What a late undo of another command
 * took away before it was confirmed gave its place back, as the design says of what is provably not done.
 */
export const theCapHolds = (): Guarantee => {
  const effects = new Map<string, string>();
  const holders = new Map<string, string>();
  return {
    name: "the cap holds",
    note: (happening) => {
      if (happening.kind === "effect") {
        effects.set(happening.key, happening.action);
        holders.set(`${happening.action}|${happening.target}`, happening.key);
      }
      if (happening.kind === "removed" && happening.by === "undo") {
        const holder = holders.get(`${happening.action}|${happening.target}`);
        if (holder !== undefined && holder !== happening.key) effects.delete(holder);
      }
      return undefined;
    },
    atEnd: ({ rows }) => {
      const usesOf = (action: string): Use[] =>
        rows
          .filter(({ command }) => effects.get(command.idempotency_key) === action)
          .map(({ command }) => ({ atMs: Date.parse(command.issued_at), target: entityKey(command.target) }))
          .sort((a, b) => a.atMs - b.atMs);
      return [
        ...exceeded("blocks by the agent", usesOf("block_ip"), capOfBlocks, (uses) => uses.length),
        ...exceeded(
          "hosts of the subnet",
          usesOf("isolate_host"),
          capOfHosts,
          (uses) => new Set(uses.map(({ target }) => target)).size,
        ),
      ];
    },
  };
};

const exceeded = (
  what: string,
  uses: readonly Use[],
  { max, windowSeconds }: { readonly max: number; readonly windowSeconds: number },
  countOf: (uses: readonly Use[]) => number,
): readonly string[] =>
  uses.flatMap(({ atMs }) => {
    const count = countOf(uses.filter((use) => use.atMs <= atMs && use.atMs > atMs - windowSeconds * 1_000));
    return count > max ? [`${count} ${what} in ${windowSeconds} s, ${max} are allowed`] : [];
  });
