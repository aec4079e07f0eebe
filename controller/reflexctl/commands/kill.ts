import { type Arguments, UsageError } from "../arguments.ts";
import type { Client } from "../client.ts";
import { readKey } from "../keys.ts";
import { signKill } from "../kill.ts";

type KnownKill = { readonly scope: string; readonly state: string; readonly epoch: number };

/** Engages (one key) or releases (two keys) the kill switch of a site. */
export const killSwitch = async (
  args: Arguments,
  client: Client,
  state: "engaged" | "armed",
  now: Date,
): Promise<string> => {
  const site = args.texts("site")[0];
  if (site === undefined) throw new UsageError("which site? --site demo (--site '*' is the whole organisation)");
  const keys = args.texts("key").map(readKey);
  if (keys.length === 0) throw new UsageError("sign with which key? --key keys/kill-1.key (releasing needs two)");
  if (state === "armed" && keys.length < 2)
    throw new UsageError("releasing a kill switch needs two keys: --key keys/kill-1.key --key keys/kill-2.key");
  const { org } = await client.get<{ org: string }>("/v1/summary");
  const agent = args.text("agent") ?? "*";
  const scope = `${org}/${site}/${agent}`;
  const { kills } = await client.get<{ kills: KnownKill[] }>("/v1/kill");
  const epoch = (kills.find((kill) => kill.scope === scope)?.epoch ?? 0) + 1;
  const reason = args.text("reason") ?? (state === "engaged" ? "engaged with reflexctl" : "released with reflexctl");
  const by = args.text("by") ?? keys[0]?.keyid ?? "unknown";
  await client.post(
    "/v1/kill",
    signKill({ org, site, agent, state, epoch, reason, by, issuedAt: now.toISOString() }, keys),
  );
  return `kill switch of ${scope} ${state} at epoch ${epoch}; see who heard it: reflexctl agents`;
};

export const killList = async (client: Client): Promise<readonly KnownKill[]> =>
  (await client.get<{ kills: KnownKill[] }>("/v1/kill")).kills;
