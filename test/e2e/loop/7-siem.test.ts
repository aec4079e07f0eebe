import { join } from "node:path";
import { createFakeSiem } from "@reflex/controller/mirror/opensearch.test-fake";
import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import { createWorld, org, patientMs, site, starterPolicies, until } from "../world.ts";
import { acting } from "./detections.ts";

vi.setConfig(patientMs);

type Action = {
  readonly event: { readonly code: string; readonly outcome: string };
  readonly related: { readonly ip: readonly string[] };
  readonly reflex: { readonly command_id: string; readonly decision_id: string };
};

const siem = createFakeSiem();
const world = createWorld("siem");
const actions = (): Action[] => siem.documents("logs-reflex.actions-default").map(({ source }) => source as Action);
const actionOn = (address: string, code: string): Promise<Action> =>
  until(`the SIEM knows that ${address} is ${code}`, () =>
    actions().find(({ event, related }) => event.code === code && related.ip.includes(address)),
  );
const send = async (eventId: string, address: string): Promise<void> => {
  const answer = await world.send(acting(eventId, address));
  expect(answer.status, answer.body).toBe(200);
};

beforeAll(async () => {
  await siem.start();
  // Settings come from the environment too, and a program that is started here inherits it.
  process.env["REFLEX_SIEM_URL"] = siem.url();
  await world.startController();
  delete process.env["REFLEX_SIEM_URL"];
  const bundle = join(world.folder, "bundle.json");
  const sign = ["bundle", "sign", starterPolicies, "--org", org, "--site", site, "--version", "1", "--out", bundle];
  await world.reflexctl(...sign, "--key", world.key("release-1"), "--key", world.key("release-2"));
  expect((await world.reflexctl("bundle", "publish", bundle)).code).toBe(0);
  await world.startAgent();
});
afterAll(async () => {
  await world.close();
  await siem.stop();
});

describe("9. the SIEM hears what became of it", () => {
  test("9.1 an action in force, its feedback, and its early end are documents that belong together", async () => {
    await send("mirrored", "198.51.100.41");
    const { event, reflex } = await actionOn("198.51.100.41", "in_force");
    expect(event.outcome).toBe("success");
    const feedback = await until("its feedback is there", () =>
      siem
        .documents("logs-reflex.feedback-default")
        .map(({ source }) => source as { reflex: { decision_id: string; outcome: string } })
        .find((one) => one.reflex.decision_id === reflex.decision_id),
    );
    expect(feedback.reflex.outcome).toBe("success");
    expect((await world.reflexctl("leases", "undo", reflex.command_id, "--reason", "a drill")).code).toBe(0);
    expect((await actionOn("198.51.100.41", "undone")).reflex.command_id).toBe(reflex.command_id);
  });

  test("9.2 what happened while it was away is there once it is back, each step once", async () => {
    await siem.stop();
    await send("while-away", "198.51.100.42");
    await until("it waits in the database", async () => {
      const { waiting } = await world.client().get<{ waiting: { command: { rows: number } } }>("/v1/siem");
      return waiting.command.rows > 0 ? true : undefined;
    });
    await siem.start();
    await actionOn("198.51.100.42", "in_force");
    const status = await world.reflexctl("siem", "status");
    expect(status.stdout).toContain("this controller mirrors");
    const ids = siem.documents("logs-reflex.actions-default").map(({ id }) => id);
    expect(new Set(ids).size).toBe(ids.length);
    const mine = actions().filter(({ related }) => related.ip.includes("198.51.100.42"));
    expect(mine.map(({ event }) => event.code)).toEqual(["in_force"]);
  });
});
