import { formatPolicyError } from "@reflex/policies/language/policy-error";
import { err, ok, type Result } from "@reflex/protocol/result";
import type { Connector, ConnectorCall } from "../contract.ts";
import type { HttpCall, HttpCallAnswer, HttpCallFailure, HttpCalls } from "../http-call.ts";
import { type Secrets, secretOf } from "../secrets-port.ts";
import type { Manifest } from "./manifest.ts";
import { parseManifest } from "./parse-manifest.ts";
import { createRest } from "./rest.ts";
import type { Site } from "./site-settings.ts";

/** Parts for tests of manifests: a far end that is a function, secrets that are a map, a clock that is set. */

export type Said = {
  readonly status?: number;
  readonly json?: unknown;
  readonly text?: string;
  readonly headers?: Readonly<Record<string, string>>;
};
export type FarEnd = (call: HttpCall) => Said | HttpCallFailure | Promise<Said | HttpCallFailure>;

export const textOfBody = ({ body }: HttpCall): string =>
  typeof body === "string" ? body : new TextDecoder().decode(body);

export const createFarEnd = (answer: FarEnd): { readonly calls: HttpCalls; readonly asked: readonly HttpCall[] } => {
  const asked: HttpCall[] = [];
  const request = async (call: HttpCall): Promise<Result<HttpCallAnswer, HttpCallFailure>> => {
    asked.push(call);
    const said = await answer(call);
    if ("kind" in said) return err(said);
    const text = said.text ?? (said.json === undefined ? "" : JSON.stringify(said.json));
    return ok({ status: said.status ?? 200, headers: said.headers ?? {}, bytes: new TextEncoder().encode(text) });
  };
  return { calls: { request, close: () => undefined }, asked };
};

export const secretsOf = (byRef: Readonly<Record<string, string>>): Secrets => ({
  read: (ref) => {
    const text = byRef[ref];
    return text === undefined ? err({ code: "not-found", detail: `the secret ${ref} is not set` }) : ok(secretOf(text));
  },
});

export const manifestOf = (text: string): Manifest => {
  const parsed = parseManifest("test.yaml", text);
  if (!parsed.ok) throw new Error(parsed.error.map(formatPolicyError).join("\n"));
  return parsed.value;
};

export const startNowMs = Date.parse("2026-01-31T12:00:00.000Z");
export const token = "t0ken-of-nobody";

/** A connector for the text of a manifest whose only secret, if any, is `api_token`. */
export const connectorOf = (
  text: string,
  answer: FarEnd,
  more: { readonly site?: Partial<Site>; readonly secrets?: Readonly<Record<string, string>> } = {},
) => {
  const manifest = manifestOf(text);
  const clock = { atMs: startNowMs };
  const farEnd = createFarEnd(answer);
  const made = createRest(
    {
      name: "fw",
      manifest,
      site: {
        baseUrl: "https://fw.example",
        secrets: Object.fromEntries(Object.keys(manifest.secrets).map((name) => [name, `env:${name}`])),
        ...more.site,
      },
    },
    {
      calls: farEnd.calls,
      secrets: secretsOf(
        more.secrets ?? Object.fromEntries(Object.keys(manifest.secrets).map((name) => [`env:${name}`, token])),
      ),
      clock: { nowMs: () => clock.atMs },
      pause: async () => undefined,
    },
  );
  if (!made.ok) throw new Error(made.error.detail);
  return { connector: made.value satisfies Connector, asked: farEnd.asked, clock };
};

export const callOf = (more: Partial<ConnectorCall> = {}): ConnectorCall => ({
  commandId: "019c13a5-1800-7000-8000-000000000001",
  idempotencyKey: "k".repeat(64),
  decisionId: "019c13a5-1800-7000-8000-000000000002",
  action: "block_ip",
  target: { type: "address", value: "203.0.113.9" },
  ttlSeconds: 3_600,
  reason: "known bad",
  ...more,
});
