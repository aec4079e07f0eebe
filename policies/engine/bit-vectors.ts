/**
 * Vectors of one bit per row in one shared array. Each vector is `words` words of bits and then a summary: one bit per word
 * that is not zero, so that whole stretches of policies fall out of an intersection at once.
 * Int32 and not Uint32: V8 keeps 32-bit signed values out of the heap.
 */
export type VectorPool = {
  readonly words: number;
  readonly summaryWords: number;
  /** Offset of a copy of these bits. */
  readonly add: (bits: Int32Array) => number;
  /** Number of vectors added. */
  readonly size: () => number;
  /** All vectors; take it when everything is added. */
  readonly finish: () => Int32Array;
};

export const createVectorPool = (rows: number): VectorPool => {
  const words = Math.max(1, Math.ceil(rows / 32));
  const summaryWords = Math.ceil(words / 32);
  const stride = words + summaryWords;
  // Room for what a set of this size usually needs: growing copies megabytes.
  let data = new Int32Array(stride * Math.max(64, Math.min(8_192, rows)));
  let size = 0;
  return {
    words,
    summaryWords,
    add: (bits) => {
      const offset = size * stride;
      if (offset + stride > data.length) {
        const larger = new Int32Array(data.length * 2);
        larger.set(data);
        data = larger;
      }
      data.set(bits, offset);
      for (let word = 0; word < words; word += 1)
        if (bits[word] !== 0)
          data[offset + words + (word >> 5)] = (data[offset + words + (word >> 5)] ?? 0) | (1 << (word & 31));
      size += 1;
      return offset;
    },
    size: () => size,
    finish: () => data.subarray(0, size * stride),
  };
};

export const setBit = (bits: Int32Array, row: number): void => {
  bits[row >> 5] = (bits[row >> 5] ?? 0) | (1 << (row & 31));
};
export const clearBit = (bits: Int32Array, row: number): void => {
  bits[row >> 5] = (bits[row >> 5] ?? 0) & ~(1 << (row & 31));
};

/** Changes to a base vector: `[word, bits, word, bits, …]`. */
export type Patch = Int32Array;

export const patchOf = (base: Int32Array, bits: Int32Array): Patch => {
  const patch: number[] = [];
  for (let word = 0; word < base.length; word += 1) if (bits[word] !== base[word]) patch.push(word, bits[word] ?? 0);
  return Int32Array.from(patch);
};
