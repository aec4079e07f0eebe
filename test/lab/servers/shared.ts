/** Servers that take long to start are started once, by whoever needs them first, and stopped when the lab is done. */
const stops: (() => Promise<void>)[] = [];

export const startedOnce = <Server extends { readonly stop: () => Promise<void> }>(
  start: () => Promise<Server>,
): (() => Promise<Server>) => {
  let started: Promise<Server> | undefined;
  return () => {
    started ??= start().then((server) => {
      stops.push(server.stop);
      return server;
    });
    return started;
  };
};

export const stopShared = async (): Promise<void> => {
  await Promise.all(stops.splice(0).map((stop) => stop()));
};
