import { status } from "@grpc/grpc-js";
import type { FarEndCall, FarEndCounts } from "../fixtures/far-end.ts";
import {
  type GrpcHandler,
  type GrpcReply,
  type GrpcServer,
  type GrpcServerTls,
  protoIn,
  startGrpcServer,
} from "./grpc-server.ts";

/**
 * A target system over gRPC (far-end.yaml) that counts what really happened, by idempotency key, as test/fixtures/far-end.ts does
 * over HTTP. In a test's own process it can be told to misbehave; run as a program it outlives any agent that is killed:
 * `node grpc-far-end.ts [answer delay ms] [port]` prints its port and serves until it is ended.
 */
export type GrpcFarEnd = {
  readonly port: () => number;
  readonly counts: () => FarEndCounts;
  readonly present: () => readonly string[];
  /** To be served elsewhere, with faults of another kind. */
  readonly handlers: Readonly<Record<string, GrpcHandler>>;
  /** Somebody else's entry beside ours. */
  readonly addForeign: (target: string) => void;
  /** How the next calls of a method go; `undefined` is as usual. */
  readonly misbehave: (method: FarEndMethod, fault: FarEndFault | undefined) => void;
  /** Metadata of the last call, names in lower case. */
  readonly lastMetadata: () => Readonly<Record<string, string>>;
  readonly cut: () => void;
  /** Listens again on the same port, with what was in force before. */
  readonly restart: () => Promise<void>;
};
export type FarEndMethod = "Apply" | "Undo" | "Verify" | "List";
export type FarEndFault =
  /** Does nothing and says this. */
  | { readonly kind: "status"; readonly code: number; readonly details?: string }
  /** Does it, and the answer never comes. */
  | { readonly kind: "silent" }
  /** Does it, and the connection breaks. */
  | { readonly kind: "broken" }
  /** Does it, and then says this. */
  | { readonly kind: "status-after"; readonly code: number }
  /** Answers with as many messages. */
  | { readonly kind: "flood"; readonly messages: number };

type Entry = { readonly key: string; readonly isOurs: boolean };

export const startGrpcFarEnd = async (
  options: { readonly tls?: GrpcServerTls; readonly answerDelayMs?: number; readonly port?: number } = {},
): Promise<GrpcFarEnd> => {
  const entries = new Map<string, Entry>();
  const effects: Record<string, number> = {};
  const undone: Record<string, number> = {};
  const calls: FarEndCall[] = [];
  const faults = new Map<FarEndMethod, FarEndFault>();
  let metadata: Readonly<Record<string, string>> = {};
  let server: GrpcServer;

  const counts = (): FarEndCounts => ({ effects, undone, present: [...entries.keys()], calls });
  const text = (value: unknown): string => String(value ?? "");
  const note = (verb: FarEndCall["verb"], key: string, target: string, hasEffect: boolean): void =>
    void calls.push({ verb, key, target, atMs: Date.now(), hasEffect });

  const serve =
    (method: FarEndMethod, act: (message: Readonly<Record<string, unknown>>) => GrpcReply): GrpcHandler =>
    async (message, given) => {
      metadata = given;
      const fault = faults.get(method);
      if (fault?.kind === "status")
        return { status: { code: fault.code, details: fault.details ?? `told to say ${fault.code}` } };
      const reply = act(message);
      if (fault?.kind === "silent") return new Promise(() => {});
      if (fault?.kind === "status-after") return { status: { code: fault.code, details: "done, and yet" } };
      if (fault?.kind === "flood") return { messages: Array.from({ length: fault.messages }, () => ({ target: "x" })) };
      if (fault?.kind === "broken") {
        server.cut();
        return new Promise(() => {});
      }
      await new Promise((wake) => setTimeout(wake, (options.answerDelayMs ?? 0) * Math.random()));
      return reply;
    };

  const handlers: Readonly<Record<string, GrpcHandler>> = {
    Apply: serve("Apply", (message) => {
      const [target, key] = [text(message["target"]), text(message["key"])];
      if (target === "" || key === "") return { status: { code: status.INVALID_ARGUMENT, details: "target and key" } };
      const there = entries.get(target);
      const changed = there === undefined;
      note("apply", key, target, changed);
      if (changed) {
        entries.set(target, { key, isOurs: true });
        effects[key] = (effects[key] ?? 0) + 1;
      }
      return changed || there?.key === key
        ? { messages: [{ changed }] }
        : { status: { code: status.ALREADY_EXISTS, details: "it is there" } };
    }),
    Undo: serve("Undo", (message) => {
      const [target, key] = [text(message["target"]), text(message["key"])];
      const changed = entries.get(target)?.key === key;
      note("undo", key, target, changed);
      if (!changed) return { status: { code: status.NOT_FOUND, details: "no entry of this key" } };
      entries.delete(target);
      undone[key] = (undone[key] ?? 0) + 1;
      return { messages: [{ changed }] };
    }),
    Verify: serve("Verify", (message) => ({ messages: [{ present: entries.has(text(message["target"])) }] })),
    List: serve("List", () => ({
      messages: [...entries].map(([target, { key, isOurs }]) => ({ target, key: isOurs ? key : "" })),
    })),
    Counts: async () => ({ messages: [{ json: JSON.stringify(counts()) }] }),
  };
  const listen = async (port = 0): Promise<void> => {
    server = await startGrpcServer({
      proto: protoIn("far-end.yaml"),
      service: "farend.v1.Enforcement",
      handlers,
      port,
      ...(options.tls === undefined ? {} : { tls: options.tls }),
    });
  };
  await listen(options.port);
  return {
    port: () => server.port,
    counts,
    handlers,
    present: () => [...entries.keys()],
    addForeign: (target) => void entries.set(target, { key: "", isOurs: false }),
    misbehave: (method, fault) => void (fault === undefined ? faults.delete(method) : faults.set(method, fault)),
    lastMetadata: () => metadata,
    cut: () => server.cut(),
    restart: () => listen(server.port),
  };
};

if (import.meta.main) {
  const farEnd = await startGrpcFarEnd({
    answerDelayMs: Number(process.argv[2] ?? "0"),
    port: Number(process.argv[3] ?? "0"),
  });
  console.log(farEnd.port());
}
