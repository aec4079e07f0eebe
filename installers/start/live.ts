import type { ClientOptions } from "@reflex/controller/reflexctl/client";
import { createClient } from "@reflex/controller/reflexctl/client";
import type { Entity } from "@reflex/protocol/entity";
import type { Token } from "@reflex/protocol/token";
import { WebSocket } from "ws";
import type { StartOptions } from "./options.ts";
import type { Screen } from "./screen.ts";

/** Decisions printed one by one up to here; a recording of thousands only shows its progress. */
const shownMax = 200;

/** What the controller stores, as it stores it: the screen shows the whole loop, not the agent's word. */
export const watchLive = (
  connection: ClientOptions,
  screen: Screen,
  options: StartOptions,
): { readonly close: () => Promise<void> } => {
  const client = createClient(connection);
  const socket = new WebSocket(`${connection.url.replace(/^http/, "ws")}/v1/live`, {
    headers: { authorization: `Bearer ${connection.token}` },
    ...(connection.ca === undefined ? {} : { ca: connection.ca }),
  });
  let shown = 0;
  let turn: Promise<void> = Promise.resolve();
  const show = async (message: Record<string, unknown>): Promise<void> => {
    if (options.json) return;
    if (message.kind === "decision") {
      shown += 1;
      if (shown === shownMax + 1)
        screen.say(
          `          … more decisions follow; all of them: npm run reflexctl -- decisions list --data ${options.dataDir}`,
        );
      if (shown > shownMax) return;
      screen.decision(JSON.parse(await client.getText(`/v1/decisions/${String(message.decision_id)}/token`)) as Token);
    }
    if (message.kind === "command" && shown <= shownMax) {
      screen.command(message as unknown as { action: string; target: Entity; state: string });
    }
    if (message.kind === "event" && message.level !== "info")
      screen.say(`          ! ${String(message.name)}: ${String(message.detail)}`);
  };
  socket.on("message", (data) => {
    turn = turn
      .then(() => show(JSON.parse(String(data)) as Record<string, unknown>))
      .catch((error: unknown) => screen.say(`live view: ${error instanceof Error ? error.message : String(error)}`));
  });
  let isClosing = false;
  socket.on("error", (error) => {
    if (!isClosing) screen.say(`live view: ${error.message}`);
  });
  return {
    close: async () => {
      isClosing = true;
      await turn;
      socket.terminate();
    },
  };
};
