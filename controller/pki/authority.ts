import "reflect-metadata";
import { createHash, webcrypto } from "node:crypto";
import { chmod, mkdir, open, readFile, rename } from "node:fs/promises";
import { join } from "node:path";
import {
  AuthorityKeyIdentifierExtension,
  BasicConstraintsExtension,
  ExtendedKeyUsage,
  ExtendedKeyUsageExtension,
  KeyUsageFlags,
  KeyUsagesExtension,
  PemConverter,
  SubjectAlternativeNameExtension,
  SubjectKeyIdentifierExtension,
  X509Certificate,
  X509CertificateGenerator,
} from "@peculiar/x509";
import { type Refusal, refusal } from "@reflex/protocol/refusal";
import { err, ok, type Result } from "@reflex/protocol/result";
import { checkCsr } from "./csr.ts";
import { type Identity, identityUri } from "./identity.ts";

/** Clocks of agents may be behind; a certificate that is not valid yet locks them out (kubernetes/pinniped #849). */
const backdatedMs = 5 * 60_000;
const hourMs = 3_600_000;
/** An agent that cannot renew for a day is enrolled anew or cut off; that is the revocation. */
export const agentCertificateMs = 24 * hourMs;
/** Renewed by the controller at each start and while it runs. */
export const serverCertificateMs = 90 * 24 * hourMs;
const authorityMs = 10 * 365 * 24 * hourMs;

export type KeyAndCertificate = {
  /** PKCS#8 PEM. */
  readonly key: string;
  /** PEM, leaf first and then the authority, so that a client that pins the fingerprint can find it. */
  readonly cert: string;
  readonly notAfterMs: number;
};

export type Authority = {
  readonly caPem: string;
  /** SHA-256 over the DER, lower-case hex: what an agent pins at enrolment. */
  readonly caFingerprint: string;
  /** For broker and API. `names` are DNS names or IP addresses; loopback is always added. */
  readonly issueServer: (names: readonly string[]) => Promise<KeyAndCertificate>;
  /** For the controller's own connections to a broker. */
  readonly issueController: (name: string) => Promise<KeyAndCertificate>;
  /** Signs an agent's request after checking that it asks nothing but its key; who it is comes from the join token or old certificate. */
  readonly signAgentCsr: (
    csrPem: string,
    agent: { readonly site: string; readonly agent: string },
  ) => Promise<Result<{ readonly certificate: string; readonly notAfterMs: number }, Refusal>>;
};

export type AuthorityDeps = {
  /** Folder of `ca.key` and `ca.pem`; made on first use. */
  readonly dir: string;
  readonly org: string;
  readonly nowMs: () => number;
};

const algorithm = { name: "ECDSA", namedCurve: "P-256", hash: "SHA-256" } as const;

export const createAuthority = async (deps: AuthorityDeps): Promise<Authority> => {
  const { privateKey, certificate } = await loadOrCreate(deps);
  const caPem = `${certificate.toString("pem")}\n`;

  const issue = async (
    publicKey: webcrypto.CryptoKey | Uint8Array,
    form: Form,
  ): Promise<{ pem: string; notAfterMs: number }> => {
    const nowMs = deps.nowMs();
    const notAfterMs = Math.min(nowMs + form.lifeMs, certificate.notAfter.getTime());
    const issued = await X509CertificateGenerator.create({
      serialNumber: serialNumber(),
      issuer: certificate.subject,
      subject: [{ CN: [form.commonName] }],
      notBefore: new Date(nowMs - backdatedMs),
      notAfter: new Date(notAfterMs),
      publicKey: publicKey instanceof Uint8Array ? await importPublic(publicKey) : publicKey,
      signingKey: privateKey,
      signingAlgorithm: algorithm,
      extensions: [
        new BasicConstraintsExtension(false, undefined, true),
        new KeyUsagesExtension(KeyUsageFlags.digitalSignature, true),
        new ExtendedKeyUsageExtension([...form.usages]),
        new SubjectAlternativeNameExtension([...form.names]),
        await AuthorityKeyIdentifierExtension.create(certificate.publicKey),
      ],
    });
    return { pem: `${issued.toString("pem")}\n${caPem}`, notAfterMs };
  };

  const issueWithKey = async (form: Form): Promise<KeyAndCertificate> => {
    const keys = await webcrypto.subtle.generateKey(algorithm, true, ["sign", "verify"]);
    const { pem, notAfterMs } = await issue(keys.publicKey, form);
    return { key: await privatePem(keys.privateKey), cert: pem, notAfterMs };
  };

  const uriOf = (identity: Identity): AltName => ({ type: "url", value: identityUri(identity) });

  return {
    caPem,
    caFingerprint: createHash("sha256").update(new Uint8Array(certificate.rawData)).digest("hex"),
    issueServer: (names) => {
      const all = [...new Set([...names, "localhost", "127.0.0.1", "::1"])];
      return issueWithKey({
        commonName: all[0] as string,
        names: all.map((value) => ({ type: isAddress(value) ? "ip" : "dns", value })),
        usages: [ExtendedKeyUsage.serverAuth],
        lifeMs: serverCertificateMs,
      });
    },
    issueController: (name) =>
      issueWithKey({
        commonName: name,
        names: [uriOf({ kind: "controller", org: deps.org, name })],
        usages: [ExtendedKeyUsage.clientAuth],
        lifeMs: serverCertificateMs,
      }),
    signAgentCsr: async (csrPem, { site, agent }) => {
      const csr = await checkCsr(csrPem);
      if (!csr.ok) return csr;
      const identity: Identity = { kind: "agent", org: deps.org, site, agent };
      try {
        const { pem, notAfterMs } = await issue(csr.value.publicKeyDer, {
          commonName: agent,
          names: [uriOf(identity)],
          usages: [ExtendedKeyUsage.clientAuth],
          lifeMs: agentCertificateMs,
        });
        return ok({ certificate: pem, notAfterMs });
      } catch {
        return err(refusal("schema-invalid", "the certificate request has no usable P-256 key"));
      }
    },
  };
};

type AltName = { readonly type: "url" | "dns" | "ip"; readonly value: string };
type Form = {
  readonly commonName: string;
  readonly names: readonly AltName[];
  readonly usages: readonly string[];
  readonly lifeMs: number;
};

const loadOrCreate = async (
  deps: AuthorityDeps,
): Promise<{ readonly privateKey: webcrypto.CryptoKey; readonly certificate: X509Certificate }> => {
  const keyPath = join(deps.dir, "ca.key");
  const certificatePath = join(deps.dir, "ca.pem");
  const stored = await Promise.all([textOf(keyPath), textOf(certificatePath)]);
  if (stored[0] !== undefined && stored[1] !== undefined) {
    await chmod(keyPath, 0o600);
    const privateKey = await webcrypto.subtle.importKey("pkcs8", PemConverter.decodeFirst(stored[0]), algorithm, true, [
      "sign",
    ]);
    return { privateKey, certificate: new X509Certificate(stored[1]) };
  }
  // A certificate without its key was in use: a new authority would lock every agent out without saying why.
  if (stored[1] !== undefined)
    throw new Error(`${keyPath} is missing; restore it, or remove ${certificatePath} to begin anew`);
  const keys = await webcrypto.subtle.generateKey(algorithm, true, ["sign", "verify"]);
  const nowMs = deps.nowMs();
  const certificate = await X509CertificateGenerator.createSelfSigned({
    serialNumber: serialNumber(),
    name: [{ O: [deps.org] }, { CN: ["Reflex certificate authority"] }],
    notBefore: new Date(nowMs - backdatedMs),
    notAfter: new Date(nowMs + authorityMs),
    keys,
    signingAlgorithm: algorithm,
    extensions: [
      new BasicConstraintsExtension(true, 0, true),
      new KeyUsagesExtension(KeyUsageFlags.keyCertSign | KeyUsageFlags.cRLSign, true),
      await SubjectKeyIdentifierExtension.create(keys.publicKey),
    ],
  });
  await mkdir(deps.dir, { recursive: true, mode: 0o700 });
  // Key first: a crash between leaves a key without certificate, and the next start begins anew.
  await writeWhole(keyPath, await privatePem(keys.privateKey), 0o600);
  await writeWhole(certificatePath, `${certificate.toString("pem")}\n`, 0o644);
  return { privateKey: keys.privateKey, certificate };
};

const privatePem = async (key: webcrypto.CryptoKey): Promise<string> =>
  `${PemConverter.encode(await webcrypto.subtle.exportKey("pkcs8", key), PemConverter.PrivateKeyTag)}\n`;

const importPublic = (der: Uint8Array): Promise<webcrypto.CryptoKey> =>
  webcrypto.subtle.importKey("spki", der as Uint8Array<ArrayBuffer>, algorithm, true, ["verify"]);

/** 16 random bytes, positive: unguessable, and unique without a counter to keep. */
const serialNumber = (): string => {
  const bytes = webcrypto.getRandomValues(new Uint8Array(16));
  bytes[0] = ((bytes[0] ?? 0) & 0x7f) | 0x01;
  return Buffer.from(bytes).toString("hex");
};

const isAddress = (name: string): boolean => /^\d+\.\d+\.\d+\.\d+$/.test(name) || name.includes(":");

const textOf = async (path: string): Promise<string | undefined> => {
  try {
    return await readFile(path, "utf8");
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "ENOENT") return undefined;
    throw error;
  }
};

const writeWhole = async (path: string, text: string, mode: number): Promise<void> => {
  const file = await open(`${path}.new`, "w", mode);
  try {
    await file.writeFile(text);
    await file.sync();
  } finally {
    await file.close();
  }
  await rename(`${path}.new`, path);
};
