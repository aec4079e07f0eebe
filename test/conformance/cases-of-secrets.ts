import { strict as assert } from "node:assert";
import { appendFileSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createPinoLog } from "@reflex/edge-agent/adapters/pino-log";
import { startActingAgent } from "./acting-agent.ts";
import { type CaseAnswer, ends, faultsOf, newCall, notApplicable, passed, prepared, type Stage } from "./stage.ts";
import type { FaultName } from "./subject.ts";

/**
 * A connector lives through everything that goes wrong here while journal, report spool and log are written as they are on a
 * site; then none of it may hold what the connector was trusted with.
 */
export const secretsStaySecret = async (stage: Stage): Promise<CaseAnswer> => {
  const { secrets } = stage.opened;
  if (secrets === undefined) return notApplicable("it holds no secret, or the subject does not name them");
  const folder = mkdtempSync(join(tmpdir(), "reflex-secrets-"));
  const printed = listenToPrinting();
  try {
    const said = [...(await sayings(stage)), ...(await writtenLife(stage, folder))];
    const places = new Map<string, string>([
      ["what the connector says", said.join("\n")],
      ["what is printed", printed.text()],
      ...filesIn(folder).map((file) => [file.slice(folder.length + 1), readFileSync(file, "latin1")] as const),
    ]);
    const planted = [...new Set(secrets())];
    assert(planted.length > 0, "no secret was ever used, so nothing could be found");
    for (const secret of planted)
      for (const form of formsOf(secret))
        for (const [place, text] of places)
          assert(!text.includes(form), `${secret.slice(0, 3)}… (${secret.length} characters) is in: ${place}`);
  } finally {
    printed.stop();
    rmSync(folder, { recursive: true, force: true });
  }
  return passed;
};

const told: readonly FaultName[] = [
  "5xx before handling",
  "429",
  "reset after handling",
  "partial answer",
  "TLS name mismatch",
];

/** Everything a connector answers or throws, with each thing that goes wrong. */
const sayings = async (stage: Stage): Promise<readonly string[]> => {
  const { subject, opened } = stage;
  const said: string[] = [];
  const hear = async (call: () => Promise<unknown>): Promise<void> => {
    said.push(await ends("a call", call()).then(asText, (cause: unknown) => String(cause)));
  };
  const live = async (): Promise<void> => {
    const connector = await stage.restart();
    said.push(asText(connector.describe()));
    const call = newCall(subject.action, subject.target);
    const ready = await prepared(connector, call).catch((cause: unknown) => {
      said.push(String(cause));
      return call;
    });
    said.push(asText(ready));
    await hear(() => connector.apply(ready));
    await hear(() => connector.verify(ready));
    await hear(() => connector.undo(ready));
    await hear(async () => connector.listInForce?.());
  };
  // Prepared while nothing is in force: what the lives below leave behind ends with its undo.
  const call = await stage.prepare(await stage.restart(), subject.target);
  await live();
  for (const name of told) if (opened.faults?.can.includes(name)) await stage.during({ name }, live);
  await hear(async () => (await stage.restart()).apply(call));
  await hear(async () => (await stage.restart()).undo(call));
  return said;
};
const asText = (answer: unknown): string => JSON.stringify(answer) ?? "";

/** Two lives under the executor, one of them through server errors and with expired tokens. */
const writtenLife = async (stage: Stage, folder: string): Promise<readonly string[]> => {
  const { subject, opened, traits } = stage;
  const connector = await stage.restart();
  const agent = await startActingAgent({
    connectorName: connector.name,
    connector: stage.restart,
    folder: join(folder, "state"),
    log: createPinoLog({ destination: { write: (line) => appendFileSync(join(folder, "agent.log"), line) } }),
  });
  try {
    for (const isStormy of [false, true]) {
      if (isStormy && opened.faults?.can.includes("5xx before handling") === true)
        faultsOf(stage).set({ name: "5xx before handling", times: 3 });
      const id = await agent.plan(subject.action, subject.target, ttlSeconds);
      await agent.reaches(id, traits.canVerify ? atRest : [...atRest, "pending_verification"]);
      if (isStormy) opened.faults?.expireTokens?.();
      agent.moveClock((ttlSeconds + 60) * 1_000);
      await agent.reaches(id, ["undone", "failed"]);
    }
    // As the controller gets it.
    return agent
      .journal()
      .reports(0, 1_000, 16 * 1024 * 1024)
      .map(({ bodyJson }) => bodyJson);
  } finally {
    opened.faults?.clear();
    await agent.close();
  }
};
const ttlSeconds = 900;
const atRest = ["in_force", "failed", "undone", "stuck"] as const;

/** As it is, and as it looks when something wraps it up. */
const formsOf = (secret: string): readonly string[] => {
  const bytes = Buffer.from(secret);
  const forms = [
    secret,
    bytes.toString("base64"),
    bytes.toString("base64url"),
    bytes.toString("hex"),
    encodeURIComponent(secret),
  ];
  return [...new Set(forms.map((form) => form.replace(/=+$/, "")))];
};

const filesIn = (folder: string): string[] =>
  readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name));

/** Those who listen now; what is printed meanwhile by other cases is heard as well. */
const listeners = new Set<(text: string) => void>();
const tapped = new WeakSet<NodeJS.WriteStream>();

const listenToPrinting = (): { readonly text: () => string; readonly stop: () => void } => {
  for (const stream of [process.stdout, process.stderr]) {
    if (tapped.has(stream)) continue;
    tapped.add(stream);
    const write = stream.write;
    stream.write = ((chunk: string | Uint8Array, ...rest: never[]) => {
      for (const hear of listeners) hear(String(chunk));
      return write.call(stream, chunk, ...rest);
    }) as typeof stream.write;
  }
  const parts: string[] = [];
  const hear = (text: string): void => void parts.push(text);
  listeners.add(hear);
  return { text: () => parts.join(""), stop: () => void listeners.delete(hear) };
};
