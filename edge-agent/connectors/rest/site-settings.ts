import { type Refusal, refusal } from "@reflex/protocol/refusal";
import { err, ok, type Result } from "@reflex/protocol/result";
import { isLoopback } from "../loopback.ts";
import type { Bindings } from "./bind.ts";
import type { Manifest, SettingRule } from "./manifest.ts";
import type { Json } from "./value.ts";

/** What a site says about its product: the part of the configuration that a manifest asks for. */
export type Site = {
  readonly baseUrl: string;
  readonly settings?: Readonly<Record<string, string | number | boolean>>;
  /** Name in the manifest -> `env:…`, `file:…` or `credential:…`. */
  readonly secrets?: Readonly<Record<string, string>>;
  readonly hasClientCertificate?: boolean;
};

export type CheckedSite = { readonly baseUrl: string; readonly settings: Bindings };

/** Whether a site has said what the manifest needs, and nothing it does not know. */
export const checkSite = (manifest: Manifest, site: Site): Result<CheckedSite, Refusal> => {
  const wrong = (detail: string): Result<never, Refusal> =>
    err(refusal("schema-invalid", `${manifest.name}: ${detail}`));
  if (manifest.noApi !== undefined) return err(refusal("connector-unknown", `${manifest.name}: ${manifest.noApi}`));
  const origin = readOrigin(site.baseUrl);
  if (!origin.ok) return wrong(`base_url ${origin.error}`);

  const settings = new Map<string, Json>();
  for (const [name, rule] of Object.entries(manifest.settings)) {
    const given = ownOf(site.settings, name) ?? rule.default;
    if (given === undefined && rule.optional) continue;
    if (given === undefined) return wrong(`settings.${name} is missing: ${rule.about}`);
    const checked = checkSetting(rule, given);
    if (!checked.ok) return wrong(`settings.${name} ${checked.error}`);
    settings.set(`settings.${name}`, checked.value);
  }
  for (const [name, rule] of Object.entries(manifest.secrets)) {
    if (ownOf(site.secrets, name) === undefined && !rule.optional)
      return wrong(`secrets.${name} is missing: ${rule.about}`);
  }
  for (const kind of ["settings", "secrets"] as const) {
    const unknown = Object.keys(site[kind] ?? {}).find((name) => !Object.hasOwn(manifest[kind], name));
    if (unknown !== undefined)
      return wrong(`${kind}.${unknown} is not known; there are ${Object.keys(manifest[kind]).join(", ") || "none"}`);
  }
  if (manifest.auth.kind === "client_certificate" && site.hasClientCertificate !== true) {
    return wrong("client_cert_file and client_key_file are missing");
  }
  return ok({ baseUrl: origin.value, settings });
};

const ownOf = <T>(record: Readonly<Record<string, T>> | undefined, name: string): T | undefined =>
  record !== undefined && Object.hasOwn(record, name) ? record[name] : undefined;

/** The characters a text may have that stands in URLs, headers and bodies alike. */
const settingText = /^[^\p{C}]{1,1024}$/u;

const checkSetting = (
  { format, oneOf, pattern }: SettingRule,
  given: string | number | boolean,
): Result<Json, string> => {
  if (format === "integer") return Number.isSafeInteger(given) ? ok(given) : err("is not a whole number");
  if (format === "flag") return typeof given === "boolean" ? ok(given) : err("is not true or false");
  const text = String(given);
  if (format === "url") {
    const origin = readOrigin(text);
    return origin.ok ? origin : err(origin.error);
  }
  if (oneOf !== undefined && !oneOf.includes(text)) return err(`is none of ${oneOf.join(", ")}`);
  if (pattern !== undefined && !pattern.test(text)) return err(`does not match ${pattern.source}`);
  if (!settingText.test(text)) return err("is empty, too long or holds control characters");
  return ok(given);
};

/** An origin with perhaps a path, without a final slash; what follows is the manifest's. */
const readOrigin = (text: string): Result<string, string> => {
  const url = URL.parse(text);
  if (url === null) return err("is not a URL");
  if (url.protocol !== "https:" && !(url.protocol === "http:" && isLoopback(url.hostname)))
    return err("is not https (http only on loopback)");
  if (url.search !== "" || url.hash !== "" || url.username !== "" || url.password !== "") {
    return err("may only be an origin and a path, without user, ? or #");
  }
  return ok(url.href.replace(/\/+$/, ""));
};
