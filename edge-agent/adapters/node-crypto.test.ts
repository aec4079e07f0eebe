import { createHash, generateKeyPairSync, sign } from "node:crypto";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { createNodeCrypto } from "./node-crypto.ts";

const crypto = createNodeCrypto();
const { privateKey } = generateKeyPairSync("ed25519");
const key = Buffer.from(privateKey.export({ format: "jwk" }).x ?? "", "base64url").toString("base64");
const message = Buffer.from("a verdict");
const signature = sign(null, message, privateKey);

describe("a signature is of one key over one message", () => {
  test("the right one holds", () => {
    expect(crypto.verifyEd25519(key, message, signature.toString("base64"))).toBe(true);
  });

  test("any flipped bit of signature, message or key refuses", () => {
    fc.assert(
      fc.property(fc.constantFrom("signature", "message", "key"), fc.nat(), fc.nat(7), (what, at, bit) => {
        const parts = {
          signature: Buffer.from(signature),
          message: Buffer.from(message),
          key: Buffer.from(key, "base64"),
        };
        const part = parts[what];
        part[at % part.length] = (part[at % part.length] ?? 0) ^ (1 << bit);
        const verified = crypto.verifyEd25519(
          parts.key.toString("base64"),
          parts.message,
          parts.signature.toString("base64"),
        );
        expect(verified).toBe(false);
      }),
    );
  });

  test("the same signature with the group's order added to S is not a second one", () => {
    const order = 2n ** 252n + 27742317777372353535851937790883648493n;
    const malleated = Buffer.from(signature);
    let s = BigInt(`0x${Buffer.from(signature.subarray(32)).reverse().toString("hex")}`) + order;
    for (let at = 32; at < 64; at += 1) {
      malleated[at] = Number(s & 0xffn);
      s >>= 8n;
    }
    expect(crypto.verifyEd25519(key, message, malleated.toString("base64"))).toBe(false);
  });

  test.each([
    ["", signature.toString("base64")],
    ["AAAA", signature.toString("base64")],
    ["not base64 at all", signature.toString("base64")],
    [key, ""],
    [key, "AAAA"],
    [key, signature.toString("hex")],
    [key, signature.toString("base64").replace("==", "")],
    [key, ` ${signature.toString("base64")}`],
  ])("malformed %s / %s refuses without throwing", (publicKey, text) => {
    expect(crypto.verifyEd25519(publicKey, message, text)).toBe(false);
  });
});

describe("base64 and text have one spelling", () => {
  test("what was encoded decodes to itself, and no other text decodes to it", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 300 }), (bytes) => {
        const text = crypto.encodeBase64(bytes);
        expect(Buffer.from(crypto.decodeBase64(text) ?? [])).toEqual(Buffer.from(bytes));
      }),
    );
    fc.assert(
      fc.property(fc.string({ maxLength: 40 }), (text) => {
        const bytes = crypto.decodeBase64(text);
        if (bytes !== undefined) expect(crypto.encodeBase64(bytes)).toBe(text);
      }),
    );
  });

  test.each(["A", "AA", "AAA", "AB==", "AAB=", "A===", "====", "AA-_", "AA A", "AAAA\n", "AA==AAAA"])(
    "%j is not base64",
    (text) => {
      expect(crypto.decodeBase64(text)).toBeUndefined();
    },
  );

  test("megabytes are looked at to the end", () => {
    const long = "A".repeat(4 * 1024 * 1024);
    expect(crypto.decodeBase64(long)?.length).toBe(3 * 1024 * 1024);
    expect(crypto.decodeBase64(`${long.slice(0, -4)}AA*A`)).toBeUndefined();
    expect(crypto.decodeBase64(`${"A".repeat(65_535)}=${long}`)).toBeUndefined();
  });

  test("bytes that are not UTF-8 are no text", () => {
    for (const bytes of [[0xff], [0xc0, 0x80], [0xed, 0xa0, 0x80], [0xe2, 0x82]]) {
      expect(crypto.textOf(Uint8Array.from(bytes))).toBeUndefined();
    }
    expect(crypto.textOf(crypto.utf8("käse €"))).toBe("käse €");
  });
});

test("text and bytes are hashed like a stream of UTF-8, lone surrogates too", () => {
  fc.assert(
    fc.property(fc.array(fc.nat(0xffff)), (units) => {
      const text = String.fromCharCode(...units);
      const expected = createHash("sha256").update(text).digest("hex");
      expect(crypto.sha256Hex(text)).toBe(expected);
      expect(crypto.sha256Hex(crypto.utf8(text))).toBe(expected);
    }),
  );
});
