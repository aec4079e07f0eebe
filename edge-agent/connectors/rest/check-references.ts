import type { Position, Problems } from "@reflex/policies/language/policy-error";
import { listed, nearestName } from "@reflex/policies/language/suggest";
import { checkWholeLists } from "./check-whole-lists.ts";
import type {
  Action,
  Auth,
  Change,
  Clauses,
  Conditions,
  Keep,
  Listing,
  Manifest,
  Matcher,
  ReadFirst,
  RequestTemplate,
} from "./manifest.ts";
import { valuesOfRequest } from "./request-values.ts";
import { everyPart, fixedReferences, type Value } from "./value.ts";

/** What may be named at one place, and what is known there of each name. */
type Scope = { readonly names: readonly string[]; readonly place: string };

/**
 * Whether each `$reference` is known where it stands, secrets stay in `auth`, and nothing writes a whole list that somebody
 * else may have changed since it was read.
 */
export const checkReferences = (manifest: Manifest, problems: Problems): void => {
  const used = new Set<string>();
  const origins = Object.entries(manifest.settings).flatMap(([name, { format }]) =>
    format === "url" ? [`settings.${name}`] : [],
  );
  const check = createCheck(problems, used, origins);
  const settings = Object.keys(manifest.settings).map((name) => `settings.${name}`);
  const secrets = Object.keys(manifest.secrets).map((name) => `secrets.${name}`);

  check.named(manifest.headers, { names: settings, place: "in headers of every request" });
  for (const value of valuesOfAuth(manifest.auth))
    check.value(value, { names: [...settings, ...secrets], place: "in auth" });
  if (manifest.auth.kind === "oauth2") check.base(manifest.auth.tokenUrl.base, { line: 1, column: 1 });
  if (manifest.auth.kind === "login")
    check.request(manifest.auth.request, { names: [...settings, ...secrets], place: "in auth" });
  for (const action of Object.values(manifest.actions)) checkAction(action, settings, check, problems);
  for (const kind of ["settings", "secrets"] as const) {
    for (const name of Object.keys(manifest[kind])) {
      if (!used.has(`${kind}.${name}`) && manifest.noApi === undefined) {
        problems.report({ line: 1, column: 1 }, `nothing uses $${kind}.${name}`, `remove ${name} from ${kind}`);
      }
    }
  }
};

const valuesOfAuth = (auth: Auth): readonly Value[] => {
  switch (auth.kind) {
    case "none":
    case "client_certificate":
      return [];
    case "header":
      return auth.headers.map(({ value }) => value);
    case "basic":
      return [auth.user, auth.password];
    case "oauth2":
      return [
        auth.clientId,
        auth.clientSecret,
        ...(auth.tokenUrl.base === undefined ? [] : [auth.tokenUrl.base]),
        ...auth.tokenUrl.path,
        ...auth.fields.map(([, value]) => value),
      ];
    case "login":
      return auth.basic === undefined ? [] : [auth.basic.user, auth.basic.password];
    case "sigv4":
      return [
        auth.service,
        auth.region,
        auth.accessKey,
        auth.secretKey,
        ...(auth.sessionToken === undefined ? [] : [auth.sessionToken]),
      ];
  }
};

const prefixed = (root: string, keep: Keep | undefined): string[] =>
  Object.keys(keep ?? {}).map((name) => `${root}.${name}`);

const checkAction = (action: Action, settings: readonly string[], check: Check, problems: Problems): void => {
  const { resolve, capture, apply, verify, undo, list } = action;
  const before = [...fixedReferences, ...settings];
  const resolved = resolve === undefined ? before : [...before, "resolved.id", "resolved.label"];
  const known = [...resolved, ...prefixed("captured", capture?.keep)];

  if (resolve !== undefined) {
    check.listing(resolve, { names: before, place: "before the target is resolved" });
    for (const step of resolve.then) {
      check.request(step.request, { names: resolved, place: "in resolve: then" });
      check.clauses(step.answered, { names: resolved, place: "in resolve: then" });
    }
  }
  if (capture !== undefined) check.readFirst(capture, { names: resolved, place: "before anything is captured" });
  checkChange(apply, action, known, check, problems);
  if (undo !== undefined) checkChange(undo, action, known, check, problems);
  if (verify !== undefined) {
    const scope = { names: known, place: "in verify" };
    check.request(verify.request, scope);
    for (const clauses of [verify.answered, verify.present, verify.absent]) check.clauses(clauses, scope);
  }
  if (list !== undefined) check.listing(list, { names: settings, place: "in list, which is not about one target" });
  if (apply.unless !== undefined && undo !== undefined && undo.unless === undefined) {
    problems.report(
      undo.at,
      "apply leaves alone what was so before, and undo would free it",
      "write the same unless: into undo",
    );
  }
};

const checkChange = (
  change: Change,
  action: Action,
  known: readonly string[],
  check: Check,
  problems: Problems,
): void => {
  const before = { names: known, place: "here" };
  for (const [reference, matcher] of change.unless ?? []) {
    check.value(reference, before);
    check.matcher(matcher, before);
  }
  if (change.find !== undefined) check.listing(change.find, before);
  if (change.read !== undefined) check.readFirst(change.read, before);
  const found = change.find === undefined ? [] : ["found.id", ...prefixed("found", change.find.keep)];
  const scope = { names: [...known, ...found, ...prefixed("read", change.read?.keep)], place: "here" };
  check.request(change.request, scope);
  for (const clauses of [change.done, change.already, change.conflict, change.refused, change.retry, change.unknown])
    check.clauses(clauses, scope);
  for (const step of change.after) {
    check.request(step.request, scope);
    check.clauses(step.done, scope);
  }
  checkWholeLists(change, action, problems);
};

type Check = ReturnType<typeof createCheck>;

const createCheck = (problems: Problems, used: Set<string>, origins: readonly string[]) => {
  const value = (whole: Value, scope: Scope): void => {
    for (const part of everyPart(whole)) {
      if (part.kind === "reference") reference(part.path, part.at, scope);
    }
  };
  const reference = (path: string, at: Position, scope: Scope): void => {
    used.add(path);
    if (scope.names.includes(path)) return;
    if (path.startsWith("secrets.") && !scope.names.some((name) => name.startsWith("secrets."))) {
      problems.report(
        at,
        "a secret stands in auth alone: anywhere else it could be kept or shown",
        "write auth: { bearer: $secrets.x }, header, basic, oauth2, login or sigv4",
      );
      return;
    }
    const root = path.split(".")[0] ?? "";
    const nearest = nearestName(path, scope.names);
    const siblings = scope.names.filter((name) => name.startsWith(`${root}.`));
    const fix =
      missingRoot(root, siblings) ??
      (nearest === undefined
        ? `write one of: ${listed((siblings.length > 0 ? siblings : scope.names).map((name) => `$${name}`))}`
        : `write $${nearest}`);
    problems.report(at, `there is no $${path} ${scope.place}`, fix);
  };
  const matcher = (one: Matcher, scope: Scope): void => {
    switch (one.kind) {
      case "one_of":
        for (const inner of one.matchers) matcher(inner, scope);
        return;
      case "not":
        matcher(one.matcher, scope);
        return;
      case "exactly":
        value(one.list, scope);
        return;
      case "at_least":
      case "missing":
        return;
      default:
        value(one.value, scope);
    }
  };
  const conditions = (all: Conditions, scope: Scope): void => {
    for (const [, one] of all) matcher(one, scope);
  };
  const clauses = (all: Clauses | undefined, scope: Scope): void => {
    for (const one of all ?? []) {
      conditions(one.where, scope);
      conditions(one.none ?? [], scope);
    }
  };
  const named = (all: readonly (readonly [string, Value])[], scope: Scope): void => {
    for (const [, one] of all) value(one, scope);
  };
  const request = (one: RequestTemplate, scope: Scope): void => {
    for (const part of valuesOfRequest(one)) value(part, scope);
    checkPlaces(one, problems);
    base(one.base, one.at);
  };
  /** Credentials go there: only the manifest's author or the site says where. */
  const base = (one: Value | undefined, at: Position): void => {
    if (one === undefined || (one.kind === "reference" && origins.includes(one.path))) return;
    if (
      one.kind === "literal" &&
      typeof one.value === "string" &&
      /^https:\/\/[A-Za-z0-9.-]+(?::\d+)?$/.test(one.value)
    )
      return;
    problems.report(
      one.kind === "reference" ? one.at : at,
      "base is another origin, and this is none",
      "write https://host, or $settings.x where settings has x: { format: url }",
    );
  };
  const keep = (all: Keep, scope: Scope): void => {
    for (const kept of Object.values(all)) if ("when" in kept) clauses([kept.when], scope);
  };
  const readFirst = (one: ReadFirst, scope: Scope): void => {
    request(one.request, scope);
    clauses(one.answered, scope);
    keep(one.keep, scope);
  };
  const listing = (one: Listing, scope: Scope): void => {
    request(one.request, scope);
    clauses(one.answered, scope);
    conditions(one.where, scope);
  };
  return { value, matcher, clauses, named, request, readFirst, listing, base };
};

const missingRoot = (root: string, siblings: readonly string[]): string | undefined => {
  if (siblings.length > 0) return undefined;
  if (root === "settings") return "declare it: settings: { x: { about: … } }";
  if (root === "secrets") return "declare it: secrets: { x: { about: … } }";
  if (root === "resolved") return "write resolve: into this action";
  if (root === "captured") return "write capture: { request: …, keep: … } into this action";
  if (root === "read") return "write read: { request: …, keep: … } beside the request";
  if (root === "found") return "write find: { request: …, items: …, id: … } beside the request";
  return undefined;
};

/** `numbered` and `xml` make fields of a form; anywhere else they would be something else than they look like. */
const checkPlaces = (request: RequestTemplate, problems: Problems): void => {
  const fields = new Set<Value>([
    ...(request.body?.kind === "form" ? request.body.fields.map(([, value]) => value) : []),
    ...request.query.map(([, value]) => value).filter(({ kind }) => kind === "numbered"),
  ]);
  for (const part of valuesOfRequest(request).flatMap(everyPart)) {
    if ((part.kind === "numbered" || part.kind === "xml") && !fields.has(part)) {
      problems.report(part.at, `${part.kind} stands in a field of form`, "write form: { Field: { … } }");
    }
  }
};
