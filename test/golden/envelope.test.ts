import { createPublicKey, generateKeyPairSync, type KeyObject, sign, verify } from "node:crypto";
import {
  type Envelope,
  openEnvelope,
  type PayloadKind,
  payloadTypes,
  preAuthEncoding,
  type RoleKey,
  type VerifyEnvelopeDeps,
  type VerifySignature,
} from "@reflex/protocol/envelope";
import type { Trust } from "@reflex/protocol/trust";
import fc from "fast-check";
import nacl from "tweetnacl";
import { describe, expect, test } from "vitest";
import { goldenJson } from "./fixture.ts";

const decodeBase64 = (text: string): Uint8Array | undefined => {
  const bytes = Buffer.from(text, "base64");
  return bytes.toString("base64") === text ? Uint8Array.from(bytes) : undefined;
};
const base64 = (bytes: Uint8Array): string => Buffer.from(bytes).toString("base64");

const nodeKeyOf = (publicKey: Uint8Array): KeyObject =>
  createPublicKey({
    key: { kty: "OKP", crv: "Ed25519", x: Buffer.from(publicKey).toString("base64url") },
    format: "jwk",
  });

const verifiers: readonly (readonly [name: string, verify: VerifySignature])[] = [
  [
    "node:crypto",
    (key, message, sig) => {
      const [publicKey, signature] = [decodeBase64(key), decodeBase64(sig)];
      if (publicKey?.length !== 32 || signature?.length !== 64) return false;
      return verify(null, message, nodeKeyOf(publicKey), signature);
    },
  ],
  [
    "tweetnacl",
    (key, message, sig) => {
      const [publicKey, signature] = [decodeBase64(key), decodeBase64(sig)];
      if (publicKey?.length !== 32 || signature?.length !== 64) return false;
      return nacl.sign.detached.verify(message, signature, publicKey);
    },
  ],
];

type Signer = RoleKey & { readonly sign: (message: Uint8Array) => string };
const naclSigner = (keyid: string): Signer => {
  const { publicKey, secretKey } = nacl.sign.keyPair();
  return { keyid, public: base64(publicKey), sign: (message) => base64(nacl.sign.detached(message, secretKey)) };
};
const nodeSigner = (keyid: string): Signer => {
  const { publicKey, privateKey } = generateKeyPairSync("ed25519");
  const raw = Buffer.from(publicKey.export({ format: "jwk" }).x ?? "", "base64url");
  return { keyid, public: base64(raw), sign: (message) => base64(sign(null, message, privateKey)) };
};

const [ann, bob, eve] = [naclSigner("ann"), nodeSigner("bob"), naclSigner("eve")] as const;
const keys: readonly RoleKey[] = [ann, bob].map(({ keyid, public: key }) => ({ keyid, public: key }));
const payload = new TextEncoder().encode('{"v":1,"kind":"kill"}');

const envelopeOf = (kind: PayloadKind, signers: readonly Signer[], bytes = payload): Envelope => ({
  payloadType: payloadTypes[kind],
  payload: base64(bytes),
  signatures: signers.map((one) => ({ keyid: one.keyid, sig: one.sign(preAuthEncoding(payloadTypes[kind], bytes)) })),
});

describe.each(verifiers)("with %s", (_, verifySignature) => {
  const deps: VerifyEnvelopeDeps = { verify: verifySignature, decodeBase64 };
  const open = (envelope: Envelope, threshold: number, kind: PayloadKind = "kill"): string => {
    const opened = openEnvelope(deps, envelope, kind, { keys, threshold });
    return opened.ok ? Buffer.from(opened.value).toString() : opened.error.code;
  };
  const text = Buffer.from(payload).toString();

  test("enough distinct trusted keys open it, whichever library signed", () => {
    expect(open(envelopeOf("kill", [ann]), 1)).toBe(text);
    expect(open(envelopeOf("kill", [bob]), 1)).toBe(text);
    expect(open(envelopeOf("kill", [bob, eve, ann]), 2)).toBe(text);
  });

  test("one key counts once, however often and under whatever name it signed", () => {
    expect(open(envelopeOf("kill", [ann, ann, ann]), 2)).toBe("threshold-not-met");
    expect(open(envelopeOf("kill", [ann, { ...ann, keyid: "bob" }]), 2)).toBe("threshold-not-met");
    const twoNames = [...keys, { keyid: "ann-again", public: ann.public }];
    const opened = openEnvelope(deps, envelopeOf("kill", [ann, { ...ann, keyid: "ann-again" }]), "kill", {
      keys: twoNames,
      threshold: 2,
    });
    expect(opened.ok ? "ok" : opened.error.code).toBe("threshold-not-met");
  });

  test("a keyid decides nothing: a wrong one still opens, a right one without the key does not", () => {
    expect(
      open(
        envelopeOf("kill", [
          { ...ann, keyid: "nobody" },
          { ...bob, keyid: "ann" },
        ]),
        2,
      ),
    ).toBe(text);
    expect(open(envelopeOf("kill", [{ ...eve, keyid: "ann" }]), 1)).toBe("signature-invalid");
  });

  test("a signature over one kind of message opens no other, even if the type is changed", () => {
    expect(open(envelopeOf("head", [ann]), 1)).toBe("payload-type-wrong");
    expect(open({ ...envelopeOf("head", [ann]), payloadType: payloadTypes.kill }, 1)).toBe("signature-invalid");
  });

  test("one flipped bit, anywhere in the payload or a signature, and it stays shut", () => {
    const envelope = envelopeOf("kill", [bob]);
    const flipped = (encoded: string, bit: number): string => {
      const bytes = Buffer.from(encoded, "base64");
      const at = Math.floor(bit / 8) % bytes.length;
      bytes[at] = (bytes[at] ?? 0) ^ (1 << (bit % 8));
      return bytes.toString("base64");
    };
    fc.assert(
      fc.property(fc.nat(8 * 64 - 1), fc.boolean(), (bit, inPayload) => {
        const changed = inPayload
          ? { ...envelope, payload: flipped(envelope.payload, bit) }
          : { ...envelope, signatures: envelope.signatures.map((one) => ({ ...one, sig: flipped(one.sig, bit) })) };
        expect(open(changed, 1)).toBe("signature-invalid");
      }),
      { numRuns: 60 },
    );
  });

  test("nobody's role, no signatures of ours, odd text: refused with a reason, never thrown", () => {
    expect(open(envelopeOf("kill", [ann]), 0)).toBe("threshold-not-met");
    expect(open(envelopeOf("kill", []), 1)).toBe("signature-invalid");
    expect(open({ ...envelopeOf("kill", [ann]), payload: "not base64!" }, 1)).toBe("envelope-malformed");
    for (const sig of ["", "AAAA", "?", base64(new Uint8Array(64)), base64(new Uint8Array(64).fill(255))]) {
      expect(open({ ...envelopeOf("kill", [ann]), signatures: [{ keyid: "ann", sig }] }, 1)).toBe("signature-invalid");
    }
  });

  test("an envelope from the golden files opens with the keys of the golden trust", () => {
    const trust = goldenJson<Trust>("trust");
    const trusted = { keys: trust.roles.kill.keys, threshold: trust.kill_release_threshold };
    const opened = openEnvelope(deps, goldenJson<Envelope>("envelope"), "kill", trusted);
    expect(opened.ok && JSON.parse(Buffer.from(opened.value).toString())).toEqual(goldenJson("kill-state"));
  });
});

test("both libraries verify alike, whatever was signed and whatever became of it", () => {
  fc.assert(
    fc.property(
      fc.uint8Array({ maxLength: 80 }),
      fc.constantFrom(ann, bob),
      fc.option(fc.nat(63)),
      (message, signer, spoilt) => {
        const signature = Buffer.from(signer.sign(message), "base64");
        if (spoilt !== null) signature[spoilt] = (signature[spoilt] ?? 0) ^ 0x10;
        const sig = base64(signature);
        for (const [, verifySignature] of verifiers) {
          expect(verifySignature(signer.public, message, sig)).toBe(spoilt === null);
        }
      },
    ),
    { numRuns: 60 },
  );
});
