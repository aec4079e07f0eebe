import { createServer } from "node:net";

export type Port = { readonly port: number; readonly host: string; readonly use: string };

/** Each port this start will listen on; port 0 is any free one and always free. */
export const portsOf = (portBase: number, isRecording: boolean): readonly Port[] =>
  portBase === 0
    ? []
    : [
        { port: portBase, host: "0.0.0.0", use: "API" },
        { port: portBase + 1, host: "0.0.0.0", use: "broker" },
        ...(isRecording ? [] : [{ port: portBase + 2, host: "127.0.0.1", use: "webhook" }]),
        { port: portBase + 3, host: "127.0.0.1", use: "EDL" },
      ];

/** Throws with the port that is taken: found out here it is one sentence, found out by a part it is a log to read. */
export const checkPorts = async (ports: readonly Port[]): Promise<void> => {
  for (const { port, host, use } of ports) {
    const code = await tryPort(port, host);
    if (code === undefined) continue;
    const why = code === "EADDRINUSE" ? "is in use by another program" : `cannot be used (${code})`;
    throw new Error(
      `port ${port} for the ${use} ${why}; stop what uses it, or choose other ports with --port-base (0 = any free ones)`,
    );
  }
};

const tryPort = (port: number, host: string): Promise<string | undefined> =>
  new Promise((done) => {
    const probe = createServer();
    probe.once("error", (error: NodeJS.ErrnoException) => done(error.code ?? error.message));
    probe.listen(port, host, () => probe.close(() => done(undefined)));
  });
