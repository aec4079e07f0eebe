import type { MqttConnection, MqttConnectionDeps } from "@reflex/controller/link/mqtt-connection";
import { type DownName, downNames, type Link } from "@reflex/edge-agent/link/link-port";
import { refusal } from "@reflex/protocol/refusal";
import { err, ok } from "@reflex/protocol/result";
import { topicOf, topicRules } from "@reflex/protocol/topics";
import type { Writer } from "./disk.ts";
import { self } from "./keys.ts";
import type { Sim } from "./sim.ts";

/** A broker and the wires to it: messages are delayed, lost, doubled and overtaken; what is retained may be old. */
export type Network = {
  readonly linkOf: (process: Writer) => Link;
  readonly connectController: (
    deps: Pick<MqttConnectionDeps, "filters" | "onMessage" | "onConnected">,
  ) => MqttConnection;
  /** Ends the agent's connection; it tries again by itself. */
  readonly cut: () => void;
  /** Old or foreign bytes on a topic, as somebody in the broker could put them there. */
  readonly inject: (name: DownName, bytes: Uint8Array) => void;
  readonly recorded: () => readonly { readonly name: DownName; readonly bytes: Uint8Array }[];
};

/** A session of the agent with the broker; what is under way to one never reaches another. */
type Session = { readonly process: Writer; isOpen: boolean };

export const createNetwork = (
  sim: Sim,
  /** Told right after the agent's handler has had the bytes; false keeps them from it. */
  heard: {
    readonly before?: (name: DownName, bytes: Uint8Array) => boolean;
    readonly after: (name: DownName, bytes: Uint8Array) => void;
  },
): Network => {
  const { dice, time, weather } = sim;
  const retained = new Map<string, Uint8Array>();
  const recorded: { name: DownName; bytes: Uint8Array }[] = [];
  const names = new Map<string, DownName>(downNames.map((name) => [topicOf[name](self), name]));
  let controller: Pick<MqttConnectionDeps, "onMessage" | "onConnected"> | undefined;
  let session: Session | undefined;
  let handlers = new Map<DownName, ((bytes: Uint8Array) => void)[]>();
  let onConnected: (() => void)[] = [];

  const travelMs = (): number => (dice.chance(weather.delayed) ? dice.between(200, 15_000) : dice.between(1, 60));
  const copies = (): number => (dice.chance(weather.lost) ? 0 : dice.chance(weather.doubled) ? 2 : 1);

  const deliver = (name: DownName, bytes: Uint8Array): void => {
    const to = session;
    if (to === undefined) return;
    for (let copy = copies(); copy > 0; copy -= 1) {
      time.after(to.process, travelMs(), () => {
        if (!to.isOpen || heard.before?.(name, bytes) === false) return;
        for (const handle of handlers.get(name) ?? []) handle(bytes);
        if (to.process.isAlive) heard.after(name, bytes);
      });
    }
  };

  const connect = (process: Writer): void => {
    if (!process.isAlive || session?.isOpen === true) return;
    if (weather.isCutOff) return;
    const made: Session = { process, isOpen: true };
    session = made;
    for (const [topic, bytes] of retained) {
      const name = names.get(topic);
      if (name !== undefined) deliver(name, bytes);
    }
    for (const run of onConnected) run();
  };

  const cut = (): void => {
    if (session !== undefined) session.isOpen = false;
    session = undefined;
  };

  return {
    linkOf: (process) => {
      handlers = new Map();
      onConnected = [];
      const isLinked = (): boolean => process.isAlive && session?.process === process && session.isOpen;
      const tryToConnect = (): void => {
        time.after(process, dice.between(50, 3_000), () => {
          connect(process);
          // A lost connection is tried again, as the real link does.
          time.after(process, 5_000, tryToConnect);
        });
      };
      return {
        start: tryToConnect,
        stop: async () => cut(),
        connected: isLinked,
        publish: async (name, payload) => {
          if (!process.isAlive) return new Promise(() => undefined);
          if (!isLinked()) return err(refusal("unreachable"));
          const bytes = Buffer.from(JSON.stringify(payload));
          for (let copy = copies(); copy > 0; copy -= 1)
            time.after(sim.world, travelMs(), () => {
              if (!weather.isControllerDown) controller?.onMessage(topicOf[name](self), bytes);
            });
          return ok(undefined);
        },
        on: (name, handle) => {
          if (process.isAlive) handlers.set(name, [...(handlers.get(name) ?? []), handle]);
        },
        onConnected: (run) => {
          if (process.isAlive) onConnected.push(run);
        },
      };
    },
    connectController: (deps) => {
      controller = deps;
      time.after(sim.world, 1, () => {
        if (controller === deps) deps.onConnected();
      });
      return {
        connected: () => controller === deps && !weather.isControllerDown,
        publish: async (topic, payload, { retain }) => {
          if (controller !== deps || weather.isControllerDown) throw new Error("no connection to the broker");
          const bytes = Buffer.from(payload);
          const name = names.get(topic);
          // A broker that restarted or was partitioned goes on handing out what it kept.
          if (retain && !dice.chance(weather.lost)) retained.set(topic, bytes);
          if (name === undefined) return;
          if (topicRules[name].retain || name === "syncResponse") recorded.push({ name, bytes });
          if (recorded.length > 200) recorded.splice(0, 100);
          deliver(name, bytes);
        },
        stop: async () => {
          if (controller === deps) controller = undefined;
        },
      };
    },
    cut,
    inject: deliver,
    recorded: () => recorded,
  };
};
