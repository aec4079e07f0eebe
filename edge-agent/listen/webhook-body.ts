import type { Readable } from "node:stream";
import { createGunzip } from "node:zlib";
import { type Refusal, refusal } from "@reflex/protocol/refusal";
import { err, ok, type Result } from "@reflex/protocol/result";
import { createRecordSplitter, isOneObject } from "./record-splitter.ts";
import { inflateRatioMax, webhookBodyBytesMax, webhookRecordsMax } from "./webhook-settings.ts";

/** The body as sent; reading stops at the first byte too many, so a huge one is never held. */
export const readBody = async (body: Readable, declaredBytes: number): Promise<Result<Uint8Array, Refusal>> => {
  if (declaredBytes > webhookBodyBytesMax) return err(tooLarge);
  return collect(body, webhookBodyBytesMax);
};

/** `encoding` is the content-encoding header; identity and gzip are known. */
export const unpackBody = async (
  sent: Uint8Array,
  encoding: string | undefined,
): Promise<Result<Uint8Array, Refusal>> => {
  if (encoding === undefined || encoding === "" || encoding === "identity") return ok(sent);
  if (encoding !== "gzip") return err(refusal("schema-invalid", "content-encoding is neither gzip nor identity"));
  const gunzip = createGunzip();
  gunzip.end(sent);
  const ratioBytesMax = Math.max(sent.length, 1_024) * inflateRatioMax;
  try {
    return await collect(gunzip, Math.min(webhookBodyBytesMax, ratioBytesMax));
  } catch {
    return err(refusal("json-malformed", "the body is not gzip"));
  }
};

/** One object in any layout, an array, or one value a line. */
export const splitBody = (body: Uint8Array): Result<readonly Uint8Array[], Refusal> => {
  const splitter = createRecordSplitter();
  const records = startsObject(body) && isOneObject(body) ? [body] : [...splitter.push(body), ...splitter.end()];
  if (records.length === 0) return err(refusal("json-malformed", "the body is empty"));
  if (records.length > webhookRecordsMax) return err(refusal("too-large", `more than ${webhookRecordsMax} records`));
  return ok(records);
};

const tooLarge = refusal("too-large", `more than ${webhookBodyBytesMax} bytes`);

const collect = async (stream: Readable, bytesMax: number): Promise<Result<Uint8Array, Refusal>> => {
  const chunks: Buffer[] = [];
  let bytes = 0;
  // Not `for await`: leaving that destroys the request, and with it the socket the answer goes over.
  return new Promise((resolve, reject) => {
    const finish = (result: Result<Uint8Array, Refusal>): void => {
      stream.off("data", onData);
      stream.pause();
      resolve(result);
    };
    const onData = (chunk: Buffer): void => {
      bytes += chunk.length;
      if (bytes > bytesMax) finish(err(tooLarge));
      else chunks.push(chunk);
    };
    stream.on("data", onData);
    stream.once("end", () => finish(ok(Buffer.concat(chunks))));
    stream.once("error", reject);
    stream.once("close", () => finish(err(refusal("json-malformed", "the body ended early"))));
  });
};

const startsObject = (body: Uint8Array): boolean => {
  const first = body.findIndex((byte) => byte > 0x20);
  return body[first] === 0x7b;
};
