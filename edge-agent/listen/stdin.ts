import { type ByteStream, createStreamSource, type EndingSource, type StreamDeps } from "./stream.ts";

type Stdin = AsyncIterable<Uint8Array> & { destroy: () => unknown };

/** `-`: what another program writes, until it ends. */
export const createStdinSource = (stdin: Stdin, format: string, deps: StreamDeps): EndingSource =>
  createStreamSource("stdin", format, async () => stdinStream(stdin), deps);

export const stdinStream = (stdin: Stdin): ByteStream => ({ chunks: stdin, close: () => void stdin.destroy() });
