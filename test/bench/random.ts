/** Seeded dice: the same seed gives the same workload on every machine. */
export type Dice = {
  /** In [0,1). */
  readonly next: () => number;
  /** Integer in [0,below). */
  readonly below: (below: number) => number;
  readonly chance: (probability: number) => boolean;
  /** Index in [0,below), low ones far more often: real values are skewed, and skew is what index structures trip over. */
  readonly skewed: (below: number) => number;
};

/** mulberry32: 32 bits of state, good enough to spread values, exact in every engine. */
export const createDice = (seed: number): Dice => {
  let state = seed >>> 0;
  const next = (): number => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296;
  };
  const below = (bound: number): number => Math.floor(next() * bound);
  return {
    next,
    below,
    chance: (probability) => next() < probability,
    skewed: (bound) => Math.floor(next() ** 2 * bound),
  };
};
