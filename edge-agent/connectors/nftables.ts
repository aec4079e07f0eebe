import { type Refusal, refusal } from "@reflex/protocol/refusal";
import { err, ok, type Result } from "@reflex/protocol/result";
import { type BlockTarget, readBlockTarget } from "./block-target.ts";
import type { ApplyOutcome, Connector, ConnectorCall, InForce, UndoOutcome, VerifyOutcome } from "./contract.ts";
import { createNftProgram, type NftFailure } from "./nft-program.ts";
import { elementsOf, family, isWholeTable, makeTable, putElement, removeElement, setOf, sets } from "./nft-table.ts";

export type NftablesOptions = {
  readonly name: string;
  /** Table in family inet; ours alone. */
  readonly table?: string;
  /** Run inside this network namespace. */
  readonly netns?: string;
};

const tableName = /^[a-z][a-z0-9_-]{0,31}$/;

/**
 * The packet filter of this machine. The kernel itself ends each entry when its time is up, so a block never outlives its
 * lease even if the agent never comes back. Needs CAP_NET_ADMIN.
 */
export const createNftables = (options: NftablesOptions): Connector => {
  const table = options.table ?? "reflex";
  if (!tableName.test(table)) throw new Error("not a table name");
  const nft = createNftProgram(options.netns);

  const placeOf = (
    call: Pick<ConnectorCall, "action" | "target">,
  ): Result<{ target: BlockTarget; isRange: boolean }, Refusal> => {
    const isRange = call.action === "block_range";
    if (!isRange && call.action !== "block_ip")
      return err(refusal("connector-unknown", `nftables cannot ${call.action}`));
    if (isRange !== (call.target.type === "network"))
      return err(refusal("target-unresolved", `${call.action} is not for a ${call.target.type}`));
    const target = readBlockTarget(call.target);
    return target.ok ? ok({ target: target.value, isRange }) : target;
  };

  const apply = async (call: ConnectorCall): Promise<ApplyOutcome> => {
    const place = placeOf(call);
    if (!place.ok) return { kind: "refused", ...place.error };
    const done = await nft.change(
      putElement(table, place.value.target, place.value.isRange, Math.max(1, call.ttlSeconds)),
    );
    return done.ok
      ? { kind: "applied", detail: `in set ${setOf(place.value.target, place.value.isRange)}` }
      : outcomeOf(done.error);
  };

  const outcomeOf = ({ kind, refusal: why }: NftFailure): ApplyOutcome => {
    switch (kind) {
      case "unknown":
        return { kind: "unknown", detail: why.detail };
      // The table is gone: somebody reloaded the firewall. It is laid again by the next start or reconcile, then this is tried again.
      case "missing":
        void start();
        return { kind: "retry", detail: `the table ${table} is gone: ${why.detail}` };
      case "unusable":
        return { kind: "retry", detail: why.detail };
      case "refused":
        return { kind: "refused", ...why };
    }
  };

  const start = async (): Promise<Result<void, Refusal>> => {
    const listed = await nft.list(["table", family, table]);
    if (listed.ok && isWholeTable(listed.value)) return ok(undefined);
    if (!listed.ok && listed.error.kind !== "missing") return err(listed.error.refusal);
    const made = await nft.change(makeTable(table));
    return made.ok ? made : err(made.error.refusal);
  };

  const verify = async (call: ConnectorCall): Promise<VerifyOutcome> => {
    const place = placeOf(call);
    if (!place.ok) return { kind: "absent", detail: place.error.detail };
    const set = setOf(place.value.target, place.value.isRange);
    const listed = await nft.list(["set", family, table, set]);
    if (listed.ok)
      return { kind: elementsOf(listed.value, set).includes(place.value.target.text) ? "present" : "absent" };
    return { kind: listed.error.kind === "missing" ? "absent" : "unknown", detail: listed.error.refusal.detail };
  };

  const undo = async (call: ConnectorCall): Promise<UndoOutcome> => {
    const place = placeOf(call);
    if (!place.ok) return { kind: "undone" };
    const done = await nft.change(removeElement(table, place.value.target, place.value.isRange));
    if (done.ok || done.error.kind === "missing") return { kind: "undone" };
    // A network that overlaps one in force cannot be added, so it is not there either; verify has the last word.
    if (done.error.kind === "refused" && (await verify(call)).kind === "absent") return { kind: "undone" };
    return { kind: "retry", detail: done.error.refusal.detail };
  };

  return {
    name: options.name,
    describe: () => ({
      actions: {
        block_ip: { targets: ["address"], ...traits },
        block_range: { targets: ["network"], ...traits },
      },
      needs: ["CAP_NET_ADMIN", "the nft program"],
      about: `drops packets from and to the target on this machine (nftables, table ${family} ${table}); the kernel ends it on time`,
    }),
    start,
    // The sets are ours alone: before us there was nothing in them.
    captureUndo: async (call) => {
      const place = placeOf(call);
      return place.ok ? ok("") : place;
    },
    apply,
    verify,
    undo,
    listInForce: async () => {
      const listed = await nft.list(["table", family, table]);
      if (!listed.ok) return listed.error.kind === "missing" ? ok([]) : err(listed.error.refusal);
      return ok(
        sets.flatMap(({ name, isInterval }) => elementsOf(listed.value, name).map((text) => inForce(text, isInterval))),
      );
    },
    stop: async () => {},
  };
};

const inForce = (id: string, isRange: boolean): InForce => ({ id, action: isRange ? "block_range" : "block_ip" });
const traits = { nativeTtl: true, canVerify: true, canUndo: true } as const;
