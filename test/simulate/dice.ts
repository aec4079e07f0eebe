import { createDice } from "../bench/random.ts";

/** Everything random in a simulation comes from here, so that a seed is a whole history. */
export type Dice = {
  /** In [0,1). */
  readonly next: () => number;
  readonly chance: (probability: number) => boolean;
  /** Integer in [from,to]. */
  readonly between: (from: number, to: number) => number;
  readonly pick: <const List extends readonly [unknown, ...unknown[]]>(list: List) => List[number];
  /** A time to wait for what happens once in `meanMs` on average, never at once and never for ever. */
  readonly around: (meanMs: number) => number;
  readonly bytes: (count: number) => Uint8Array;
  /** Another stream: drawing from one does not move the other. */
  readonly fork: () => Dice;
};

export const rollDice = (seed: number): Dice => {
  const { next, below, chance } = createDice(seed);
  const between = (from: number, to: number): number => from + below(to - from + 1);
  return {
    next,
    chance: (probability) => probability > 0 && chance(probability),
    between,
    pick: (list) => list[below(list.length)],
    around: (meanMs) => Math.round(Math.min(6 * meanMs, Math.max(1, -Math.log(1 - next()) * meanMs))),
    bytes: (count) => Uint8Array.from({ length: count }, () => below(256)),
    fork: () => rollDice(between(0, 0xffff_fffe)),
  };
};
