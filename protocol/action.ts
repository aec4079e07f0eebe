import type { EntityType } from "./entity.ts";

/**
 * The catalogue of kinds of enforcement: what each acts on, whether it can be undone, and what excludes it.
 * If it cannot be undone it is not an action but a proposal to a human, so every entry here has an undo.
 */
export const actions = {
  block_ip: { targets: ["address"], domain: "firewall", excludes: ["allow_ip"], sentence: "block traffic with" },
  allow_ip: { targets: ["address"], domain: "firewall", excludes: ["block_ip"], sentence: "let through" },
  block_range: { targets: ["network"], domain: "firewall", excludes: [], sentence: "block traffic with" },
  block_domain: { targets: ["domain"], domain: "dns", excludes: [], sentence: "block look-ups of" },
  isolate_host: { targets: ["host"], domain: "edr", excludes: ["release_host"], sentence: "cut off" },
  release_host: { targets: ["host"], domain: "edr", excludes: ["isolate_host"], sentence: "reconnect" },
  quarantine_file: { targets: ["file"], domain: "edr", excludes: [], sentence: "quarantine" },
  suspend_process: { targets: ["process"], domain: "edr", excludes: [], sentence: "suspend" },
  disable_user: { targets: ["user"], domain: "identity", excludes: [], sentence: "disable" },
  suspend_account: { targets: ["user"], domain: "identity", excludes: [], sentence: "suspend" },
  disable_key: { targets: ["key"], domain: "cloud", excludes: [], sentence: "disable" },
  notify: {
    targets: ["address", "network", "host", "user", "domain", "process", "file", "key"],
    domain: "notify",
    excludes: [],
    sentence: "tell people about",
  },
} as const satisfies Record<
  string,
  {
    readonly targets: readonly EntityType[];
    readonly domain: string;
    readonly excludes: readonly string[];
    readonly sentence: string;
  }
>;

export type ActionName = keyof typeof actions;
export const actionNames = Object.keys(actions) as readonly ActionName[];
export const isActionName = (value: string): value is ActionName => Object.hasOwn(actions, value);
