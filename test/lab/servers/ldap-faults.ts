import { type AddressInfo, connect, type Socket } from "node:net";
import { createServer } from "node:tls";
import { createTestAuthority, type ServerCertificate, type TestAuthority } from "../../conformance/certificates.ts";
import type { Fault, FaultControl, FaultName } from "../../conformance/subject.ts";

/** Stands between a connector and a directory, reads along, and lets things go wrong. */
export type LdapFaults = {
  /** `ldaps://127.0.0.1:<port>` */
  readonly url: string;
  readonly caPem: string;
  readonly faults: FaultControl;
  readonly close: () => Promise<void>;
};

/** First bytes of the operations of RFC 4511 appendix B. */
const tags = { bind: 0x60, unbind: 0x42, search: 0x63, searchDone: 0x65, modify: 0x66, modifyDone: 0x67 } as const;
const resultCodes = { success: 0, busy: 51, unavailable: 52, other: 80 } as const;

const can: readonly FaultName[] = [
  "timeout after success",
  "partial answer",
  "5xx before handling",
  "5xx after handling",
  "reset before handling",
  "reset after handling",
  "slow body",
  "TLS name mismatch",
];
/** Befall calls that changed something. */
const ofChanges: ReadonlySet<FaultName> = new Set(["timeout after success", "partial answer", "5xx after handling"]);

let shared: Promise<{ authority: TestAuthority; good: ServerCertificate; wrong: ServerCertificate }> | undefined;
const certificates = () => {
  shared ??= createTestAuthority().then(async (authority) => ({
    authority,
    good: await authority.issue(["127.0.0.1"]),
    wrong: await authority.issue(["elsewhere.example"]),
  }));
  return shared;
};

/** `port` is where the directory speaks plain LDAP on loopback. */
export const startLdapFaults = async (port: number): Promise<LdapFaults> => {
  const { authority, good, wrong } = await certificates();
  const sockets = new Set<Socket>();
  const hanging = new Set<Socket>();
  let fault: Fault | undefined;
  let passed = 0;
  let befallen = 0;
  let calls = 0;

  const strikes = (): boolean => {
    if (fault === undefined) return false;
    if (passed < (fault.skip ?? 0)) {
      passed += 1;
      return false;
    }
    if (befallen >= (fault.times ?? Number.POSITIVE_INFINITY)) return false;
    befallen += 1;
    return true;
  };

  const server = createServer(good, (client) => {
    const directory = connect(port, "127.0.0.1");
    /** Questions whose answer goes wrong, by message id. */
    const struck = new Map<number, FaultName>();
    const cutBoth = (): void => {
      client.destroy();
      directory.destroy();
    };
    for (const socket of [client, directory]) {
      sockets.add(socket);
      socket.on("error", cutBoth).on("close", () => {
        sockets.delete(socket);
        hanging.delete(socket);
        cutBoth();
      });
    }
    const asked = createReader((message) => {
      const name = fault?.name;
      const isCall = message.tag !== tags.bind && message.tag !== tags.unbind;
      if (isCall) calls += 1;
      if (isCall && name !== undefined && !ofChanges.has(name) && name !== "TLS name mismatch" && strikes()) {
        if (name === "reset before handling") return cutBoth();
        if (name === "5xx before handling") {
          const code = befallen % 2 === 1 ? resultCodes.busy : resultCodes.unavailable;
          return void client.write(answerTo(message, code));
        }
        struck.set(message.id, name);
      }
      directory.write(message.bytes);
    });
    const answered = createReader((message) => {
      let name = struck.get(message.id);
      const hasChanged = message.tag === tags.modifyDone && message.resultCode === resultCodes.success;
      if (hasChanged && fault !== undefined && ofChanges.has(fault.name) && strikes()) name = fault.name;
      switch (name) {
        case "timeout after success":
          return void hanging.add(client);
        case "partial answer":
          client.write(message.bytes.subarray(0, message.bytes.length / 2), cutBoth);
          return;
        case "5xx after handling":
          return void client.write(answerTo({ tag: tags.modify, id: message.id }, resultCodes.other));
        case "reset after handling":
          return cutBoth();
        case "slow body":
          hanging.add(client);
          return void client.write(message.bytes.subarray(0, 3));
        default:
          return void client.write(message.bytes);
      }
    });
    client.on("data", asked);
    directory.on("data", answered);
  });
  server.on("tlsClientError", () => {});
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const cut = (which: ReadonlySet<Socket>): void => {
    for (const socket of [...which]) socket.destroy();
  };

  return {
    url: `ldaps://127.0.0.1:${(server.address() as AddressInfo).port}`,
    caPem: authority.caPem,
    faults: {
      can,
      calls: () => calls,
      set: (next) => {
        fault = next;
        passed = 0;
        befallen = 0;
        if (next.name !== "TLS name mismatch") return;
        server.setSecureContext(wrong);
        cut(sockets);
      },
      clear: () => {
        if (fault?.name === "TLS name mismatch") {
          server.setSecureContext(good);
          cut(sockets);
        }
        fault = undefined;
        cut(hanging);
      },
    },
    close: async () => {
      cut(sockets);
      await new Promise<void>((resolve) => server.close(() => resolve()));
    },
  };
};

type Message = {
  readonly id: number;
  readonly tag: number;
  /** Of a message that ends an operation: its first element is the result code. */
  readonly resultCode: number | undefined;
  readonly bytes: Buffer;
};

/** Cuts a stream into LDAP messages (BER sequences of definite length). */
const createReader = (each: (message: Message) => void): ((chunk: Buffer) => void) => {
  let pending = Buffer.alloc(0);
  return (chunk) => {
    pending = Buffer.concat([pending, chunk]);
    for (let whole = elementAt(pending, 0); whole !== undefined; whole = elementAt(pending, 0)) {
      const bytes = pending.subarray(0, whole.end);
      pending = pending.subarray(whole.end);
      const id = elementAt(bytes, whole.start);
      const tag = id === undefined ? undefined : bytes[id.end];
      if (id === undefined || tag === undefined) continue;
      const body = elementAt(bytes, id.end);
      const isResult = body !== undefined && bytes[body.start] === 0x0a;
      each({
        id: bytes.readUIntBE(id.start, id.end - id.start),
        tag,
        resultCode: isResult ? bytes[body.start + 2] : undefined,
        bytes,
      });
    }
  };
};

const elementAt = (bytes: Buffer, at: number): { readonly start: number; readonly end: number } | undefined => {
  const first = bytes[at + 1];
  if (first === undefined) return undefined;
  const lengthBytes = first < 0x80 ? 0 : first & 0x7f;
  const start = at + 2 + lengthBytes;
  if (start > bytes.length) return undefined;
  const length = lengthBytes === 0 ? first : bytes.readUIntBE(at + 2, lengthBytes);
  return start + length > bytes.length ? undefined : { start, end: start + length };
};

/** A result without words, in place of the directory's own. */
const answerTo = ({ tag, id }: Pick<Message, "tag" | "id">, code: number): Buffer => {
  const done = tag === tags.search ? tags.searchDone : tags.modifyDone;
  const idBytes = Buffer.alloc(4);
  idBytes.writeUInt32BE(id);
  return Buffer.concat([
    Buffer.from([0x30, 6 + 9, 0x02, 4]),
    idBytes,
    Buffer.from([done, 7, 0x0a, 1, code, 0x04, 0, 0x04, 0]),
  ]);
};
