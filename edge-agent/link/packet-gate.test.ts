import fc from "fast-check";
import { expect, test } from "vitest";
import { createPacketGate } from "./packet-gate.ts";

const bytesMax = 20_000;
const packetOf = (bodyBytes: number): Uint8Array => {
  const length: number[] = [];
  let left = bodyBytes;
  do {
    length.push((left % 128) | (left >= 128 ? 0x80 : 0));
    left = Math.floor(left / 128);
  } while (left > 0);
  return Uint8Array.from([0x30, ...length, ...new Array<number>(bodyBytes).fill(0xff)]);
};
const joined = (parts: readonly Uint8Array[]) => Buffer.concat(parts);
const chunksOf = (bytes: Uint8Array, sizes: readonly number[]): Uint8Array[] => {
  const chunks: Uint8Array[] = [];
  for (let at = 0, turn = 0; at < bytes.length; turn += 1) {
    const size = sizes[turn % sizes.length] ?? 1;
    chunks.push(bytes.subarray(at, at + size));
    at += size;
  }
  return chunks;
};

test("however the bytes are cut, exactly the packets beyond the limit are refused", () => {
  const sizes = fc.array(
    fc.oneof(fc.nat(200), fc.constantFrom(0, 127, 128, 16_383, 16_384, bytesMax - 1, bytesMax, bytesMax + 1)),
    { minLength: 1, maxLength: 6 },
  );
  fc.assert(
    fc.property(sizes, fc.array(fc.integer({ min: 1, max: 5_000 }), { minLength: 1 }), (bodies, cuts) => {
      const gate = createPacketGate(bytesMax);
      const answers = chunksOf(joined(bodies.map(packetOf)), cuts).map(gate);
      expect(answers.includes("too-long")).toBe(bodies.some((size) => size > bytesMax));
    }),
    { numRuns: 200 },
  );
});

test("256 MB are refused by their first five bytes, and a fifth length byte does not exist", () => {
  expect(createPacketGate(bytesMax)(Uint8Array.of(0x30, 0xff, 0xff, 0xff, 0x7f))).toBe("too-long");
  expect(createPacketGate(bytesMax)(Uint8Array.of(0x30, 0x80, 0x80, 0x80, 0x80))).toBe("too-long");
});
