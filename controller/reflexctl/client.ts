import { existsSync, readFileSync } from "node:fs";
import { request as httpRequest } from "node:http";
import { request as httpsRequest } from "node:https";
import { join } from "node:path";
import { type Arguments, UsageError } from "./arguments.ts";

/** Answers are read up to here; a token with inventory facts is a few kB, a page of them a few MB. */
const answerBytesMax = 64 * 1024 * 1024;
const timeoutMs = 30_000;

export type Client = {
  readonly get: <T>(path: string) => Promise<T>;
  readonly getText: (path: string) => Promise<string>;
  readonly post: <T>(path: string, body: unknown) => Promise<T>;
};

export type ClientOptions = { readonly url: string; readonly token: string; readonly ca?: string };

/** Talks to the controller's API. TLS is always verified; the controller's own CA is handed in. */
export const createClient = (options: ClientOptions): Client => {
  const send = (method: "GET" | "POST", path: string, body?: string): Promise<string> =>
    new Promise((resolve, reject) => {
      const url = new URL(path, options.url);
      const make = url.protocol === "https:" ? httpsRequest : httpRequest;
      const call = make(
        url,
        {
          method,
          timeout: timeoutMs,
          headers: {
            authorization: `Bearer ${options.token}`,
            ...(body === undefined
              ? {}
              : { "content-type": "application/json", "content-length": Buffer.byteLength(body) }),
          },
          ...(options.ca === undefined ? {} : { ca: options.ca }),
        },
        (answer) => {
          const parts: Buffer[] = [];
          let size = 0;
          answer.on("data", (part: Buffer) => {
            size += part.length;
            if (size > answerBytesMax)
              call.destroy(
                new Error(`the answer of ${path} is longer than ${answerBytesMax} bytes; ask for less with --limit`),
              );
            parts.push(part);
          });
          answer.on("error", reject);
          answer.on("end", () => {
            const text = Buffer.concat(parts).toString("utf8");
            const status = answer.statusCode ?? 0;
            if (status >= 200 && status < 300) resolve(text);
            else reject(new UsageError(refusalText(status, text)));
          });
        },
      );
      call.on("timeout", () => call.destroy(new Error(`no answer from ${options.url} within ${timeoutMs / 1_000} s`)));
      call.on("error", (error) => reject(new UsageError(`${options.url}${path}: ${error.message}`)));
      call.end(body);
    });
  return {
    get: async (path) => JSON.parse(await send("GET", path)),
    getText: (path) => send("GET", path),
    post: async (path, body) => JSON.parse((await send("POST", path, JSON.stringify(body))) || "null"),
  };
};

const refusalText = (status: number, text: string): string => {
  try {
    const { code, detail, remedy } = JSON.parse(text) as { code?: string; detail?: string; remedy?: string };
    if (code !== undefined)
      return [`refused: ${code}`, detail, remedy].filter((part) => part !== undefined && part !== "").join("; ");
  } catch {
    // Not ours: a proxy or another service answered.
  }
  return `HTTP ${status}: ${text.slice(0, 300)}`;
};

/** From --url/--token-file/--ca, or from a controller's data folder with --data, or from REFLEX_* in the environment. */
export const clientFrom = (args: Arguments, env: NodeJS.ProcessEnv): Client => {
  const data = args.text("data") ?? env.REFLEX_DATA;
  const connection = data === undefined ? undefined : join(data, "connection.json");
  if (connection !== undefined && existsSync(connection)) {
    const known = JSON.parse(readFileSync(connection, "utf8")) as { url: string; token_file: string; ca_file?: string };
    return createClient({
      url: known.url,
      token: secretFrom(known.token_file),
      ...(known.ca_file === undefined ? {} : { ca: readFileSync(known.ca_file, "utf8") }),
    });
  }
  const url = args.text("url") ?? env.REFLEX_URL;
  const tokenFile = args.text("token-file") ?? env.REFLEX_TOKEN_FILE;
  const ca = args.text("ca") ?? env.REFLEX_CA;
  if (url === undefined || tokenFile === undefined) {
    throw new UsageError(
      "which controller? Give --data DIR (the folder of npm start), or --url, --token-file and --ca (or REFLEX_URL, REFLEX_TOKEN_FILE, REFLEX_CA)",
    );
  }
  return createClient({
    url,
    token: secretFrom(tokenFile),
    ...(ca === undefined ? {} : { ca: readFileSync(ca, "utf8") }),
  });
};

const secretFrom = (path: string): string => {
  if (!existsSync(path)) throw new UsageError(`no token file ${path}; the controller writes one into its data folder`);
  return readFileSync(path, "utf8").trim();
};
