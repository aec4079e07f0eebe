/** Runs one after the other, in the order asked for. */
export type Turns = <T>(run: () => Promise<T>) => Promise<T>;

export const createTurns = (): Turns => {
  let last: Promise<unknown> = Promise.resolve();
  return (run) => {
    const turn = last.then(run);
    last = turn.catch(() => undefined);
    return turn;
  };
};
