import type { IncomingMessage } from "node:http";
import type { Server } from "node:https";
import type { Duplex } from "node:stream";
import { type WebSocket, WebSocketServer } from "ws";
import type { Live, LiveItem } from "../link/live.ts";
import type { Callers } from "./callers.ts";

/** People watching at once; each costs a copy of every item. */
const watchersMax = 200;
/** A reader this far behind is skipped and told how much it missed: what it sees is newest, and memory stays flat. */
const waitingBytesMax = 1024 * 1024;
const pingEveryMs = 30_000;
/** Browsers cannot set headers on a WebSocket; the token then comes as a subprotocol, which no log and no address shows. */
const bearerProtocol = "reflex.bearer.";

export const serveLive = (server: Server, live: Live, callers: Callers): { readonly close: () => void } => {
  const sockets = new WebSocketServer({
    noServer: true,
    maxPayload: 1_024,
    handleProtocols: (offered) => [...offered].find((protocol) => protocol.startsWith(bearerProtocol)) ?? false,
  });

  server.on("upgrade", (request: IncomingMessage, socket: Duplex, head: Buffer) => {
    socket.on("error", () => socket.destroy());
    const refusedBy = (status: string): void => {
      socket.end(`HTTP/1.1 ${status}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n`);
    };
    if (new URL(request.url ?? "/", "https://controller").pathname !== "/v1/live") return refusedBy("404 Not Found");
    if (!callers.operator(authorizationOf(request), "viewer").ok) return refusedBy("401 Unauthorized");
    if (sockets.clients.size >= watchersMax) return refusedBy("503 Service Unavailable");
    sockets.handleUpgrade(request, socket, head, (webSocket) => watch(webSocket, live));
  });

  return {
    close: () => {
      for (const client of sockets.clients) client.terminate();
      sockets.close();
    },
  };
};

const authorizationOf = ({ headers }: IncomingMessage): string | undefined => {
  if (headers.authorization !== undefined) return headers.authorization;
  const offered = (headers["sec-websocket-protocol"] ?? "").split(",").map((protocol) => protocol.trim());
  const bearer = offered.find((protocol) => protocol.startsWith(bearerProtocol));
  return bearer === undefined ? undefined : `Bearer ${bearer.slice(bearerProtocol.length)}`;
};

const watch = (webSocket: WebSocket, live: Live): void => {
  let missed = 0;
  let isAlive = true;
  const stop = live.watch((item: LiveItem) => {
    if (webSocket.bufferedAmount > waitingBytesMax) {
      missed += 1;
      return;
    }
    if (missed > 0) webSocket.send(JSON.stringify({ kind: "missed", count: missed }));
    missed = 0;
    webSocket.send(JSON.stringify(item));
  });
  const ping = setInterval(() => {
    if (!isAlive) return webSocket.terminate();
    isAlive = false;
    webSocket.ping();
  }, pingEveryMs);
  webSocket.on("pong", () => {
    isAlive = true;
  });
  webSocket.on("error", () => webSocket.terminate());
  webSocket.on("close", () => {
    clearInterval(ping);
    stop();
  });
};
