import { X509Certificate } from "node:crypto";
import { mkdtemp, readFile, stat } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createAuthority } from "@reflex/controller/pki/authority";
import { nodeRandom } from "@reflex/edge-agent/adapters/node-crypto";
import { nodeIdentityKeys } from "@reflex/edge-agent/adapters/node-identity";
import { createCsrPem } from "@reflex/edge-agent/link/csr";
import { enrolAgent, loadIdentity, renewAtMs, renewCertificate } from "@reflex/edge-agent/link/enrol";
import { createMemoryMarks, testSelf } from "@reflex/edge-agent/policy/signing-fixture";
import { createTrustStore } from "@reflex/edge-agent/policy/trust";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { enrolled } from "./agent-side.ts";
import { type SmallController, startSmallController } from "./small-controller.ts";

let controller: SmallController;
beforeAll(async () => {
  controller = await startSmallController();
});
afterAll(() => controller.stop());

describe("enrolment", () => {
  test("keys are made by the agent and stay in one file that only its user can read", async () => {
    const { folder, identity, deps } = await enrolled(controller, "edge-1");
    const path = join(folder, "policy", "identity.json");
    expect((await stat(path)).mode & 0o077).toBe(0);
    expect(await readFile(path, "utf8")).toContain("PRIVATE KEY");
    expect(new X509Certificate(identity.tls.cert).subjectAltName).toBe("URI:reflex://acme/s/berlin/a/edge-1");
    expect(await loadIdentity(deps)).toEqual({ ok: true, value: identity });
  });

  test("the trust document that came with it can be pinned, also after a crash in between", async () => {
    const { deps } = await enrolled(controller, "edge-2");
    const loaded = await loadIdentity(deps);
    const text = loaded.ok ? (loaded.value?.trust ?? "") : "";
    const trust = createTrustStore({ ...deps, marks: createMemoryMarks(), org: testSelf.org });
    expect((await trust.pin(deps.crypto.utf8(text))).ok).toBe(true);
  });

  test("a token works once", async () => {
    const { deps } = await enrolled(controller, "edge-3");
    const again = await enrolAgent(deps, "edge-3", { kind: "pem", pem: controller.authority.caPem }, "edge-3");
    expect(again).toMatchObject({
      ok: false,
      error: { code: "unauthorised", detail: expect.stringContaining("make a new one") },
    });
  });

  test("a server with another authority gets neither token nor request", async () => {
    const { deps } = await enrolled(controller, "edge-4");
    controller.tokens.add("unspent");
    const stranger = await createAuthority({
      dir: await mkdtemp(join(tmpdir(), "reflex-pki-")),
      org: "acme",
      nowMs: () => Date.now(),
    });
    const byPem = await enrolAgent(deps, "unspent", { kind: "pem", pem: stranger.caPem }, "edge-4");
    expect(byPem).toMatchObject({ ok: false, error: { code: "unreachable" } });
    const byPrint = await enrolAgent(
      deps,
      "unspent",
      { kind: "fingerprint", sha256: stranger.caFingerprint },
      "edge-4",
    );
    expect(byPrint).toMatchObject({
      ok: false,
      error: { code: "signature-invalid", detail: expect.stringContaining("check address and fingerprint") },
    });
    expect(controller.tokens.has("unspent")).toBe(true);
  });

  test("a damaged identity is said to be one", async () => {
    const { deps } = await enrolled(controller, "edge-5");
    await deps.slots.write("identity.json", deps.crypto.utf8("{}"));
    expect(await loadIdentity(deps)).toMatchObject({
      ok: false,
      error: { detail: expect.stringContaining("enrol it again") },
    });
  });
});

test("a request is read by a certificate library whatever the name's length", async () => {
  for (const agent of ["e", "edge-1", "x".repeat(48)]) {
    const key = nodeIdentityKeys.makeTlsKey();
    const pem = createCsrPem({ ...key, encodeBase64: (bytes) => Buffer.from(bytes).toString("base64") }, agent);
    expect((await controller.authority.signAgentCsr(pem, { site: "berlin", agent })).ok).toBe(true);
  }
});

describe("renewal", () => {
  test("a new key and certificate for the same agent, stored before it is used", async () => {
    const { deps, identity } = await enrolled(controller, "edge-6");
    const renewed = await renewCertificate(deps, identity);
    if (!renewed.ok) throw new Error(renewed.error.detail);
    expect(renewed.value.tls.key).not.toBe(identity.tls.key);
    expect(new X509Certificate(renewed.value.tls.cert).subjectAltName).toBe("URI:reflex://acme/s/berlin/a/edge-6");
    expect(await loadIdentity(deps)).toEqual(renewed);
  });

  test("always between 50 and 66 % of its life", () => {
    for (let run = 0; run < 1_000; run += 1) {
      const share = renewAtMs({ notBeforeMs: 1_000_000, notAfterMs: 2_000_000 }, nodeRandom) / 1_000_000 - 1;
      expect(share).toBeGreaterThanOrEqual(0.499);
      expect(share).toBeLessThanOrEqual(0.661);
    }
  });
});
