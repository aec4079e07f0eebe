import type { Refusal } from "@reflex/protocol/refusal";
import { ok, type Result } from "@reflex/protocol/result";
import type { Slots } from "./slots-port.ts";

export type SlotName = "a" | "b";

/** Two places for one thing: the new is written where the active is not, so a crash or a damaged disk leaves one whole. */
export type SlotPair = {
  readonly readAll: () => Promise<
    readonly { readonly slot: SlotName; readonly read: Result<Uint8Array | undefined, Refusal> }[]
  >;
  readonly writeOther: (bytes: Uint8Array) => Promise<Result<SlotName, Refusal>>;
  /** This slot's content is the active one now. */
  readonly holds: (slot: SlotName) => void;
};

export const createSlotPair = (slots: Slots, name: string, bytesMax: number): SlotPair => {
  let active: SlotName | undefined;
  return {
    readAll: async () => {
      const a = await slots.read(`${name}.a`, bytesMax);
      const b = await slots.read(`${name}.b`, bytesMax);
      return [
        { slot: "a", read: a },
        { slot: "b", read: b },
      ];
    },
    writeOther: async (bytes) => {
      const slot: SlotName = active === "a" ? "b" : "a";
      const written = await slots.write(`${name}.${slot}`, bytes);
      return written.ok ? ok(slot) : written;
    },
    holds: (slot) => {
      active = slot;
    },
  };
};
