import type { Bundle } from "./bundle.ts";
import type { KillState } from "./kill.ts";
import { inventoryEntriesMax, orderSecondsMax } from "./limits.ts";
import type { Order } from "./order.ts";
import type { Policy } from "./policy.ts";
import type { Batch } from "./report.ts";
import type { Trust } from "./trust.ts";

/**
 * What must hold within a message but cannot be said in JSON Schema: each function takes a message of the right shape and
 * returns `<json pointer>: <what is wrong>` for the first thing that makes no sense, else undefined.
 */
export const killStateSense = ({ aud }: KillState): string | undefined =>
  // A kill "for every site but one agent" names an agent of which there may be one per site.
  aud.site === "*" && aud.agent !== "*" ? "/aud/agent: must be * where the site is *" : undefined;

/** An order that lives long is one somebody can keep for a bad moment. */
export const orderSense = ({ issued_at, expires_at }: Order): string | undefined => {
  const livesMs = Date.parse(expires_at) - Date.parse(issued_at);
  // Also for a date that does not exist, which is no number.
  if (!(livesMs > 0)) return "/expires_at: is not after issued_at";
  return livesMs > orderSecondsMax * 1_000
    ? `/expires_at: is more than ${orderSecondsMax} s after issued_at`
    : undefined;
};

/** A role nobody can fill refuses for ever, and one key under two names is one key. */
export const trustSense = (trust: Trust): string | undefined => {
  for (const [name, role] of Object.entries(trust.roles)) {
    const keys = new Set(role.keys.map((key) => key.public));
    if (keys.size !== role.keys.length) return `/roles/${name}/keys: holds one public key twice`;
    if (new Set(role.keys.map((key) => key.keyid)).size !== role.keys.length)
      return `/roles/${name}/keys: holds one keyid twice`;
    if (role.threshold > keys.size)
      return `/roles/${name}/threshold: is ${role.threshold}, but there are ${keys.size} keys`;
  }
  const killKeys = trust.roles.kill.keys.length;
  if (trust.kill_release_threshold > killKeys) {
    return `/kill_release_threshold: is ${trust.kill_release_threshold}, but there are ${killKeys} kill keys`;
  }
  if (trust.kill_release_threshold < trust.roles.kill.threshold)
    return "/kill_release_threshold: is below the threshold to engage";
  return undefined;
};

export const bundleSense = (bundle: Bundle): string | undefined => {
  const ids = new Set<string>();
  for (const [index, policy] of bundle.policies.entries()) {
    if (ids.has(policy.id)) return `/policies/${index}/id: ${policy.id} is there twice`;
    ids.add(policy.id);
    const what = policySense(policy);
    if (what !== undefined) return `/policies/${index}${what}`;
  }
  const { assets, users, subnets } = bundle.inventory;
  const entries = assets.length + users.length + subnets.length;
  if (entries > inventoryEntriesMax)
    return `/inventory: has ${entries} entries, at most ${inventoryEntriesMax} are allowed`;
  return undefined;
};

const policySense = (policy: Policy): string | undefined => {
  if (!policy.id.startsWith(`${policy.layer}/`)) return "/layer: is not the layer the id names";
  if (policy.kind === "permit")
    return policy.layer === "action" ? undefined : "/kind: only the action layer can hold a permit";
  const { limit } = policy;
  if (limit !== undefined && limit.max === undefined && limit.max_percent === undefined)
    return "/limit: caps nothing: name max or max_percent";
  return undefined;
};

/** Reports are gap-free: a batch that leaves one out, or repeats one, is not what its header says. */
export const batchSense = (batch: Batch): string | undefined => {
  if (batch.last - batch.first + 1 !== batch.records.length)
    return "/last: is not first plus the number of records less one";
  for (const [index, record] of batch.records.entries()) {
    if (record.sequence !== batch.first + index) return `/records/${index}/sequence: is not consecutive`;
    if (record.kind === "gap" && record.body.last < record.body.first)
      return `/records/${index}/body/last: is before first`;
  }
  return undefined;
};
