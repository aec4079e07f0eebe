/**
 * MQTT.js collects a packet of any announced length in memory before anybody looks at it. The gate reads the lengths as the bytes
 * pass (MQTT 3.1.1 §2.2.3), so that the connection can be ended before the body of one that is too long.
 */
export type PacketGate = (chunk: Uint8Array) => "fine" | "too-long";

/** A length is at most four bytes of seven bits. */
const lengthBytesMax = 4;

export const createPacketGate = (packetBytesMax: number): PacketGate => {
  let bodyLeft = 0;
  /** Digits of the length so far; undefined at the first byte of a packet. */
  let digits: number[] | undefined;
  return (chunk) => {
    for (let at = 0; at < chunk.length; ) {
      const skipped = Math.min(bodyLeft, chunk.length - at);
      bodyLeft -= skipped;
      at += skipped;
      if (at >= chunk.length) break;
      const byte = chunk[at] ?? 0;
      at += 1;
      if (digits === undefined) {
        digits = [];
        continue;
      }
      digits.push(byte & 0x7f);
      if ((byte & 0x80) !== 0) {
        if (digits.length === lengthBytesMax) return "too-long";
        continue;
      }
      bodyLeft = digits.reduceRight((length, digit) => length * 128 + digit, 0);
      digits = undefined;
      if (bodyLeft > packetBytesMax) return "too-long";
    }
    return "fine";
  };
};
