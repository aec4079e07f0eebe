import { createHash, type Hash } from "node:crypto";
import { type Refusal, refusal } from "@reflex/protocol/refusal";
import { err, ok, type Result } from "@reflex/protocol/result";
import type { HttpClient } from "../link/http-port.ts";
import type { Blobs } from "../link/link-port.ts";
import type { TlsIdentity } from "../link/mqtt-link.ts";
import type { Log, Timers } from "../ports.ts";
import { requestOf } from "./https-client.ts";

export type HttpBlobsDeps = {
  /** `https://controller:8443` */
  readonly baseUrl: string;
  readonly identity: () => TlsIdentity | undefined;
  readonly http: HttpClient;
  readonly timers: Timers;
  readonly log: Log;
  readonly limits?: Partial<BlobLimits>;
};

export type BlobLimits = {
  /** All tries together; a bundle of 64 MB at 1 Mbit/s takes nine minutes. */
  readonly deadlineMs: number;
  /** Slower than this over a window is an attack or a dead line: drop it and resume. */
  readonly bytesPerSecondMin: number;
  readonly windowMs: number;
  readonly tries: number;
  readonly bytesMax: number;
};
export const blobLimits: BlobLimits = {
  deadlineMs: 15 * 60_000,
  bytesPerSecondMin: 4 * 1024,
  windowMs: 10_000,
  tries: 8,
  bytesMax: 65 * 1024 * 1024,
};

const trustBytesMax = 96 * 1024;

/** Fetches by hash: never more than announced, never slower than the floor, resumed where it broke, hashed as it comes. */
export const createHttpBlobs = (deps: HttpBlobsDeps): Blobs => {
  const limits = { ...blobLimits, ...deps.limits };

  const fetch: Blobs["fetch"] = async (pointer) => {
    if (pointer.bytes > limits.bytesMax)
      return err(refusal("too-large", `${pointer.bytes} bytes announced, ${limits.bytesMax} are allowed`));
    const url = new URL(`/v1/blobs/${pointer.hash}`, deps.baseUrl);
    const deadline = AbortSignal.timeout(limits.deadlineMs);
    const got: Got = { bytes: new Uint8Array(pointer.bytes), length: 0, hash: createHash("sha256") };
    let last: Refusal = refusal("unreachable", "not tried");
    for (let tried = 0; tried < limits.tries && !deadline.aborted; tried += 1) {
      const before = got.length;
      const read = await readInto(got, url, deadline);
      if (read.ok) return checked(got, pointer.hash);
      last = read.error;
      if (last.code !== "unreachable") return err(last);
      deps.log.warn(
        { hash: pointer.hash, have: got.length, of: pointer.bytes, detail: last.detail },
        "blob interrupted, resuming",
      );
      // A try that brought something is progress; one that brought nothing waits a little longer each time.
      if (got.length === before) await new Promise<void>((resolve) => deps.timers.after(250 * 2 ** tried, resolve));
    }
    return err(last);
  };

  const readInto = (got: Got, url: URL, deadline: AbortSignal): Promise<Result<void, Refusal>> => {
    const request = requestOf(url);
    const identity = deps.identity();
    if (!request.ok) return Promise.resolve(request);
    return new Promise((resolve) => {
      const unreachable = (detail: string): void => resolve(err(refusal("unreachable", detail)));
      let atWindow = got.length;
      let cancelWindow = (): void => undefined;
      const sent = request.value(
        url,
        {
          headers: got.length === 0 ? {} : { range: `bytes=${got.length}-` },
          ...(identity === undefined ? {} : { ...identity }),
          agent: false,
          signal: deadline,
        },
        (response) => {
          const status = response.statusCode ?? 0;
          // A server without ranges sends all of it again.
          if (status === 200) {
            got.length = 0;
            got.hash = createHash("sha256");
          }
          if (status !== 200 && !(status === 206 && startsAt(response.headers["content-range"], got.length))) {
            response.resume();
            sent.destroy();
            return resolve(err(statusRefusal(status)));
          }
          response.on("data", (chunk: Buffer) => {
            if (got.length + chunk.length > got.bytes.length) {
              resolve(err(refusal("hash-mismatch", `more than the announced ${got.bytes.length} bytes`)));
              response.destroy();
              return;
            }
            got.bytes.set(chunk, got.length);
            got.hash.update(chunk);
            got.length += chunk.length;
          });
          response.on("end", () =>
            got.length === got.bytes.length ? resolve(ok(undefined)) : unreachable("ended early"),
          );
          response.on("error", (error) => unreachable(error.message));
        },
      );
      const watchRate = (): void => {
        cancelWindow = deps.timers.after(limits.windowMs, () => {
          const perSecond = ((got.length - atWindow) * 1_000) / limits.windowMs;
          atWindow = got.length;
          if (perSecond >= limits.bytesPerSecondMin) return watchRate();
          unreachable(`${Math.round(perSecond)} bytes a second, ${limits.bytesPerSecondMin} are the least`);
          sent.destroy();
        });
      };
      watchRate();
      sent.on("error", (error) => unreachable(error.message));
      sent.on("close", () => {
        cancelWindow();
        unreachable("closed");
      });
      sent.end();
    });
  };

  return {
    fetch,
    fetchTrust: async (version) => {
      const identity = deps.identity();
      const answer = await deps.http.request({
        method: "GET",
        url: new URL(`/v1/trust/${version}`, deps.baseUrl).href,
        tls: identity ?? { ca: "" },
        bytesMax: trustBytesMax,
        deadlineMs: 15_000,
      });
      if (!answer.ok) return answer;
      return answer.value.status === 200 ? ok(answer.value.bytes) : err(statusRefusal(answer.value.status));
    },
  };
};

type Got = { readonly bytes: Uint8Array; length: number; hash: Hash };

const checked = (got: Got, hash: string): Result<Uint8Array, Refusal> => {
  const found = got.hash.digest("hex");
  return found === hash ? ok(got.bytes) : err(refusal("hash-mismatch", `announced ${hash}, got ${found}`));
};

const startsAt = (contentRange: string | undefined, at: number): boolean =>
  contentRange?.startsWith(`bytes ${at}-`) ?? false;

const statusRefusal = (status: number): Refusal => {
  if (status === 404) return refusal("not-found", "the controller does not have it");
  if (status === 401 || status === 403)
    return refusal("unauthorised", `status ${status}; is the agent's certificate valid?`);
  return refusal("unreachable", `status ${status}`);
};
