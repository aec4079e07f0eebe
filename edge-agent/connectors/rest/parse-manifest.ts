import { createProblems, type PolicyError, type Problems } from "@reflex/policies/language/policy-error";
import { type Located, readYaml } from "@reflex/policies/language/read-yaml";
import { block, flag, integer, type JsonSchema, list, name, type Shape, text } from "@reflex/policies/language/shape";
import { writeInstead } from "@reflex/policies/language/suggest";
import { actionNames, actions as catalogue, isActionName } from "@reflex/protocol/action";
import { err, ok, type Result } from "@reflex/protocol/result";
import { grpcBlock } from "../grpc/call-shape.ts";
import { checkCalls } from "../grpc/check-calls.ts";
import { actionShape } from "./action-shape.ts";
import { auth } from "./auth-shape.ts";
import { checkReferences } from "./check-references.ts";
import { built, pointer, schemaDefinitions } from "./clause-shape.ts";
import type { Manifest, SettingRule } from "./manifest.ts";
import { answerFormats, headers } from "./request-shape.ts";
import { wholePattern } from "./step-shape.ts";

/** YAML text of a manifest, read and checked. Never throws; all errors of the file at once. */
export const parseManifest = (file: string, source: string): Result<Manifest, readonly PolicyError[]> => {
  const yaml = readYaml(file, source);
  if (!yaml.ok) return yaml;
  const problems = createProblems(file);
  if (yaml.value === undefined) {
    problems.report(
      { line: 1, column: 1 },
      "the file holds no manifest",
      "begin with manifest: 1, and compare with edge-agent/connectors/rest/MANIFEST.md",
    );
    return err(problems.errors());
  }
  const manifest = manifestShape.read(yaml.value, problems);
  if (manifest !== undefined) checkReferences(manifest, problems);
  if (manifest !== undefined) checkCalls(manifest, problems);
  const errors = problems.errors();
  return errors.length > 0 || manifest === undefined ? err(errors) : ok(manifest);
};

const declaredName = /^[a-z][a-z0-9_]{0,63}$/;

/** `{ name: what it is }`. */
const declared = <T>(what: string, shape: Shape<T>): Shape<Readonly<Record<string, T>>> => ({
  schema: { type: "object", additionalProperties: shape.schema },
  read: (node, problems) => {
    if (node.kind !== "map")
      return problems.report(node.at, `${what} must be a block of names`, `write ${what}: { name: { about: … } }`);
    return Object.fromEntries(
      node.entries.flatMap(({ key, keyAt, value }) => {
        if (!declaredName.test(key))
          problems.report(keyAt, `${JSON.stringify(key)} is not a name`, "write lower-case letters, digits and _");
        const read = shape.read(value, problems);
        return read === undefined ? [] : [[key, read] as const];
      }),
    );
  },
});

const about = {
  shape: text({ expected: "one sentence", lengthMax: 300 }),
  about: "what it is, for the person who fills it in",
  missing: "write about: and one sentence",
} as const;

/** A default, as it is. */
const plain: Shape<string | number | boolean> = {
  schema: { type: ["string", "number", "boolean"] },
  read: (node, problems) =>
    node.kind === "scalar" && node.value !== null
      ? node.value
      : problems.report(node.at, "a setting is a text, a number, true or false", "write one value"),
};

const setting: Shape<SettingRule> = built(
  block("a setting", {
    about,
    default: { shape: plain, about: "its value where a site says nothing" },
    pattern: { shape: wholePattern, about: "what a text looks like" },
    one_of: {
      shape: list(text({ expected: "a value", lengthMax: 128 }), { what: "one_of", minItems: 1, maxItems: 64 }),
      about: "the values there are",
    },
    format: {
      shape: name("a format", ["url", "integer", "flag"] as const),
      about: "url (an origin), integer or flag; left out: text",
    },
    optional: {
      shape: flag("optional"),
      about: "true: a site may leave it out, and requests that need it are refused",
    },
  }),
  (read): SettingRule | undefined =>
    read.about === undefined
      ? undefined
      : {
          about: read.about,
          optional: read.optional ?? false,
          ...(read.default === undefined ? {} : { default: read.default }),
          ...(read.pattern === undefined ? {} : { pattern: read.pattern }),
          ...(read.one_of === undefined ? {} : { oneOf: read.one_of }),
          ...(read.format === undefined ? {} : { format: read.format }),
        },
);

const secret = built(
  block(
    "a secret",
    { about, optional: { shape: flag("optional"), about: "true: a site may leave it out" } },
    {
      default: "a secret has no default; the site's configuration refers to it",
      pattern: "a secret is not looked into; remove it",
    },
  ),
  (read) => (read.about === undefined ? undefined : { about: read.about, optional: read.optional ?? false }),
);

const rate = built(
  block("rate", {
    per_second: {
      shape: integer("calls a second", 1, 10_000),
      about: "calls a second the product takes",
      missing: "write per_second: 5",
    },
    burst: { shape: integer("a burst", 1, 10_000), about: "calls at once after a pause", missing: "write burst: 10" },
    at_once: { shape: integer("calls at once", 1, 64), about: "calls open at the same time" },
  }),
  (read): Manifest["rate"] | undefined =>
    read.per_second === undefined || read.burst === undefined
      ? undefined
      : {
          perSecond: read.per_second,
          burst: read.burst,
          ...(read.at_once === undefined ? {} : { atOnce: read.at_once }),
        },
);

const actionsBlock: Shape<Manifest["actions"]> = {
  schema: {
    type: "object",
    additionalProperties: false,
    minProperties: 1,
    properties: Object.fromEntries(actionNames.map((one) => [one, { $ref: "#/definitions/action" }])),
  },
  read: (node, problems) => {
    if (node.kind !== "map" || node.entries.length === 0) {
      return problems.report(
        node.at,
        "actions is a block of actions of the catalogue",
        `write one of: ${actionNames.join(", ")}`,
      );
    }
    const entries = node.entries.flatMap(({ key, keyAt, value }) => {
      if (!isActionName(key)) {
        problems.report(keyAt, `${JSON.stringify(key)} is not an action`, writeInstead(key, actionNames));
        return [];
      }
      const read = actionShape(key !== "notify").read(value, problems);
      if (read !== undefined) checkTargets(key, read.targets, value, problems);
      return read === undefined ? [] : [[key, read] as const];
    });
    return Object.fromEntries(entries);
  },
};

const checkTargets = (
  action: keyof typeof catalogue,
  targets: readonly string[],
  node: Located,
  problems: Problems,
): void => {
  const legal: readonly string[] = catalogue[action].targets;
  const wrong = targets.find((target) => !legal.includes(target));
  if (wrong !== undefined)
    problems.report(node.at, `${action} is not done to a ${wrong}`, `write targets: [${legal.join(", ")}]`);
};

const sentence = (expected: string) => text({ expected, lengthMax: 500 });

const manifestKeys = {
  manifest: {
    shape: integer("the version of the language", 1, 1),
    about: "version of this language: 1",
    missing: "write manifest: 1",
  },
  name: {
    shape: text({ expected: "a name such as fortigate", pattern: "^[a-z][a-z0-9-]{0,62}$", lengthMax: 63 }),
    about: "name of the pack, as its file is called",
    missing: "write name: and the name of the file without .yaml",
  },
  about: {
    shape: sentence("one line for screens"),
    about: "one line for screens",
    missing: "write about: and one line",
  },
  docs: {
    shape: list(text({ expected: "a URL", pattern: "^https://", lengthMax: 512 }), { what: "docs", maxItems: 16 }),
    about: "the public documents it was written from",
  },
  needs: {
    shape: list(sentence("one line"), { what: "needs", maxItems: 16 }),
    about: "what the account there must be allowed to do",
  },
  settings: { shape: declared("settings", setting), about: "what a site fills in" },
  secrets: { shape: declared("secrets", secret), about: "what a site refers to; never written into a file of ours" },
  auth: { shape: auth, about: "how Reflex shows who is asking" },
  rate: { shape: rate, about: "what the product takes" },
  headers: { shape: headers, about: "headers of every request" },
  answer: { shape: name("a format of answers", answerFormats), about: "format of every answer that says nothing else" },
  message: {
    shape: list(pointer, { what: "message", maxItems: 8 }),
    about: "pointers to the product's own words about what was wrong",
  },
  no_api: {
    shape: sentence("one sentence"),
    about: "the product has no interface to act through: why, and where its targets should be routed",
  },
  grpc: { shape: grpcBlock, about: "the product speaks gRPC: its proto file; requests are then calls" },
  actions: { shape: actionsBlock, about: "what it can do" },
} as const;

const manifestHints = {
  version: 'write "manifest"',
  description: 'write "about"',
  limits: 'write "rate"',
  rate_limit: 'write "rate"',
  base_url: "the site's configuration says it; another origin is a setting with format: url",
  authentication: 'write "auth"',
} as const;

const manifestShape: Shape<Manifest> = built(
  block("a manifest", manifestKeys, manifestHints),
  (read, node, problems): Manifest | undefined => {
    if (read.no_api === undefined) {
      if (read.auth === undefined)
        problems.report(
          node.at,
          "the manifest does not say how to authenticate",
          "write auth: { bearer: $secrets.api_token }, or auth: none",
        );
      if (read.actions === undefined)
        problems.report(
          node.at,
          "the manifest has no actions",
          "write actions: { block_ip: … }, or no_api: and one sentence",
        );
    } else if (read.actions !== undefined) {
      problems.report(node.at, "a product without an API has no actions", "remove no_api: or actions:");
    }
    if (read.name === undefined || read.about === undefined) return undefined;
    if (read.no_api === undefined && (read.auth === undefined || read.actions === undefined)) return undefined;
    return {
      name: read.name,
      about: read.about,
      docs: read.docs ?? [],
      needs: read.needs ?? [],
      settings: read.settings ?? {},
      secrets: read.secrets ?? {},
      auth: read.auth ?? { kind: "none" },
      headers: read.headers ?? [],
      answer: read.answer ?? "json",
      message: read.message ?? [],
      actions: read.actions ?? {},
      ...(read.rate === undefined ? {} : { rate: read.rate }),
      ...(read.no_api === undefined ? {} : { noApi: read.no_api }),
      ...(read.grpc === undefined ? {} : { grpc: read.grpc }),
    };
  },
);

/** For completion in editors. Draft 7, because that is what YAML language servers read. */
export const manifestSchema = (): JsonSchema => ({
  $schema: "http://json-schema.org/draft-07/schema#",
  title: "Reflex REST manifest",
  description: "How Reflex speaks to one product; the language is in edge-agent/connectors/rest/MANIFEST.md",
  ...manifestShape.schema,
  definitions: { action: actionShape(true).schema, ...schemaDefinitions },
});
