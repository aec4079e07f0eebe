import { type Dice, rollDice } from "./dice.ts";
import type { Ending, Guarantee, Happening } from "./happening.ts";
import { createStory, type Story } from "./story.ts";
import { createSimulatedTime, type Owner, type SimulatedTime } from "./time.ts";

/** How bad the world is at the moment. Chances are per step; all of it is zero when the world is quiet. */
export type Weather = {
  /** kill -9 at a durable step or at a call. */
  crash: number;
  /** One failing write. */
  diskError: number;
  isDiskFull: boolean;
  slowDisk: number;
  lost: number;
  doubled: number;
  delayed: number;
  isCutOff: boolean;
  isControllerDown: boolean;
  storeError: number;
  /** A call at a connector goes wrong. */
  callTrouble: number;
  readonly deadConnectors: Set<string>;
  /** The agent's process does not run until then, as after a suspend. */
  pausedUntilMs: number;
};

export const fairWeather = (): Weather => ({
  crash: 0,
  diskError: 0,
  isDiskFull: false,
  slowDisk: 0,
  lost: 0,
  doubled: 0,
  delayed: 0,
  isCutOff: false,
  isControllerDown: false,
  storeError: 0,
  callTrouble: 0,
  deadConnectors: new Set(),
  pausedUntilMs: 0,
});

export type Breach = { readonly guarantee: string; readonly what: string; readonly atMs: number };

/** What every part of a simulated world shares. */
export type Sim = {
  readonly dice: Dice;
  readonly time: SimulatedTime;
  readonly story: Story;
  readonly weather: Weather;
  /** The world itself: owns what goes on whether the agent lives or not. */
  readonly world: Owner;
  readonly tell: (line: string) => void;
  /** Tells it to the guarantees. */
  readonly happened: (happening: Happening) => void;
  readonly ended: (ending: Ending) => void;
  readonly breaches: readonly Breach[];
  readonly breach: (guarantee: string, what: string) => void;
  readonly count: (what: string) => void;
  readonly counts: ReadonlyMap<string, number>;
};

export const createSim = (seed: number, guarantees: readonly Guarantee[], onLine?: (line: string) => void): Sim => {
  const time = createSimulatedTime();
  const story = createStory(onLine);
  const breaches: Breach[] = [];
  const counts = new Map<string, number>();
  const tell = (line: string): void => story.tell(time.nowMs(), line);
  const breach = (guarantee: string, what: string): void => {
    breaches.push({ guarantee, what, atMs: time.nowMs() });
    tell(`BROKEN ${guarantee}: ${what}`);
  };
  return {
    dice: rollDice(seed),
    time,
    story,
    weather: fairWeather(),
    world: { isAlive: true },
    tell,
    happened: (happening) => {
      for (const guarantee of guarantees) {
        const what = guarantee.note(happening, time.nowMs());
        if (what !== undefined) breach(guarantee.name, what);
      }
    },
    ended: (ending) => {
      for (const guarantee of guarantees) for (const what of guarantee.atEnd(ending)) breach(guarantee.name, what);
    },
    breaches,
    breach,
    count: (what) => counts.set(what, (counts.get(what) ?? 0) + 1),
    counts,
  };
};
