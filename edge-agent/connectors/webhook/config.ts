import { actionNames } from "@reflex/protocol/action";
import { ConnectorName } from "@reflex/protocol/command";
import { err, ok, type Result } from "@reflex/protocol/result";
import Type, { type Static } from "typebox";
import type { Connector } from "../contract.ts";
import type { HttpCalls } from "../http-call.ts";
import { isLoopback } from "../loopback.ts";
import { createWebhook, type WebhookOptions } from "./webhook.ts";

const Path = Type.String({ minLength: 1, maxLength: 4_096 });
const Url = Type.String({ pattern: "^https?://", maxLength: 2_048 });

export const WebhookConfig = Type.Object(
  {
    kind: Type.Literal("webhook"),
    name: ConnectorName,
    /** https; http only on loopback. */
    url: Url,
    /** `env:NAME`, `file:/path` or `credential:NAME`, holding `whsec_…` (HMAC-SHA256) or `whsk_…` (ed25519). */
    secret: Type.String({ minLength: 1, maxLength: 4_096 }),
    /** PEM, trusted besides the public authorities. */
    ca_file: Type.Optional(Path),
    cert_file: Type.Optional(Path),
    key_file: Type.Optional(Path),
    /** Actions carried out by whoever is behind the webhook, beside `notify`. */
    hand_off: Type.Optional(Type.Array(Type.Enum(actionNames), { maxItems: 32 })),
    /** Tell the receiver when a lease ends; must be true where actions are handed off. */
    undo_notice: Type.Optional(Type.Boolean()),
    status_url: Type.Optional(Url),
    call_ms: Type.Optional(Type.Integer({ minimum: 100, maximum: 4_900 })),
  },
  { additionalProperties: false },
);
export type WebhookConfig = Static<typeof WebhookConfig>;

/** Leaves the executor, which waits 5 s for a call, time to hear the answer. */
const callMsDefault = 4_000;

export type WebhookDeps = Pick<WebhookOptions, "secrets" | "clock"> & {
  readonly readText: (path: string) => string;
  readonly httpCalls: (tls: { readonly ca?: string; readonly cert?: string; readonly key?: string }) => HttpCalls;
};

/** The error names the field and what to write. */
export const openWebhook = (config: WebhookConfig, deps: WebhookDeps): Result<Connector, string> => {
  const { ca_file, cert_file, key_file } = config;
  if ((cert_file === undefined) !== (key_file === undefined)) return err("cert_file and key_file belong together");
  const http = deps.httpCalls({
    ...(ca_file === undefined ? {} : { ca: deps.readText(ca_file) }),
    ...(cert_file === undefined || key_file === undefined
      ? {}
      : { cert: deps.readText(cert_file), key: deps.readText(key_file) }),
  });
  const options = webhookOptionsOf(config, { secrets: deps.secrets, clock: deps.clock, http });
  return options.ok ? ok(createWebhook(options.value)) : options;
};

export const webhookOptionsOf = (
  config: WebhookConfig,
  deps: Pick<WebhookOptions, "http" | "secrets" | "clock">,
): Result<WebhookOptions, string> => {
  const { status_url } = config;
  const handOff = (config.hand_off ?? []).filter((action) => action !== "notify");
  const undoNotice = config.undo_notice ?? false;
  if (handOff.length > 0 && !undoNotice) {
    return err(`undo_notice must be true: who takes over ${handOff.join(", ")} must hear when it ends`);
  }
  for (const [field, url] of Object.entries({ url: config.url, status_url })) {
    const parsed = url === undefined ? undefined : URL.parse(url);
    if (parsed === null) return err(`${field} is not a URL`);
    if (parsed?.protocol === "http:" && !isLoopback(parsed.hostname)) return err(`${field}: http only on loopback`);
  }
  return ok({
    ...deps,
    name: config.name,
    url: config.url,
    secretRef: config.secret,
    handOff,
    undoNotice,
    callMs: config.call_ms ?? callMsDefault,
    ...(status_url === undefined ? {} : { statusUrl: status_url }),
  });
};
