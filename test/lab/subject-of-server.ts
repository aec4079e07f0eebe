import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { FakeAnswer, FakeRequest } from "../conformance/fake.ts";
import { type Handler, startFakeServer } from "../conformance/fake-server.ts";
import type { Opened, Subject } from "../conformance/subject.ts";
import { packConnector } from "../conformance/subject-of-pack.ts";
import { CannotFetch } from "./servers/download.ts";

/** A real HTTP server, ready for one case. */
export type RealTarget = Pick<Opened, "present" | "changes" | "addForeign" | "addSame"> & {
  readonly baseUrl: string;
  readonly settings: Readonly<Record<string, string>>;
  readonly secrets: Readonly<Record<string, string>>;
  /** Put into every request by the front. */
  readonly headers?: Readonly<Record<string, string>>;
  /** Tells requests that change something from those that read or log in. */
  readonly isChange: (request: FakeRequest) => boolean;
  /** Whether its credentials expire; then the front can make them. */
  readonly hasTokens: boolean;
  readonly close: () => Promise<void>;
};

export type PackOnServer = Omit<Subject, "open"> & {
  readonly pack: string;
  /** Why the server cannot be had here, with what to install; undefined where it can. */
  readonly missing: () => string | undefined;
  readonly start: () => Promise<RealTarget>;
};

/** A pack before the real server: TLS and all faults are made in front of it, the answers are its own. */
export const subjectOfServer = ({ pack, missing, start, ...subject }: PackOnServer): Subject => ({
  ...subject,
  open: async ({ callTimeoutMs }) => {
    const obstacle = missing();
    if (obstacle !== undefined) return obstacle;
    const target = await start().catch((cause: unknown) => {
      if (cause instanceof CannotFetch) return cause.message;
      throw cause;
    });
    if (typeof target === "string") return target;
    const front = await startFakeServer(inFrontOf(target));
    const folder = mkdtempSync(join(tmpdir(), "reflex-lab-"));
    const { present, changes, addForeign, addSame, settings, secrets } = target;
    return {
      connector: async () => {
        const place = { url: front.url, caPem: front.caPem, folder, callTimeoutMs };
        const connector = packConnector({ pack, place, settings, secrets });
        const started = await connector.start();
        if (!started.ok) throw new Error(`it does not start: ${started.error.code} ${started.error.detail}`);
        return connector;
      },
      present,
      faults: front.faults,
      log: front.log,
      secrets: () => [...Object.values(secrets), ...front.secrets()],
      ...(changes === undefined ? {} : { changes }),
      ...(addForeign === undefined ? {} : { addForeign }),
      ...(addSame === undefined ? {} : { addSame }),
      close: async () => {
        await front.close();
        await target.close();
        rmSync(folder, { recursive: true, force: true });
      },
    };
  },
});

const bearer = "Bearer ";
const patienceMs = 30_000;
/** Of one connection, and so not passed on. */
const hopHeaders = new Set(["host", "connection", "content-length", "keep-alive", "transfer-encoding"]);

const inFrontOf = ({ baseUrl, headers = {}, isChange, hasTokens }: RealTarget): Handler => {
  let changeCount = 0;
  const tokens = new Set<string>();
  let expired = new Set<string>();
  const handle = async (request: FakeRequest): Promise<FakeAnswer> => {
    const authorization = request.headers["authorization"];
    if (authorization?.startsWith(bearer) === true) tokens.add(authorization);
    if (authorization !== undefined && expired.has(authorization)) return { status: 401, json: { error: "expired" } };
    const query = request.query.toString();
    const answer = await fetch(`${baseUrl}${request.path}${query === "" ? "" : `?${query}`}`, {
      method: request.method,
      headers: [
        ...Object.entries(request.headers).filter(([name]) => !hopHeaders.has(name)),
        ...Object.entries(headers),
      ],
      ...(request.text === "" ? {} : { body: request.text }),
      redirect: "manual",
      signal: AbortSignal.timeout(patienceMs),
    });
    const text = await answer.text();
    // A server may give the same token twice within a second.
    for (const token of expired) if (text.includes(token.slice(bearer.length))) expired.delete(token);
    if (answer.ok && isChange(request)) changeCount += 1;
    const type = answer.headers.get("content-type");
    return { status: answer.status, text, ...(type === null ? {} : { headers: { "content-type": type } }) };
  };
  return {
    handle,
    changeCount: () => changeCount,
    ...(hasTokens
      ? {
          expireTokens: () => {
            expired = new Set(tokens);
          },
        }
      : {}),
  };
};
