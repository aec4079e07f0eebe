import { createReadStream } from "node:fs";
import { open } from "node:fs/promises";
import { basename } from "node:path";
import { type ByteStream, createStreamSource, type EndingSource, type StreamDeps } from "./stream.ts";

/** NDJSON or one JSON array, read once from beginning to end; the file is never changed. */
export const createFileSource = (path: string, format: string, deps: StreamDeps): EndingSource =>
  createStreamSource(`file:${basename(path)}`, format, () => openFile(path), deps);

/** Fails when the file cannot be opened, not at its first record. */
export const openFile = async (path: string): Promise<ByteStream & { readonly totalBytes: number }> => {
  const handle = await open(path, "r");
  const { size } = await handle.stat();
  const stream = createReadStream(path, { fd: handle, highWaterMark: chunkBytes });
  return { chunks: stream, close: () => stream.destroy(), totalBytes: size };
};

/** Few reads per second at full speed, little to hold for each of many recordings. */
const chunkBytes = 256 * 1024;
