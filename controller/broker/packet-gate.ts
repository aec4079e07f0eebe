import type { Duplex } from "node:stream";

/**
 * aedes 1.2 has no limit on the size of a packet: one PUBLISH of 256 MB is collected in memory before anybody looks at it.
 * The gate reads the length each packet announces (MQTT 3.1.1 §2.2.3) as the bytes pass, and ends the connection before the
 * body of one that is too long.
 */
export const guardPackets = (stream: Duplex, packetBytesMax: number, refuse: (bytes: number) => void): void => {
  const measure = createPacketMeter(packetBytesMax);
  const read = stream.read.bind(stream);
  // aedes pulls with `read`, so wrapping it needs no second stream per connection.
  stream.read = (size?: number): unknown => {
    const chunks: Uint8Array[] = [];
    for (let chunk: unknown = read(size); chunk instanceof Uint8Array; chunk = read(size)) {
      const tooLong = measure(chunk);
      if (tooLong !== undefined) {
        refuse(tooLong);
        stream.destroy();
        return null;
      }
      chunks.push(chunk);
      // Node 26 hands out one chunk at a time, and aedes reads once for each `readable`: what stayed behind would be announced
      // by nothing, and the end of a long packet would wait until the next one came.
      if (stream.readableLength === 0) break;
    }
    return chunks.length > 1 ? Buffer.concat(chunks) : (chunks[0] ?? null);
  };
};

/** Feeds on chunks in order; answers the announced length of the first packet that is too long, or malformed (-1). */
export const createPacketMeter = (packetBytesMax: number): ((chunk: Uint8Array) => number | undefined) => {
  let bodyLeft = 0;
  /** undefined = at the first byte of a packet; else the digits of its length so far. */
  let length: { value: number; shift: number } | undefined;
  return (chunk) => {
    for (let at = 0; at < chunk.length; ) {
      if (bodyLeft > 0) {
        const passed = Math.min(bodyLeft, chunk.length - at);
        bodyLeft -= passed;
        at += passed;
        continue;
      }
      const byte = chunk[at] ?? 0;
      at += 1;
      if (length === undefined) {
        length = { value: 0, shift: 0 };
        continue;
      }
      if (length.shift > 21) return -1; // a fifth length byte does not exist
      length.value += (byte & 0x7f) * 2 ** length.shift;
      length.shift += 7;
      if ((byte & 0x80) !== 0) continue;
      if (length.value > packetBytesMax) return length.value;
      bodyLeft = length.value;
      length = undefined;
    }
    return undefined;
  };
};
