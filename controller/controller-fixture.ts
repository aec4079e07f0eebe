import "reflect-metadata";
import { type ChildProcess, spawn } from "node:child_process";
import { webcrypto } from "node:crypto";
import { readFileSync } from "node:fs";
import { request as httpsRequest } from "node:https";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { Pkcs10CertificateRequestGenerator } from "@peculiar/x509";

/** A controller as a process of its own, and what tests ask of its API. */
export type Running = {
  readonly child: ChildProcess;
  readonly url: string;
  readonly brokerUrl: string;
  readonly ca: string;
  readonly token: string;
};

export const startControllerProcess = async (
  folder: string,
  org: string,
  databaseUrl: string,
  more: Readonly<Record<string, string>> = {},
): Promise<Running> => {
  const args = ["--data", join(folder, "data"), "--org", org, "--name", "main", "--host", "127.0.0.1"];
  args.push("--trust", join(folder, "keys", "trust.json"), "--head-key", join(folder, "keys", "head-1.key"));
  const child = spawn(process.execPath, [fileURLToPath(new URL("./main.ts", import.meta.url)), ...args], {
    env: { ...process.env, DATABASE_URL: databaseUrl, REFLEX_PORT: "0", REFLEX_BROKER_PORT: "0", ...more },
    stdio: ["ignore", "pipe", "ignore"],
  });
  const line = await new Promise<string>((done, fail) => {
    createInterface({ input: child.stdout as NodeJS.ReadableStream }).once("line", done);
    child.once("exit", (code) => fail(new Error(`controller ended with ${code}`)));
  });
  const ready: { url: string; broker_url: string; ca_file: string; token_file: string } = JSON.parse(line);
  return {
    child,
    url: ready.url,
    brokerUrl: ready.broker_url,
    ca: readFileSync(ready.ca_file, "utf8"),
    token: readFileSync(ready.token_file, "utf8").trim(),
  };
};
export const ended = (child: ChildProcess): Promise<number | string> =>
  new Promise((done) => child.once("exit", (code, signal) => done(code ?? signal ?? "")));

export type Tls = { readonly cert: string; readonly key: string };
export type Answered = {
  readonly status: number;
  readonly text: string;
  readonly body: Record<string, unknown>;
  readonly headers: Record<string, unknown>;
};

export const callApi = (
  controller: Running,
  method: string,
  path: string,
  body?: unknown,
  more: { readonly tls?: Tls; readonly headers?: Record<string, string> } = {},
): Promise<Answered> =>
  new Promise((done, fail) => {
    const sent = body === undefined ? undefined : JSON.stringify(body);
    const headers = {
      ...(more.tls === undefined ? { authorization: `Bearer ${controller.token}` } : {}),
      ...(sent === undefined ? {} : { "content-type": "application/json" }),
      ...more.headers,
    };
    const request = httpsRequest(
      new URL(path, controller.url),
      { method, ca: controller.ca, ...more.tls, headers, agent: false },
      (answer) => {
        let text = "";
        answer.setEncoding("utf8").on("data", (part: string) => {
          text += part;
        });
        answer.on("end", () => {
          const isJson = text.startsWith("{") || text.startsWith("[");
          done({ status: answer.statusCode ?? 0, text, body: isJson ? JSON.parse(text) : {}, headers: answer.headers });
        });
      },
    );
    request.on("error", fail);
    request.end(sent);
  });

export const makeCsr = async (name: string): Promise<{ readonly csr: string; readonly key: string }> => {
  const algorithm = { name: "ECDSA", namedCurve: "P-256", hash: "SHA-256" };
  const keys = await webcrypto.subtle.generateKey(algorithm, true, ["sign", "verify"]);
  const csr = await Pkcs10CertificateRequestGenerator.create({ name: `CN=${name}`, keys, signingAlgorithm: algorithm });
  const pkcs8 = Buffer.from(await webcrypto.subtle.exportKey("pkcs8", keys.privateKey)).toString("base64");
  return { csr: csr.toString("pem"), key: `-----BEGIN PRIVATE KEY-----\n${pkcs8}\n-----END PRIVATE KEY-----\n` };
};
