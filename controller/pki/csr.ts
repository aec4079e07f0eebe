import "reflect-metadata";
import { Pkcs10CertificateRequest } from "@peculiar/x509";
import { type Refusal, refusal } from "@reflex/protocol/refusal";
import { err, ok, type Result } from "@reflex/protocol/result";

/** A request for a P-256 key with a short name is 300 bytes. */
export const csrLengthMax = 4_096;
/** SubjectPublicKeyInfo of an uncompressed P-256 point: fixed bytes, then the point. */
const p256Prefix = "3059301306072a8648ce3d020106082a8648ce3d03010703420004";
const p256Bytes = 91;

/**
 * A request may bring a P-256 key it holds, and nothing else: names, extensions and attributes are decided by the controller, so one
 * that asks for more was made by something else or by someone who hopes that it is copied.
 */
export const checkCsr = async (csrPem: string): Promise<Result<{ readonly publicKeyDer: Uint8Array }, Refusal>> => {
  if (csrPem.length > csrLengthMax)
    return err(refusal("too-large", `${csrPem.length} characters, ${csrLengthMax} are allowed`));
  try {
    const csr = new Pkcs10CertificateRequest(csrPem);
    if (csr.attributes.length > 0 || csr.extensions.length > 0) return malformed("asks for attributes or extensions");
    const subject = csr.subjectName.toJSON();
    if (subject.length > 1 || subject.some((part) => Object.keys(part).join() !== "CN"))
      return malformed("asks for a subject");
    const publicKeyDer = new Uint8Array(csr.publicKey.rawData);
    const isP256 =
      publicKeyDer.length === p256Bytes && Buffer.from(publicKeyDer).toString("hex").startsWith(p256Prefix);
    if (!isP256) return malformed("key is not P-256");
    if (!(await csr.verify()))
      return err(refusal("signature-invalid", "the certificate request is not signed by its own key"));
    return ok({ publicKeyDer });
  } catch {
    return malformed("cannot be read");
  }
};

const malformed = (what: string): Result<never, Refusal> =>
  err(refusal("schema-invalid", `certificate request ${what}`));
