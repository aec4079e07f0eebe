import { createHash } from "node:crypto";
import { payloadTypes } from "@reflex/protocol/envelope";
import { refusal } from "@reflex/protocol/refusal";
import { err, ok } from "@reflex/protocol/result";
import { expect, test } from "vitest";
import { createNodeCrypto } from "../adapters/node-crypto.ts";
import { nodeIdentityKeys } from "../adapters/node-identity.ts";
import type { Slots } from "../policy/slots-port.ts";
import { type EnrolDeps, enrolAgent, loadIdentity } from "./enrol.ts";
import type { HttpClient } from "./http-port.ts";

const authority = { kind: "pem", pem: "the authority" } as const;

/** A controller that gives each join token to one agent and one report key, as the real one does; `loseAnswers` are never heard. */
const createControllerAt = (loseAnswers: number): HttpClient & { readonly enrolled: () => readonly string[] } => {
  const ownerByToken = new Map<string, string>();
  const enrolled: string[] = [];
  let toLose = loseAnswers;
  return {
    enrolled: () => enrolled,
    chainOf: async () => ok([]),
    request: async ({ body }) => {
      const { join_token, agent, report_key } = JSON.parse(Buffer.from(body ?? []).toString()) as Record<
        string,
        string
      >;
      const owner = `${agent} ${report_key}`;
      const known = ownerByToken.get(join_token ?? "") ?? owner;
      if (known !== owner) return ok({ status: 401, bytes: Buffer.from("{}") });
      ownerByToken.set(join_token ?? "", owner);
      enrolled.push(report_key ?? "");
      toLose -= 1;
      if (toLose >= 0) return err(refusal("unreachable", "the answer was lost"));
      const trust = {
        payloadType: payloadTypes.trust,
        payload: "e30=",
        signatures: [{ keyid: "root-1", sig: "AAAA" }],
      };
      const answer = { certificate: "certificate", ca: "authority", org: "org", site: "site", agent, trust };
      return ok({ status: 201, bytes: Buffer.from(JSON.stringify(answer)) });
    },
  };
};

const createSlotsInMemory = (): Slots => {
  const files = new Map<string, Uint8Array>();
  return {
    read: async (name) => ok(files.get(name)),
    write: async (name, bytes) => {
      files.set(name, bytes);
      return ok(undefined);
    },
  };
};

const depsWith = (http: HttpClient, slots = createSlotsInMemory()): EnrolDeps => ({
  controllerUrl: "https://controller",
  slots,
  http,
  crypto: createNodeCrypto(),
  keys: {
    ...nodeIdentityKeys,
    isPair: () => true,
    certificateOf: (pem) => ({
      fingerprint: createHash("sha256").update(pem).digest("hex"),
      notBeforeMs: 0,
      notAfterMs: 1_000,
    }),
  },
});

test("an agent that dies before it hears the answer is enrolled by the same join token at its next start", async () => {
  const controller = createControllerAt(2);
  const deps = depsWith(controller);
  for (let life = 1; life <= 2; life += 1) {
    expect((await enrolAgent(deps, "token-1", authority, "agent-1")).ok).toBe(false);
    expect(await loadIdentity(deps)).toEqual(ok(undefined));
  }
  const enrolled = await enrolAgent(deps, "token-1", authority, "agent-1");
  expect(enrolled).toMatchObject({ ok: true, value: { identity: { agent: "agent-1", site: "site" } } });
  expect(new Set(controller.enrolled()).size, "report keys").toBe(1);
  expect(await loadIdentity(deps)).toMatchObject({ ok: true, value: { agent: "agent-1" } });
});

test("another join token is another enrolment, with keys of its own", async () => {
  const controller = createControllerAt(0);
  const deps = depsWith(controller);
  expect((await enrolAgent(deps, "token-1", authority, "agent-1")).ok).toBe(true);
  expect((await enrolAgent(deps, "token-2", authority, "agent-1")).ok).toBe(true);
  expect(new Set(controller.enrolled()).size, "report keys").toBe(2);
});

test("no token is used up for keys that could not be kept", async () => {
  const controller = createControllerAt(0);
  const full = refusal("disk-full", "no space");
  const slots: Slots = { ...createSlotsInMemory(), write: async () => err(full) };
  expect(await enrolAgent(depsWith(controller, slots), "token-1", authority, "agent-1")).toEqual(err(full));
  expect(controller.enrolled()).toEqual([]);
});
