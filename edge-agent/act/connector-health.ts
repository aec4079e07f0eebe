import type { Heartbeat } from "@reflex/protocol/sync";
import type { CommandRow } from "../ports.ts";

export type ConnectorHealth = {
  readonly note: (row: CommandRow) => void;
  readonly now: () => Heartbeat["connectors"];
};

/** How each connector did last, from the commands themselves: a probe that works proves nothing about the real call. */
export const createConnectorHealth = (names: Iterable<string>): ConnectorHealth => {
  const health: Heartbeat["connectors"] = Object.fromEntries([...names].map((name) => [name, "unknown" as const]));
  return {
    note: ({ command, state, code }) => {
      if (!Object.hasOwn(health, command.connector)) return;
      if (state === "in_force" || state === "confirmed" || state === "undone") health[command.connector] = "ok";
      else if (code?.startsWith("connector-") === true || state === "stuck" || state === "pending_verification")
        health[command.connector] = "failing";
    },
    now: () => ({ ...health }),
  };
};
