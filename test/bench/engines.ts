import type { Engine } from "./peers/engine.ts";
import { splitEngine, wholeEngine } from "./peers/flat-engine.ts";

export const ours = "reflex";

/** Loaded on demand: a process that measures one engine carries no other. */
const loaders: Readonly<Record<string, () => Promise<Engine>>> = {
  [ours]: async () => (await import("./peers/reflex.ts")).reflex,
  "json-logic-engine": async () => wholeEngine((await import("./peers/json-logic.ts")).jsonLogic),
  "json-logic-engine/split": async () => splitEngine((await import("./peers/json-logic.ts")).jsonLogic),
  "cel-js": async () => wholeEngine((await import("./peers/cel.ts")).cel),
  "cel-js/split": async () => splitEngine((await import("./peers/cel.ts")).cel),
  "zen-engine": async () => wholeEngine((await import("./peers/zen.ts")).zen),
  "zen-engine/split": async () => splitEngine((await import("./peers/zen.ts")).zen),
  "cedar-wasm": async () => wholeEngine((await import("./peers/cedar.ts")).cedar),
  "cedar-wasm/split": async () => splitEngine((await import("./peers/cedar.ts")).cedar),
};

export const engineNames: readonly string[] = Object.keys(loaders);

export const loadEngine = (name: string): Promise<Engine> => {
  const load = loaders[name];
  if (load === undefined) throw new Error(`no engine ${name}; there are ${engineNames.join(", ")}`);
  return load();
};
