import "reflect-metadata";
import { createHash, webcrypto, X509Certificate } from "node:crypto";
import { mkdtemp, readFile, rm, stat } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import {
  ChallengePasswordAttribute,
  Pkcs10CertificateRequestGenerator,
  SubjectAlternativeNameExtension,
} from "@peculiar/x509";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type Authority, agentCertificateMs, createAuthority } from "./authority.ts";
import { identityOfAltName, identityUri, parseIdentityUri } from "./identity.ts";

const nowMs = Date.UTC(2026, 5, 1, 12);
const agent = { site: "berlin", agent: "edge-1" };
let dir: string;
let authority: Authority;
beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), "reflex-pki-"));
  authority = await createAuthority({ dir, org: "acme", nowMs: () => nowMs });
});
afterAll(() => rm(dir, { recursive: true, force: true }));

const p256 = { name: "ECDSA", namedCurve: "P-256", hash: "SHA-256" };
const csrOf = async (more: object = {}, algorithm: { name: string; hash: string } = p256, name = "CN=edge-1") => {
  const keys = (await webcrypto.subtle.generateKey(algorithm as object as webcrypto.EcKeyGenParams, true, [
    "sign",
    "verify",
  ])) as webcrypto.CryptoKeyPair;
  const csr = await Pkcs10CertificateRequestGenerator.create({ name, keys, signingAlgorithm: algorithm, ...more });
  return csr.toString("pem");
};

describe("an agent's certificate says who it is and nothing more", () => {
  test("24 hours, backdated 5 minutes, one URI name, client use only, signed by the authority", async () => {
    const signed = await authority.signAgentCsr(await csrOf(), agent);
    if (!signed.ok) throw new Error(signed.error.detail);
    const certificate = new X509Certificate(signed.value.certificate);
    expect(Date.parse(certificate.validFrom)).toBe(nowMs - 5 * 60_000);
    expect(Date.parse(certificate.validTo)).toBe(nowMs + agentCertificateMs);
    expect(identityOfAltName(certificate.subjectAltName)).toEqual({ kind: "agent", org: "acme", ...agent });
    expect(certificate.keyUsage).toEqual(["1.3.6.1.5.5.7.3.2"]);
    expect(certificate.ca).toBe(false);
    expect(certificate.verify(new X509Certificate(authority.caPem).publicKey)).toBe(true);
    expect(createHash("sha256").update(new X509Certificate(authority.caPem).raw).digest("hex")).toBe(
      authority.caFingerprint,
    );
  });

  test("the name in the request changes nothing: who it is comes from the token", async () => {
    const signed = await authority.signAgentCsr(await csrOf({}, p256, "CN=somebody-else"), agent);
    expect(signed.ok && new X509Certificate(signed.value.certificate).subject).toBe("CN=edge-1");
  });

  const refused: readonly (readonly [string, () => Promise<string>, string])[] = [
    [
      "a name of another agent",
      () =>
        csrOf({
          extensions: [
            new SubjectAlternativeNameExtension([{ type: "url", value: "reflex://acme/s/berlin/a/edge-2" }]),
          ],
        }),
      "schema-invalid",
    ],
    ["an attribute", () => csrOf({ attributes: [new ChallengePasswordAttribute("secret")] }), "schema-invalid"],
    ["an organisation", () => csrOf({}, p256, "CN=edge-1, O=acme"), "schema-invalid"],
    ["another curve", () => csrOf({}, { ...p256, namedCurve: "P-384", hash: "SHA-384" } as never), "schema-invalid"],
    [
      "rubbish",
      async () => "-----BEGIN CERTIFICATE REQUEST-----\nAAAA\n-----END CERTIFICATE REQUEST-----\n",
      "schema-invalid",
    ],
    ["a megabyte", async () => "A".repeat(1024 * 1024), "too-large"],
    [
      "a key that is not its own",
      async () => {
        const pem = await csrOf();
        const der = Buffer.from(pem.replace(/-----[^-]+-----/g, ""), "base64");
        const at = der.length - 5; // within the signature's s
        der[at] = (der[at] ?? 0) ^ 1;
        return `-----BEGIN CERTIFICATE REQUEST-----\n${der.toString("base64")}\n-----END CERTIFICATE REQUEST-----\n`;
      },
      "signature-invalid",
    ],
  ];
  test.each(refused)("a request with %s is refused", async (_what, make, code) => {
    expect(await authority.signAgentCsr(await make(), agent)).toMatchObject({ ok: false, error: { code } });
  });
});

describe("the authority outlives its process", () => {
  test("a restart keeps key and certificate, and the key is readable by its owner alone", async () => {
    const again = await createAuthority({ dir, org: "acme", nowMs: () => nowMs });
    expect(again.caFingerprint).toBe(authority.caFingerprint);
    expect((await stat(join(dir, "ca.key"))).mode & 0o077).toBe(0);
    const signed = await again.signAgentCsr(await csrOf(), agent);
    expect(
      signed.ok && new X509Certificate(signed.value.certificate).verify(new X509Certificate(authority.caPem).publicKey),
    ).toBe(true);
  });

  test("a lost key is not replaced silently: every agent would be locked out", async () => {
    const other = await mkdtemp(join(tmpdir(), "reflex-pki-"));
    await createAuthority({ dir: other, org: "acme", nowMs: () => nowMs });
    await rm(join(other, "ca.key"));
    await expect(createAuthority({ dir: other, org: "acme", nowMs: () => nowMs })).rejects.toThrow("is missing");
    expect(await readFile(join(other, "ca.pem"), "utf8")).toContain("CERTIFICATE");
    await rm(other, { recursive: true, force: true });
  });

  test("a server certificate is for loopback and the names given, and carries the authority", async () => {
    const server = await authority.issueServer(["controller.example", "192.0.2.7"]);
    const certificate = new X509Certificate(server.cert);
    for (const host of ["controller.example", "localhost"]) expect(certificate.checkHost(host)).toBe(host);
    for (const address of ["192.0.2.7", "127.0.0.1", "::1"]) expect(certificate.checkIP(address)).toBe(address);
    expect(certificate.checkHost("elsewhere.example")).toBeUndefined();
    expect(server.cert).toContain(authority.caPem.trim());
  });
});

describe("an identity has one spelling", () => {
  test("agents and controllers read back as written", () => {
    for (const identity of [
      { kind: "agent", org: "acme", ...agent },
      { kind: "controller", org: "acme", name: "one" },
    ] as const) {
      expect(parseIdentityUri(identityUri(identity))).toEqual(identity);
      expect(identityOfAltName(`URI:${identityUri(identity)}`)).toEqual(identity);
    }
  });

  test.each([
    undefined,
    "",
    "DNS:localhost",
    "URI:reflex://acme/s/berlin/a/edge-1, URI:reflex://acme/s/berlin/a/edge-2",
    "URI:reflex://acme/s/berlin/a/edge-1, DNS:edge-1",
    "URI:reflex://acme/s/berlin/a/+",
    "URI:reflex://acme/s/#/a/edge-1",
    "URI:reflex://acme/s/berlin/a/edge-1/x",
    'URI:"reflex://acme/s/berlin/a/edge-1"',
    "URI:https://acme/s/berlin/a/edge-1",
    "URI:reflex://acme.example/s/berlin/a/edge-1",
  ])("%s is nobody", (altName) => {
    expect(identityOfAltName(altName)).toBeUndefined();
  });
});
