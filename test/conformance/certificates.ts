import "reflect-metadata";
import { webcrypto } from "node:crypto";
import { isIP } from "node:net";
import {
  BasicConstraintsExtension,
  ExtendedKeyUsage,
  ExtendedKeyUsageExtension,
  KeyUsageFlags,
  KeyUsagesExtension,
  PemConverter,
  SubjectAlternativeNameExtension,
  X509CertificateGenerator,
} from "@peculiar/x509";

/** PEM, both. */
export type ServerCertificate = { readonly cert: string; readonly key: string };

/** An authority that nobody but the test trusts, for one run; its key is never written anywhere. */
export type TestAuthority = {
  readonly caPem: string;
  /** For servers and, with the same extensions, for clients; `names` are DNS names or IP addresses. */
  readonly issue: (names: readonly string[]) => Promise<ServerCertificate>;
};

const algorithm = { name: "ECDSA", namedCurve: "P-256", hash: "SHA-256" } as const;
const dayMs = 24 * 3_600_000;

export const createTestAuthority = async (): Promise<TestAuthority> => {
  const notBefore = new Date(Date.now() - dayMs);
  const notAfter = new Date(Date.now() + dayMs);
  const caKeys = await webcrypto.subtle.generateKey(algorithm, true, ["sign", "verify"]);
  const issuer = "CN=Reflex test authority";
  const ca = await X509CertificateGenerator.createSelfSigned({
    name: issuer,
    keys: caKeys,
    notBefore,
    notAfter,
    signingAlgorithm: algorithm,
    extensions: [
      new BasicConstraintsExtension(true, 0, true),
      new KeyUsagesExtension(KeyUsageFlags.keyCertSign | KeyUsageFlags.cRLSign, true),
    ],
  });
  return {
    caPem: ca.toString("pem"),
    issue: async (names) => {
      const keys = await webcrypto.subtle.generateKey(algorithm, true, ["sign", "verify"]);
      const certificate = await X509CertificateGenerator.create({
        subject: `CN=${names[0] ?? "nobody"}`,
        issuer,
        publicKey: keys.publicKey,
        signingKey: caKeys.privateKey,
        notBefore,
        notAfter,
        signingAlgorithm: algorithm,
        extensions: [
          new BasicConstraintsExtension(false, undefined, true),
          new KeyUsagesExtension(KeyUsageFlags.digitalSignature, true),
          new ExtendedKeyUsageExtension([ExtendedKeyUsage.serverAuth, ExtendedKeyUsage.clientAuth]),
          new SubjectAlternativeNameExtension(names.map(generalName)),
        ],
      });
      const key = await webcrypto.subtle.exportKey("pkcs8", keys.privateKey);
      return { cert: certificate.toString("pem"), key: PemConverter.encode(key, PemConverter.PrivateKeyTag) };
    },
  };
};

const generalName = (name: string): { readonly type: "ip" | "dns"; readonly value: string } => ({
  type: isIP(name) === 0 ? "dns" : "ip",
  value: name,
});
