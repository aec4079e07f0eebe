// `npm run bench:act`: how many commands a second one agent carries out with its journal on: intent durable, call, outcome durable,
// verified. The target is a stub that answers at once, so what is measured is ours. See README.md.
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { createExecutor } from "@reflex/edge-agent/act/executor";
import type { Connector } from "@reflex/edge-agent/connectors/contract";
import type { CommandRow } from "@reflex/edge-agent/ports";
import { commandWrite } from "@reflex/edge-agent/report/records";
import { openJournal } from "@reflex/edge-agent/store/journal";
import type { CommandId, DecisionId } from "@reflex/protocol/ids";
import { uuidV7 } from "@reflex/protocol/ids";
import { timestampOf } from "@reflex/protocol/timestamp";

const { values } = parseArgs({
  options: {
    commands: { type: "string", default: "50000" },
    connectors: { type: "string", default: "4" },
    rate: { type: "string", default: "1000" },
    json: { type: "boolean", default: false },
  },
});
const commands = Number(values.commands);
const connectorCount = Number(values.connectors);
const paceRate = Number(values.rate);

/** Planned and not yet in force at once; an agent's intake is bounded as well. */
const underWayMax = 1_024;
/** As many as the agent decides in one commit when it is busy. */
const planRows = 64;

const folder = mkdtempSync(join(tmpdir(), "reflex-bench-act-"));
const timers = {
  after: (delayMs: number, run: () => void) => {
    const timer = setTimeout(run, delayMs);
    return () => clearTimeout(timer);
  },
  soon: (run: () => void) => void setImmediate(run),
};
const clock = { nowMs: () => Date.now() };
const log = { info: () => {}, warn: () => {}, error: () => {} };
const opened = openJournal({ folder, clock, timers, log });
if (!opened.ok) throw new Error(`${opened.error.code} ${opened.error.detail}`);
const journal = opened.value;

/** When each command was planned and when its call arrived, by command id. */
const plannedAtMs = new Map<string, number>();
const callLatenciesMs: number[] = [];
const present = new Set<string>();
const traits = { targets: ["address"], nativeTtl: false, canVerify: true, canUndo: true } as const;
const stub = (name: string): Connector => ({
  name,
  describe: () => ({ about: "answers at once", actions: { block_ip: traits }, needs: [], callsAtOnceMax: 256 }),
  start: async () => ({ ok: true, value: undefined }),
  captureUndo: async () => ({ ok: true, value: "" }),
  apply: async ({ commandId, target }) => {
    callLatenciesMs.push(performance.now() - (plannedAtMs.get(commandId) ?? 0));
    present.add(`${name} ${target.value}`);
    return { kind: "applied" };
  },
  verify: async ({ target }) => ({ kind: present.has(`${name} ${target.value}`) ? "present" : "absent" }),
  undo: async ({ target }) => {
    present.delete(`${name} ${target.value}`);
    return { kind: "undone" };
  },
  stop: async () => {},
});
const names = Array.from({ length: connectorCount }, (_, index) => `stub-${index}`);

let settled = 0;
let onSettled = (): void => {};
const executor = createExecutor({
  clock,
  timers,
  random: { bytes: (count) => crypto.getRandomValues(new Uint8Array(count)) },
  journal,
  connectors: new Map(names.map((name) => [name, stub(name)])),
  brakes: { check: () => undefined },
  log,
  limits: { callsPerConnectorMax: 256 },
  onChange: ({ state }) => {
    if (state !== "in_force" && state !== "failed") return;
    settled += 1;
    onSettled();
  },
});

let serial = 0;
const planned = (): CommandRow => {
  serial += 1;
  const nowMs = Date.now();
  const id = uuidV7(nowMs, crypto.getRandomValues(new Uint8Array(10)));
  return {
    command: {
      command_id: id as CommandId,
      decision_id: id as DecisionId,
      action: "block_ip",
      target: { type: "address", value: `2001:db8::${(serial >>> 16).toString(16)}:${(serial & 0xffff).toString(16)}` },
      reason: "permit block-known-ioc: confidence 0.97, rule origin known IOC",
      ttl: 3_600,
      idempotency_key: serial.toString(16).padStart(64, "0"),
      connector: names[serial % names.length] ?? "",
      issued_at: timestampOf(nowMs),
    },
    state: "planned",
    atMs: nowMs,
    attempts: 0,
    undoAttempts: 0,
    verified: false,
    limits: [],
  };
};

/** Plans as the agent does: all rows of a batch durable in one commit, then carried out. */
const planMany = async (count: number): Promise<void> => {
  const rows = Array.from({ length: count }, planned);
  const nowMs = performance.now();
  for (const { command } of rows) plannedAtMs.set(command.command_id, nowMs);
  const stored = await journal.write(rows.flatMap((row) => [{ kind: "command", row } as const, commandWrite(row)]));
  if (!stored.ok) throw new Error(`${stored.error.code} ${stored.error.detail}`);
  executor.run(rows);
};

const until = (isDone: () => boolean): Promise<void> =>
  new Promise((resolve) => {
    onSettled = () => {
      if (isDone()) resolve();
    };
    onSettled();
  });

const quantile = (sorted: readonly number[], share: number): number =>
  sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? 0;
const latencies = (): { readonly p50: number; readonly p99: number } => {
  const sorted = callLatenciesMs.splice(0).sort((a, b) => a - b);
  return { p50: quantile(sorted, 0.5), p99: quantile(sorted, 0.99) };
};

const measureThroughput = async () => {
  const fromMs = performance.now();
  const cpu = process.cpuUsage();
  const before = settled;
  for (let count = 0; count < commands; count += planRows) {
    await planMany(Math.min(planRows, commands - count));
    await until(() => serial - settled < underWayMax);
  }
  await until(() => settled === serial);
  const seconds = (performance.now() - fromMs) / 1_000;
  const used = process.cpuUsage(cpu);
  return {
    acts: settled - before,
    acts_per_second: (settled - before) / seconds,
    cores_used: (used.user + used.system) / 1e6 / seconds,
    ...latencies(),
  };
};

const measurePaced = async (seconds: number) => {
  const fromMs = performance.now();
  const before = serial;
  while (performance.now() - fromMs < seconds * 1_000) {
    const due = Math.floor(((performance.now() - fromMs) * paceRate) / 1_000) - (serial - before);
    // Nobody waits for one batch to begin the next: detections come when they come.
    for (let one = 0; one < due; one += 1) void planMany(1);
    await new Promise((resolve) => setImmediate(resolve));
  }
  await until(() => settled === serial);
  return { acts: serial - before, rate: paceRate, ...latencies() };
};

await measurePaced(1);
const throughput = await measureThroughput();
const paced = await measurePaced(5);
await executor.stop();
const { commandsByState } = journal.counts();
await journal.close();
rmSync(folder, { recursive: true, force: true });

const isWhole = (commandsByState.in_force ?? 0) === serial;
if (values.json) console.log(JSON.stringify({ throughput, paced, states: commandsByState, whole: isWhole }));
else {
  console.log(
    `throughput  ${Math.round(throughput.acts_per_second)} acts/s over ${throughput.acts} acts, ${throughput.cores_used.toFixed(2)} cores, plan to call p50 ${throughput.p50.toFixed(1)} ms, p99 ${throughput.p99.toFixed(1)} ms`,
  );
  console.log(
    `paced       ${paced.rate} acts/s: plan to call p50 ${paced.p50.toFixed(2)} ms, p99 ${paced.p99.toFixed(2)} ms over ${paced.acts} acts`,
  );
  console.log(
    `each act: planned, sent, confirmed and in force, each durable with its report; ${JSON.stringify(commandsByState)}`,
  );
}
if (!isWhole) process.exitCode = 1;
