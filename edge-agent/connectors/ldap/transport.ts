import type { Socket } from "node:net";
import { err, ok, type Result } from "@reflex/protocol/result";
import { isLoopback } from "../loopback.ts";
import { openPlainSocket, openTlsSocket, type SocketTls } from "../secure-socket.ts";

export type TransportOptions = SocketTls & {
  /** `ldaps://host[:port]`, or `ldap://host[:port]`: then TLS is started before anything is said, except on loopback if not wanted. */
  readonly url: string;
  readonly startTls: boolean;
};

/** What is wrong with the address, before anything is opened. */
export const checkTransport = ({ url, startTls }: Pick<TransportOptions, "url" | "startTls">): string | undefined => {
  const { protocol, host, isBare } = partsOf(url);
  if (protocol !== "ldaps:" && protocol !== "ldap:") return "the url is ldaps://host or ldap://host";
  if (!isBare) return "the url names host and port alone: no user, path or query";
  if (protocol === "ldaps:" && startTls) return "ldaps:// is TLS from the first byte; start_tls is for ldap://";
  if (protocol === "ldap:" && !startTls && !isLoopback(host)) {
    return `ldap://${host} would send passwords readable: use ldaps:// or start_tls (plain only on loopback)`;
  }
  return undefined;
};

/** A socket whose far end is who its certificate says. Checking it cannot be turned off. */
export const openTransport = async (options: TransportOptions, deadlineMs: number): Promise<Result<Socket, string>> => {
  const wrong = checkTransport(options);
  if (wrong !== undefined) return err(wrong);
  const { protocol, host, port } = partsOf(options.url);
  const endsAtMs = performance.now() + deadlineMs;
  const leftMs = (): number => endsAtMs - performance.now();
  if (protocol === "ldaps:") return openTlsSocket({ host, port }, options, leftMs());
  const plain = await openPlainSocket({ host, port }, leftMs());
  if (!plain.ok || !options.startTls) return plain;
  const started = await startTls(plain.value, leftMs());
  if (!started.ok) {
    plain.value.destroy();
    return started;
  }
  return openTlsSocket({ host, port }, options, leftMs(), plain.value);
};

const partsOf = (text: string) => {
  const url = URL.parse(text);
  const protocol = url?.protocol ?? "";
  return {
    protocol,
    host: (url?.hostname ?? "").replace(/^\[|\]$/g, ""),
    port: Number(url?.port || (protocol === "ldaps:" ? 636 : 389)),
    isBare: url !== null && url.hostname !== "" && `${url.protocol}//${url.host}` === url.href.replace(/\/$/, ""),
  };
};

/** RFC 4511 4.14: message 1, extended request 1.3.6.1.4.1.1466.20037. */
const startTlsRequest = Buffer.concat([
  Buffer.from([0x30, 0x1d, 0x02, 0x01, 0x01, 0x77, 0x18, 0x80, 0x16]),
  Buffer.from("1.3.6.1.4.1.1466.20037", "latin1"),
]);
/** The answer is one short message: a code, two texts and a name. */
const startTlsAnswerBytesMax = 4_096;

/**
 * Asks for TLS and takes exactly one answer. Bytes behind it came before the encryption, from whoever stands between: taken as
 * answers later they would be believed (CVE-2011-0411 and its kin), so they end the connection.
 */
const startTls = (socket: Socket, deadlineMs: number): Promise<Result<void, string>> =>
  new Promise((resolve) => {
    let bytes = Buffer.alloc(0);
    const late = setTimeout(() => settle(err("no answer to StartTLS in time")), Math.max(1, deadlineMs));
    const settle = (result: Result<void, string>): void => {
      clearTimeout(late);
      socket.off("data", onData);
      socket.off("close", onClose);
      socket.pause();
      resolve(result);
    };
    const onClose = (): void => settle(err("the server closed the connection instead of starting TLS"));
    const onData = (chunk: Buffer): void => {
      bytes = Buffer.concat([bytes, chunk]);
      const answer = readStartTlsAnswer(bytes);
      if (answer !== "incomplete") settle(answer);
      else if (bytes.length > startTlsAnswerBytesMax) settle(err("the answer to StartTLS is too long"));
    };
    socket.on("data", onData);
    socket.once("close", onClose);
    socket.write(startTlsRequest);
  });

/** The bytes are one LDAP message with result code 0 for message 1, and nothing else. */
export const readStartTlsAnswer = (bytes: Uint8Array): Result<void, string> | "incomplete" => {
  const whole = elementAt(bytes, 0);
  if (whole === undefined) return bytes.length === 0 || bytes[0] === 0x30 ? "incomplete" : err("this is not LDAP");
  if (bytes[0] !== 0x30) return err("this is not LDAP");
  if (bytes.length > whole.end) return err("the server spoke on before TLS stood");
  const id = elementAt(bytes, whole.start);
  const body = id === undefined ? undefined : elementAt(bytes, id.end);
  const code = body === undefined ? undefined : elementAt(bytes, body.start);
  const isAnswer =
    id !== undefined &&
    body !== undefined &&
    code !== undefined &&
    code.end <= body.end &&
    // Controls may follow the answer inside its message.
    (body.end === whole.end || bytes[body.end] === 0xa0) &&
    bytes[whole.start] === 0x02 &&
    id.end - id.start === 1 &&
    bytes[id.start] === 1 &&
    bytes[id.end] === 0x78 &&
    bytes[body.start] === 0x0a &&
    code.end - code.start === 1;
  if (!isAnswer) return err("the answer to StartTLS makes no sense");
  return bytes[code.start] === 0 ? ok(undefined) : err(`the server refuses StartTLS (LDAP code ${bytes[code.start]})`);
};

/** Where the content of the BER element at `at` starts and ends; undefined while its bytes are not all there. */
const elementAt = (bytes: Uint8Array, at: number): { readonly start: number; readonly end: number } | undefined => {
  const first = bytes[at + 1];
  if (first === undefined) return undefined;
  const lengthBytes = first < 0x80 ? 0 : first & 0x7f;
  if (lengthBytes > 4 || first === 0x80) return { start: at + 2, end: at + 2 };
  const start = at + 2 + lengthBytes;
  if (start > bytes.length) return undefined;
  let length = lengthBytes === 0 ? first : 0;
  for (const byte of bytes.subarray(at + 2, start)) length = length * 256 + byte;
  const end = start + length;
  return end > bytes.length ? undefined : { start, end };
};
