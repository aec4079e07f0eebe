import { createStreamSource, type EndingSource, type StreamDeps } from "./stream.ts";

/** `-`: what another program writes, until it ends. */
export const createStdinSource = (
  stdin: AsyncIterable<Uint8Array> & { destroy: () => unknown },
  format: string,
  deps: StreamDeps,
): EndingSource =>
  createStreamSource("stdin", format, async () => ({ chunks: stdin, close: () => void stdin.destroy() }), deps);
