import { status } from "@grpc/grpc-js";
import { createTestAuthority } from "./certificates.ts";
import { type CuttableProxy, startCuttableProxy } from "./cuttable-proxy.ts";
import { type GrpcHandler, type GrpcReply, startGrpcServer } from "./grpc-server.ts";
import { type Fault, type FaultControl, faultNames, retryAfterSeconds } from "./subject.ts";

/** One service behind TLS on loopback, with every fault of the kit; what `fake-server.ts` is for HTTP. */
export type FaultyGrpcServer = {
  readonly port: number;
  readonly caPem: string;
  /** A client certificate, for services that ask for one. */
  readonly client: { readonly cert: string; readonly key: string };
  readonly faults: FaultControl;
  readonly close: () => Promise<void>;
};

export const startFaultyGrpcServer = async (options: {
  readonly proto: string;
  readonly service: string;
  readonly handlers: Readonly<Record<string, GrpcHandler>>;
  /** Tells a call that had an effect from one that only read. */
  readonly changeCount: () => number;
  /** Name in the certificate. */
  readonly name: string;
  readonly asksCertificate?: boolean;
}): Promise<FaultyGrpcServer> => {
  const authority = await createTestAuthority();
  const turns = createTurns();
  let proxy: CuttableProxy;
  const handlers = Object.fromEntries(
    Object.entries(options.handlers).map(([method, handle]) => [
      method,
      faulty({ method, handle, turns, changeCount: options.changeCount, cut: () => proxy.cut() }),
    ]),
  );
  const serve = async (name: string) =>
    startGrpcServer({
      ...options,
      handlers,
      tls: {
        ca: authority.caPem,
        ...(await authority.issue([name])),
        ...(options.asksCertificate === undefined ? {} : { asksCertificate: options.asksCertificate }),
      },
    });
  const good = await serve(options.name);
  const elsewhere = await serve("elsewhere.example");
  proxy = await startCuttableProxy(good.port);
  const leadTo = (port: number): void => {
    proxy.leadTo(port);
    proxy.cut();
  };
  return {
    port: proxy.port,
    caPem: authority.caPem,
    client: await authority.issue(["reflex"]),
    faults: {
      can: faultNames,
      calls: turns.calls,
      set: (fault) => {
        turns.set(fault);
        if (fault.name === "TLS name mismatch") leadTo(elsewhere.port);
      },
      clear: () => {
        if (turns.fault()?.name === "TLS name mismatch") leadTo(good.port);
        turns.set(undefined);
      },
    },
    close: async () => {
      await proxy.close();
      good.cut();
      elsewhere.cut();
    },
  };
};

type Turns = {
  readonly fault: () => Fault | undefined;
  readonly set: (fault: Fault | undefined) => void;
  /** Whether it is this call's turn to go wrong; asked once for each call that the fault is for. */
  readonly strikes: () => boolean;
  readonly befallen: () => number;
  readonly note: () => void;
  readonly calls: () => number;
  /** What each question was answered last, for reads that will be stale. */
  readonly answers: Map<string, GrpcReply>;
};

const createTurns = (): Turns => {
  let fault: Fault | undefined;
  let passed = 0;
  let befallen = 0;
  let calls = 0;
  return {
    fault: () => fault,
    set: (next) => {
      fault = next;
      passed = 0;
      befallen = 0;
    },
    strikes: () => {
      if (fault === undefined) return false;
      if (passed < (fault.skip ?? 0)) {
        passed += 1;
        return false;
      }
      if (befallen >= (fault.times ?? Number.POSITIVE_INFINITY)) return false;
      befallen += 1;
      return true;
    },
    befallen: () => befallen,
    note: () => {
      calls += 1;
    },
    calls: () => calls,
    answers: new Map(),
  };
};

const never = (): Promise<never> => new Promise(() => {});
const onlyAfterChange = ["timeout after success", "partial answer"];

const faulty =
  (parts: {
    readonly method: string;
    readonly handle: GrpcHandler;
    readonly turns: Turns;
    readonly changeCount: () => number;
    readonly cut: () => void;
  }): GrpcHandler =>
  async (message, metadata) => {
    const { method, handle, turns, changeCount, cut } = parts;
    turns.note();
    const name = turns.fault()?.name;
    const isStruckFirst =
      name !== undefined && name !== "stale read" && !onlyAfterChange.includes(name) && turns.strikes();
    if (isStruckFirst && name === "reset before handling") {
      cut();
      return never();
    }
    if (isStruckFirst && name === "429") return slowDown;
    if (isStruckFirst && name === "5xx before handling") return trouble(turns.befallen());
    const before = changeCount();
    const fresh = await handle(message, metadata);
    const hasChanged = changeCount() !== before;
    const question = `${method} ${JSON.stringify(message)}`;
    const earlier = turns.answers.get(question);
    if (name !== "stale read") turns.answers.set(question, fresh);
    const isStruck =
      isStruckFirst ||
      (name !== undefined && hasChanged && onlyAfterChange.includes(name) && turns.strikes()) ||
      (name === "stale read" && !hasChanged && earlier !== undefined && turns.strikes());
    if (!isStruck) return fresh;
    switch (name) {
      case "timeout after success":
      case "slow body":
        return never();
      case "partial answer":
      case "reset after handling":
        cut();
        return never();
      case "5xx after handling":
        return trouble(turns.befallen());
      case "stale read":
        return earlier ?? fresh;
      default:
        return fresh;
    }
  };

const slowDown: GrpcReply = {
  status: { code: status.RESOURCE_EXHAUSTED, details: "slow down" },
  trailers: { "grpc-retry-pushback-ms": String(retryAfterSeconds * 1_000) },
};
const trouble = (count: number): GrpcReply => ({
  status: { code: count % 2 === 1 ? status.INTERNAL : status.UNAVAILABLE, details: "upstream trouble" },
});
