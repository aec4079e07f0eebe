import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import {
  agentName,
  createWorld,
  type Ended,
  org,
  patientMs,
  site,
  starterPolicies,
  until,
  untilTrue,
} from "../world.ts";
import { acting } from "./detections.ts";

vi.setConfig(patientMs);

type CommandRow = {
  readonly command_id: string;
  readonly target: { readonly value: string };
  readonly state: string;
  readonly ttl: number;
  readonly undo_at: string | null;
  readonly detail: string | null;
};
type OrderRow = { readonly state: string; readonly code: string | null; readonly by: string; readonly detail: string };

const world = createWorld("orders");
const onlineIs = (isOnline: boolean): Promise<void> =>
  untilTrue(`the agent is ${isOnline ? "online" : "offline"}`, async () => {
    const { agents } = await world.client().get<{ agents: { online: boolean }[] }>("/v1/agents");
    return agents[0]?.online === isOnline;
  });
const listed = async (): Promise<string> => {
  const { lists } = (await world.agent().line("ready")) as { lists: string[] };
  const url = lists.find((one) => one.includes("address")) ?? "";
  return (await fetch(url)).text();
};
const commandOn = (address: string): Promise<CommandRow | undefined> =>
  world
    .client()
    .get<{ commands: CommandRow[] }>("/v1/commands?limit=500")
    .then(({ commands }) => commands.find(({ target }) => target.value === address));
const inState = (address: string, state: string): Promise<CommandRow> =>
  until(`${address} is ${state}`, async () => {
    const found = await commandOn(address);
    return found?.state === state ? found : undefined;
  });
/** Acted on, in force, and listed at the far end. */
const enforced = async (eventId: string, address: string): Promise<CommandRow> => {
  const answer = await world.send(acting(eventId, address));
  expect(answer.status, answer.body).toBe(200);
  const row = await inState(address, "in_force");
  expect(await listed()).toContain(address);
  // Its reports may be heard before it has said that it is there.
  await onlineIs(true);
  return row;
};
const lease = (verb: string, id: string, ...more: readonly string[]): Promise<Ended> =>
  world.reflexctl("leases", verb, id, "--reason", "a drill", ...more);
const orders = async (commandId: string): Promise<OrderRow[]> =>
  (await world.client().get<{ orders: OrderRow[] }>(`/v1/orders?command=${commandId}`)).orders;

beforeAll(async () => {
  await world.startController();
  const bundle = join(world.folder, "bundle.json");
  const sign = ["bundle", "sign", starterPolicies, "--org", org, "--site", site, "--version", "1", "--out", bundle];
  await world.reflexctl(...sign, "--key", world.key("release-1"), "--key", world.key("release-2"));
  expect((await world.reflexctl("bundle", "publish", bundle)).code).toBe(0);
  await world.startAgent();
});
afterAll(() => world.close());

describe("8. what is in force obeys people", () => {
  test("8.1 a lease ended early is gone at the far end, closed, and the order is answered", async () => {
    const { command_id: id } = await enforced("early", "198.51.100.31");
    const asked = await lease("undo", id);
    expect(asked.code, asked.stderr).toBe(0);
    expect(asked.stdout).toContain("done");
    expect(await listed()).not.toContain("198.51.100.31");
    await inState("198.51.100.31", "undone");
    expect(await orders(id)).toMatchObject([{ state: "done", by: "operator" }]);
    const again = await lease("undo", id);
    expect(again.code).toBe(1);
    expect(again.stderr).toContain("conflict");
  });

  test("8.2 a lease extended ends later, never by more than its policy gives", async () => {
    const before = await enforced("extended", "198.51.100.32");
    const tooLong = await lease("extend", before.command_id, "--ttl", String(before.ttl + 1));
    expect(tooLong.code).toBe(1);
    expect(tooLong.stderr).toContain("limit-exceeded");
    const asked = await lease("extend", before.command_id, "--ttl", `${before.ttl}s`);
    expect(asked.code, asked.stderr).toBe(0);
    await untilTrue("it ends later", async () => {
      const now = await commandOn("198.51.100.32");
      return Date.parse(now?.undo_at ?? "") > Date.parse(before.undo_at ?? "");
    });
    expect((await orders(before.command_id)).map(({ state, code }) => [state, code])).toEqual([
      ["done", null],
      ["refused", "limit-exceeded"],
    ]);
  });

  test("8.3 a lease handed over stays in force and is nobody's but a person's, after a restart too", async () => {
    const { command_id: id } = await enforced("handed", "198.51.100.33");
    const asked = await lease("hand-over", id);
    expect(asked.code, asked.stderr).toBe(0);
    await inState("198.51.100.33", "handed_over");
    const { commands } = await world.client().get<{ commands: CommandRow[] }>("/v1/leases");
    expect(commands.map(({ command_id }) => command_id)).not.toContain(id);
    await world.agent().kill("SIGKILL");
    await world.startAgent();
    expect(await listed()).toContain("198.51.100.33");
  });

  test("8.4 a connector is compared on demand; what is not stuck is not marked", async () => {
    const { command_id: id } = await enforced("compared", "198.51.100.34");
    const compared = await world.reflexctl(
      "connectors",
      "reconcile",
      "edl",
      "--agent",
      agentName,
      "--reason",
      "a drill",
    );
    expect(compared.code, compared.stderr).toBe(0);
    const unknown = await world.reflexctl("connectors", "reconcile", "none", "--agent", agentName, "--reason", "drill");
    expect(unknown.stderr).toContain("connector-unknown");
    const marked = await lease("mark-undone", id);
    expect(marked.code).toBe(1);
    expect(marked.stderr).toContain("illegal-transition");
  });

  test("8.5 an agent that is away is said to be away, and does not find the order when it comes back", async () => {
    const { command_id: id } = await enforced("away", "198.51.100.35");
    await world.agent().kill("SIGTERM");
    await onlineIs(false);
    const asked = await lease("undo", id);
    expect(asked.code).toBe(1);
    expect(asked.stderr).toMatch(/unreachable.*offline/);
    await world.startAgent();
    const { command_id: other } = await enforced("back", "198.51.100.36");
    expect((await lease("undo", other)).code).toBe(0);
    expect(await listed()).toContain("198.51.100.35");
    expect(await orders(id)).toMatchObject([{ state: "refused", code: "unreachable" }]);
  });
});
