/**
 * PKCS#10 request (RFC 2986) for a P-256 key: subject common name, nothing else asked. Written here in DER because Node can make
 * keys and signatures but not requests, and an agent should not carry a certificate library for 200 bytes.
 */
export type CsrDeps = {
  /** SubjectPublicKeyInfo, DER. */
  readonly publicKeyDer: Uint8Array;
  /** ECDSA with SHA-256, DER-encoded signature. */
  readonly sign: (bytes: Uint8Array) => Uint8Array;
  readonly encodeBase64: (bytes: Uint8Array) => string;
};

export const createCsrPem = (deps: CsrDeps, commonName: string): string => {
  const name = sequence(set(sequence(commonNameOid, element(0x0c, ascii(commonName)))));
  const info = sequence(element(0x02, Uint8Array.of(0)), name, deps.publicKeyDer, element(0xa0, Uint8Array.of()));
  const request = sequence(
    info,
    sequence(ecdsaWithSha256Oid),
    element(0x03, join([Uint8Array.of(0), deps.sign(info)])),
  );
  const lines = deps.encodeBase64(request).replace(/.{64}(?=.)/g, "$&\n");
  return `-----BEGIN CERTIFICATE REQUEST-----\n${lines}\n-----END CERTIFICATE REQUEST-----\n`;
};

/** 2.5.4.3 */
const commonNameOid = Uint8Array.of(0x06, 0x03, 0x55, 0x04, 0x03);
/** 1.2.840.10045.4.3.2 */
const ecdsaWithSha256Oid = Uint8Array.of(0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x02);

const sequence = (...parts: readonly Uint8Array[]): Uint8Array => element(0x30, join(parts));
const set = (...parts: readonly Uint8Array[]): Uint8Array => element(0x31, join(parts));

const element = (tag: number, content: Uint8Array): Uint8Array =>
  join([Uint8Array.of(tag), lengthOf(content.length), content]);

const lengthOf = (length: number): Uint8Array => {
  if (length < 0x80) return Uint8Array.of(length);
  return length < 0x100 ? Uint8Array.of(0x81, length) : Uint8Array.of(0x82, length >> 8, length & 0xff);
};

const join = (parts: readonly Uint8Array[]): Uint8Array => {
  const bytes = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    bytes.set(part, at);
    at += part.length;
  }
  return bytes;
};

const ascii = (text: string): Uint8Array => Uint8Array.from(text, (char) => char.charCodeAt(0));
