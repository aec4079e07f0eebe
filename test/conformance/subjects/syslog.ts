import type { AddressInfo, Socket } from "node:net";
import { createServer } from "node:tls";
import { openSyslog, type SyslogConfig } from "@reflex/edge-agent/connectors/syslog/config";
import { createTestAuthority } from "../certificates.ts";
import type { Fault, FaultName, Opened, OpenOptions, Subject } from "../subject.ts";

/** A log collector over TLS: takes frames of RFC 5425, keeps every message, and says nothing. */
const can: readonly FaultName[] = [
  "timeout after success",
  "reset before handling",
  "reset after handling",
  "TLS name mismatch",
];

const open = async (format: NonNullable<SyslogConfig["format"]>, options: OpenOptions): Promise<Opened> => {
  const authority = await createTestAuthority();
  const good = await authority.issue(["127.0.0.1"]);
  const wrong = await authority.issue(["elsewhere.example"]);
  const messages: string[] = [];
  const sockets = new Set<Socket>();
  const hanging = new Set<Socket>();
  let fault: Fault | undefined;
  let passed = 0;
  let befallen = 0;
  let calls = 0;
  const strikes = (name: FaultName): boolean => {
    if (fault?.name !== name) return false;
    if (passed < (fault.skip ?? 0)) {
      passed += 1;
      return false;
    }
    if (befallen >= (fault.times ?? Number.POSITIVE_INFINITY)) return false;
    befallen += 1;
    return true;
  };
  const server = createServer({ ...good, allowHalfOpen: true }, (socket) => {
    calls += 1;
    let bytes = Buffer.alloc(0);
    socket.on("error", () => {});
    if (strikes("reset before handling")) return void socket.destroy();
    const isSilent = strikes("timeout after success");
    const isReset = strikes("reset after handling");
    socket.on("data", (chunk: Buffer) => {
      bytes = Buffer.concat([bytes, chunk]);
      const taken = framesIn(bytes);
      messages.push(...taken.messages);
      bytes = bytes.subarray(taken.length);
      if (isReset && taken.messages.length > 0) socket.destroy();
    });
    socket.on("end", () => {
      if (isSilent) hanging.add(socket);
      else socket.end();
    });
  });
  server.on("tlsClientError", () => {});
  server.on("connection", (socket: Socket) => {
    sockets.add(socket);
    socket.on("close", () => sockets.delete(socket));
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const cut = (which: ReadonlySet<Socket>): void => {
    for (const socket of [...which]) socket.destroy();
  };
  return {
    connector: async () => {
      const { port } = server.address() as AddressInfo;
      const made = openSyslog(
        {
          kind: "syslog",
          name: "siem",
          host: "127.0.0.1",
          port,
          ca_file: "ca.pem",
          format,
          call_ms: options.callTimeoutMs,
        },
        { clock: { nowMs: Date.now }, hostname: "agent-7", readText: () => authority.caPem },
      );
      if (!made.ok) throw new Error(made.error);
      return made.value;
    },
    present: async () => messages.map((message, index) => `notify ${index} ${message}`),
    changes: async () => messages.map((message) => ({ verb: "apply", key: message })),
    faults: {
      can,
      calls: () => calls,
      set: (next) => {
        fault = next;
        passed = 0;
        befallen = 0;
        if (next.name === "TLS name mismatch") server.setSecureContext(wrong);
      },
      clear: () => {
        if (fault?.name === "TLS name mismatch") server.setSecureContext(good);
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

/** `length SP message`, as often as whole ones are there. */
const framesIn = (bytes: Buffer): { readonly messages: readonly string[]; readonly length: number } => {
  const messages: string[] = [];
  let at = 0;
  for (;;) {
    const space = bytes.indexOf(0x20, at);
    const length = space < 0 ? Number.NaN : Number(bytes.toString("latin1", at, space));
    if (!(space + 1 + length <= bytes.length)) return { messages, length: at };
    messages.push(bytes.toString("utf8", space + 1, space + 1 + length));
    at = space + 1 + length;
  }
};

const subjectOf = (format: NonNullable<SyslogConfig["format"]>): Subject => ({
  name: `syslog (${format === "cef" ? "CEF" : "RFC 5424"})`,
  action: "notify",
  target: { type: "user", value: "alice" },
  otherTarget: { type: "host", value: "laptop-7" },
  illegalTargets: [],
  open: (options) => open(format, options),
  notApplicable: {
    "apply twice is once": "a collector keeps every message; the executor sends each command once, and its id is in it",
    "illegal targets refused": "people can be told about anything",
    "429 waits as asked": "a collector never answers",
    "stale read": "a collector never answers",
  },
});

export const subjects: readonly Subject[] = [subjectOf("cef"), subjectOf("rfc5424")];
