import type { Socket } from "node:net";
import { actions } from "@reflex/protocol/action";
import { refusal } from "@reflex/protocol/refusal";
import { err, ok } from "@reflex/protocol/result";
import type { Clock } from "../../ports.ts";
import type { ApplyOutcome, Connector } from "../contract.ts";
import { openPlainSocket, openTlsSocket, type SocketPlace, type SocketTls, sentenceOf } from "../secure-socket.ts";
import { formatNotice, type NoticeOptions } from "./notice.ts";
import { frame } from "./rfc5424.ts";

export type SyslogOptions = {
  readonly name: string;
  readonly place: SocketPlace;
  /** Absent: plain TCP, which the configuration allows on loopback alone. */
  readonly tls?: SocketTls;
  readonly notice: NoticeOptions;
  readonly callMs: number;
  readonly clock: Clock;
};

/**
 * Tells a log collector (`notify`): RFC 5424 over TLS (RFC 5425) or TCP, each message framed by its length. Syslog has no receipts,
 * so this is at most once: what is sent cannot be asked after, nor taken back.
 */
export const createSyslog = (options: SyslogOptions): Connector => {
  const inFlight = new Set<Socket>();

  const apply: Connector["apply"] = async (call) => {
    if (call.action !== "notify") {
      return { kind: "refused", ...refusal("connector-unknown", `a log collector cannot ${call.action}`) };
    }
    const startedAtMs = performance.now();
    const opened = await (options.tls === undefined
      ? openPlainSocket(options.place, options.callMs)
      : openTlsSocket(options.place, options.tls, options.callMs));
    if (!opened.ok) return { kind: "retry", detail: opened.error };
    const message = frame(formatNotice(options.notice, call, options.clock.nowMs()));
    inFlight.add(opened.value);
    const handshakeMs = performance.now() - startedAtMs;
    const outcome = await deliver(opened.value, message, handshakeMs, options.callMs - handshakeMs);
    inFlight.delete(opened.value);
    return outcome;
  };

  return {
    name: options.name,
    describe: () => ({
      about: `syslog (${options.notice.format === "cef" ? "CEF" : "RFC 5424"}) to ${options.place.host}:${options.place.port}; no receipt, at most once`,
      actions: {
        notify: { targets: actions.notify.targets, nativeTtl: false, canVerify: false, canUndo: false },
      },
      needs: ["a collector that takes messages framed by their length and closes a connection that its sender ended"],
      callsAtOnceMax: 4,
    }),
    start: async () => ok(undefined),
    captureUndo: async ({ action }) =>
      action === "notify" ? ok("") : err(refusal("connector-unknown", `a log collector cannot ${action}`)),
    apply,
    verify: async () => ({ kind: "unknown", detail: "syslog has no receipts" }),
    undo: async () => ({ kind: "undone", detail: "a notice cannot be taken back" }),
    stop: async () => {
      for (const socket of inFlight) socket.destroy();
    },
  };
};

/** A collector that turns us away does so within a round trip, and the handshake took at least one. */
const refusalMs = { min: 20, max: 500 } as const;

/**
 * One connection a message. On a kept one, the first message after the collector went away is written without an error and is lost;
 * here the collector ends its side only after it has read everything up to our end, which is as near to a receipt as syslog comes.
 * One that ends before we do has not waited for the message.
 */
const deliver = (socket: Socket, message: Buffer, handshakeMs: number, deadlineMs: number): Promise<ApplyOutcome> =>
  new Promise((resolve) => {
    let isOurEndSent = false;
    let isTaken = false;
    let failure = "the collector did not close the connection; it may have read the message";
    let ending: NodeJS.Timeout | undefined;
    const late = setTimeout(() => socket.destroy(), Math.max(1, deadlineMs));
    socket.once("end", () => {
      isTaken = isOurEndSent;
      if (!isTaken) failure = "the collector hung up before the message ended";
    });
    socket.on("error", (error) => {
      isTaken = false;
      failure = sentenceOf(error);
    });
    socket.once("close", (hadError) => {
      clearTimeout(late);
      clearTimeout(ending);
      const isRead = isTaken && !hadError;
      resolve(isRead ? { kind: "applied", detail: "sent, and read to its end" } : { kind: "unknown", detail: failure });
    });
    // What a collector says back has no meaning; unread, it would hold the end back.
    socket.resume();
    socket.write(message, () => {
      const graceMs = Math.min(Math.max(handshakeMs, refusalMs.min), refusalMs.max);
      ending = setTimeout(() => {
        isOurEndSent = !socket.readableEnded;
        socket.end();
      }, graceMs);
    });
  });
