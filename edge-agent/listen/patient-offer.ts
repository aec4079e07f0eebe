import { type Backoff, createBackoff } from "../link/backoff.ts";
import type { Random, RawRecord, RecordFate, Timers } from "../ports.ts";

export type PatientOffer = {
  /** Resolves when the next record may be offered; its fate comes later, to `onSettled`. */
  readonly offer: (record: Omit<RawRecord, "settle">, onSettled: (fate: RecordFate) => void) => Promise<void>;
  /** No more offers and no more second tries; resolves when nothing is in flight. */
  readonly stop: () => Promise<void>;
  /** Resolves when nothing is in flight. */
  readonly whenIdle: () => Promise<void>;
  readonly inFlight: () => number;
};

export type PatientOfferDeps = {
  readonly offer: (record: RawRecord) => Promise<void>;
  readonly timers: Timers;
  readonly random: Random;
  readonly inFlightMax: number;
};

/**
 * For sources that hold their records themselves: at most `inFlightMax` records are out at once, and one that was not taken
 * is offered again after a growing, random delay until it is. Stopping hands `not_taken` to what still waits.
 */
export const createPatientOffer = ({ offer, timers, random, inFlightMax }: PatientOfferDeps): PatientOffer => {
  let inFlight = 0;
  let stopped = false;
  const waitingForRoom: (() => void)[] = [];
  const waitingForIdle: (() => void)[] = [];
  const givenUp = new Set<() => void>();

  const settled = (fate: RecordFate, onSettled: (fate: RecordFate) => void): void => {
    inFlight -= 1;
    onSettled(fate);
    waitingForRoom.shift()?.();
    if (inFlight === 0) for (const wake of waitingForIdle.splice(0)) wake();
  };

  const tryOnce = (record: Omit<RawRecord, "settle">, onSettled: (fate: RecordFate) => void, backoff: Backoff) =>
    offer({
      ...record,
      settle: (fate) => {
        if (fate.kind !== "not_taken" || stopped) return settled(fate, onSettled);
        const giveUp = (): void => {
          cancel();
          givenUp.delete(giveUp);
          settled(fate, onSettled);
        };
        const cancel = timers.after(backoff.nextMs(), () => {
          givenUp.delete(giveUp);
          void tryOnce(record, onSettled, backoff);
        });
        givenUp.add(giveUp);
      },
    });

  const patientOffer = async (
    record: Omit<RawRecord, "settle">,
    onSettled: (fate: RecordFate) => void,
  ): Promise<void> => {
    while (inFlight >= inFlightMax && !stopped) await new Promise<void>((wake) => waitingForRoom.push(wake));
    if (stopped) {
      onSettled({ kind: "not_taken", refusal: { code: "queue-full", detail: "the source is stopping" } });
      return;
    }
    inFlight += 1;
    await tryOnce(record, onSettled, createBackoff(random, retryFirstMs, retryLongestMs));
  };

  const whenIdle = (): Promise<void> =>
    inFlight === 0 ? Promise.resolve() : new Promise((wake) => waitingForIdle.push(wake));

  const stop = (): Promise<void> => {
    stopped = true;
    for (const giveUp of [...givenUp]) giveUp();
    for (const wake of waitingForRoom.splice(0)) wake();
    return whenIdle();
  };

  return { offer: patientOffer, stop, whenIdle, inFlight: () => inFlight };
};

/** First delay is up to this long, and doubles. */
export const retryFirstMs = 500;
/** Longest delay: a person who freed disk space should see work go on while still looking. */
export const retryLongestMs = 30_000;
