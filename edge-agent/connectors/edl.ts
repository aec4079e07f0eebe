import { join } from "node:path";
import type { Entity } from "@reflex/protocol/entity";
import { type Refusal, refusal } from "@reflex/protocol/refusal";
import { err, ok, type Result } from "@reflex/protocol/result";
import type { Clock } from "../ports.ts";
import { readBlockDomain, readBlockTarget } from "./block-target.ts";
import type { ApplyOutcome, Connector, ConnectorCall, InForce, UndoOutcome } from "./contract.ts";
import { createListFile, type ListFile } from "./list-file.ts";
import { type ListServer, type ListServerOptions, startListServer } from "./list-server.ts";

export type EdlOptions = {
  readonly name: string;
  /** Where the lists are kept; restarting reads them back, so nothing enforced changes. */
  readonly folder: string;
  readonly clock: Clock;
  readonly server: ListServerOptions;
};

export type EdlConnector = Connector & {
  /** Undefined until started. */
  readonly urls: () => { readonly addresses: string; readonly domains: string } | undefined;
  /** Effects, not calls: a second apply of the same entry counts nothing. */
  readonly counts: () => { readonly added: number; readonly removed: number; readonly polls: number };
};

export const addressListPath = "/addresses.txt";
export const domainListPath = "/domains.txt";

/**
 * External dynamic list: firewalls and resolvers poll it (PAN-OS, Fortinet, Cisco, Sophos, Check Point, OPNsense). Needs no
 * privileges anywhere. Leases end by our own undo. "In force" means served: when a firewall picks it up is its polling interval.
 */
export const createEdl = (options: EdlOptions): EdlConnector => {
  const nowMs = options.clock.nowMs;
  const addresses = createListFile(join(options.folder, "addresses.txt"), nowMs);
  const domains = createListFile(join(options.folder, "domains.txt"), nowMs);
  let server: ListServer | undefined;
  let added = 0;
  let removed = 0;

  const placeOf = (
    call: Pick<ConnectorCall, "action" | "target">,
  ): Result<{ list: ListFile; entry: string }, Refusal> => {
    switch (call.action) {
      case "block_ip":
      case "block_range": {
        const target = readBlockTarget(call.target);
        return target.ok ? ok({ list: addresses, entry: target.value.text }) : target;
      }
      case "block_domain": {
        const name = readBlockDomain(call.target);
        return name.ok ? ok({ list: domains, entry: name.value }) : name;
      }
      default:
        return err(refusal("connector-unknown", `an external list cannot ${call.action}`));
    }
  };

  const apply = async (call: ConnectorCall): Promise<ApplyOutcome> => {
    const place = placeOf(call);
    if (!place.ok) return { kind: "refused", ...place.error };
    const done = await place.value.list.add(place.value.entry);
    if (done.ok && done.value) added += 1;
    if (done.ok) return { kind: "applied", detail: `${place.value.list.snapshot().entries} entries` };
    return done.error.code === "limit-exceeded"
      ? { kind: "refused", ...done.error }
      : { kind: "retry", detail: done.error.detail };
  };

  const undo = async (call: ConnectorCall): Promise<UndoOutcome> => {
    const place = placeOf(call);
    // What could never be on the list is not on it.
    if (!place.ok) return { kind: "undone" };
    const done = await place.value.list.remove(place.value.entry);
    if (!done.ok) return { kind: "retry", detail: done.error.detail };
    if (done.value) removed += 1;
    return { kind: "undone" };
  };

  return {
    name: options.name,
    describe: () => ({
      actions: {
        block_ip: { targets: ["address"], ...traits },
        block_range: { targets: ["network"], ...traits },
        block_domain: { targets: ["domain"], ...traits },
      },
      needs: ["the firewall polls the list and has a rule that names it"],
      about: "external dynamic list over HTTP(S); in force when served, enforced when the firewall polls next",
    }),
    start: async () => {
      const loaded = [await addresses.load(isAddressEntry), await domains.load(isDomainEntry)].find((one) => !one.ok);
      if (loaded !== undefined) return loaded;
      const lists = new Map([
        [addressListPath, addresses.snapshot],
        [domainListPath, domains.snapshot],
      ]);
      const started = await startListServer(options.server, lists);
      if (!started.ok) return started;
      server = started.value;
      return ok(undefined);
    },
    // An entry that is on the list before us was put there by us: the file belongs to this connector alone.
    captureUndo: async (call) => {
      const place = placeOf(call);
      return place.ok ? ok("") : place;
    },
    apply,
    verify: async (call) => {
      const place = placeOf(call);
      return { kind: place.ok && place.value.list.has(place.value.entry) ? "present" : "absent" };
    },
    undo,
    listInForce: async () => ok([...addresses.entries().map(addressInForce), ...domains.entries().map(domainInForce)]),
    stop: async () => {
      await server?.close();
      server = undefined;
    },
    urls: () => server && { addresses: server.url + addressListPath, domains: server.url + domainListPath },
    counts: () => ({ added, removed, polls: server?.polls() ?? 0 }),
  };
};

const traits = { nativeTtl: false, canVerify: true, canUndo: true } as const;

const entityOfLine = (line: string): Entity => ({ type: line.includes("/") ? "network" : "address", value: line });
const isAddressEntry = (line: string): boolean => {
  const target = readBlockTarget(entityOfLine(line));
  return target.ok && target.value.text === line;
};
const isDomainEntry = (line: string): boolean => {
  const name = readBlockDomain({ type: "domain", value: line });
  return name.ok && name.value === line;
};

const addressInForce = (line: string): InForce => ({
  id: line,
  action: line.includes("/") ? "block_range" : "block_ip",
});
const domainInForce = (line: string): InForce => ({ id: line, action: "block_domain" });
