import { createHash, createPrivateKey, generateKeyPairSync, type KeyObject, sign, X509Certificate } from "node:crypto";
import type { IdentityKeys } from "../link/enrol.ts";
import type { Signer } from "../report/reporter.ts";

export const nodeIdentityKeys: IdentityKeys = {
  makeTlsKey: () => {
    const { privateKey, publicKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
    return {
      keyPem: pemOf(privateKey),
      publicKeyDer: publicKey.export({ type: "spki", format: "der" }),
      sign: (bytes) => sign("sha256", bytes, privateKey),
    };
  },
  makeReportKey: () => {
    const { privateKey } = generateKeyPairSync("ed25519");
    return { keyPem: pemOf(privateKey), public: rawPublicOf(privateKey) };
  },
  certificateOf: (pem) => {
    try {
      const certificate = new X509Certificate(pem);
      return {
        fingerprint: createHash("sha256").update(certificate.raw).digest("hex"),
        notBeforeMs: Date.parse(certificate.validFrom),
        notAfterMs: Date.parse(certificate.validTo),
      };
    } catch {
      return undefined;
    }
  },
  isPair: (certificatePem, keyPem) => {
    try {
      return new X509Certificate(certificatePem).checkPrivateKey(createPrivateKey(keyPem));
    } catch {
      return false;
    }
  },
};

/** Signs batches with the agent's report key; `keyid` is the public key's hash, a hint and nothing more. */
export const createReportSigner = (reportKeyPem: string): Signer & { readonly public: string } => {
  const key = createPrivateKey(reportKeyPem);
  const raw = rawPublicOf(key);
  return {
    public: raw,
    keyid: createHash("sha256").update(raw).digest("hex").slice(0, 16),
    sign: (message) => sign(null, message, key).toString("base64"),
  };
};

const pemOf = (key: KeyObject): string => key.export({ type: "pkcs8", format: "pem" }).toString();

/** The 32 bytes of the point in base64, as trust documents and the controller keep keys. */
const rawPublicOf = (key: KeyObject): string =>
  Buffer.from(key.export({ format: "jwk" }).x ?? "", "base64url").toString("base64");
