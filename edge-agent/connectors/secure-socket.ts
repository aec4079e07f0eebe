import { connect as connectTcp, isIP, type Socket } from "node:net";
import { type ConnectionOptions, connect as connectTls, getCACertificates } from "node:tls";
import { err, ok, type Result } from "@reflex/protocol/result";

/** PEM, all. */
export type SocketTls = {
  /** Trusted besides the public authorities. */
  readonly ca?: string;
  /** Shown to a server that asks who we are. */
  readonly cert?: string;
  readonly key?: string;
};
export type SocketPlace = { readonly host: string; readonly port: number };

export const openPlainSocket = (place: SocketPlace, deadlineMs: number): Promise<Result<Socket, string>> =>
  ready(connectTcp({ ...place }), "connect", deadlineMs);

/** A socket whose far end is who its certificate says, over `under` if a connection stands already. Checking cannot be turned off. */
export const openTlsSocket = (
  { host, port }: SocketPlace,
  { ca, cert, key }: SocketTls,
  deadlineMs: number,
  under?: Socket,
): Promise<Result<Socket, string>> => {
  const options: ConnectionOptions = {
    host,
    ...(under === undefined ? { port } : { socket: under }),
    rejectUnauthorized: true,
    minVersion: "TLSv1.2",
    ...(isIP(host) === 0 ? { servername: host } : {}),
    ...(ca === undefined ? {} : { ca: [...getCACertificates("default"), ca] }),
    ...(cert === undefined || key === undefined ? {} : { cert, key }),
  };
  return ready(connectTls(options), "secureConnect", deadlineMs);
};

const ready = <T extends Socket>(
  socket: T,
  event: "connect" | "secureConnect",
  deadlineMs: number,
): Promise<Result<T, string>> =>
  new Promise((resolve) => {
    const late = setTimeout(() => socket.destroy(new Error("no connection in time")), Math.max(1, deadlineMs));
    const settle = (result: Result<T, string>): void => {
      clearTimeout(late);
      resolve(result);
    };
    // Stays: an error nobody listens for ends the process.
    socket.on("error", (error) => settle(err(sentenceOf(error))));
    socket.once("close", () => settle(err("the connection was closed")));
    socket.once(event, () => settle(ok(socket)));
  });

/** One line, bounded; of several addresses that were tried, the first one's reason. */
export const sentenceOf = (error: unknown): string => {
  const [first] = error instanceof AggregateError ? (error.errors as readonly unknown[]) : [];
  const shown = first ?? error;
  return (shown instanceof Error ? shown.message : "it failed").split("\n", 1)[0]?.slice(0, 300) || "it failed";
};
