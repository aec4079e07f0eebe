import type { Problems } from "@reflex/policies/language/policy-error";
import type { Action, Change, RequestTemplate } from "./manifest.ts";
import { valuesOfBody, valuesOfRequest } from "./request-values.ts";
import { everyPart, type Reference, type Value } from "./value.ts";

/** A list that is read, changed and written back loses what somebody else wrote in between, unless the product can tell. */
export const checkWholeLists = (change: Change, action: Action, problems: Problems): void => {
  const { guarded, read } = change;
  const requests = [change.request, ...change.after.map(({ request }) => request)];
  const parts = requests.flatMap(valuesOfRequest).flatMap(everyPart);
  const lists: ReadonlySet<string> = new Set(
    [
      ...Object.entries(action.capture?.keep ?? {}).map(([name, kept]) => [`captured.${name}`, kept] as const),
      ...Object.entries(read?.keep ?? {}).map(([name, kept]) => [`read.${name}`, kept] as const),
      ...Object.entries(change.find?.keep ?? {}).map(([name, kept]) => [`found.${name}`, kept] as const),
    ]
      .filter(([, kept]) => "isMany" in kept && kept.isMany)
      .map(([name]) => name),
  );
  for (const part of parts) {
    if (part.kind === "change") checkListChange(part, guarded, lists, problems);
    if (part.kind === "reference" && lists.has(part.path) && guarded === undefined) {
      problems.report(
        part.at,
        `$${part.path} is a whole list; writing it back loses what somebody else wrote since it was read`,
        'write guarded: { etag: true } with read:, guarded: { revision: $read.version, lost: … }, or guarded: { alone: "why nobody else writes it" }',
      );
    }
  }
  checkDerivedTexts(change, requests, problems);
  if (
    guarded?.kind === "revision" &&
    !parts.some((part) => part.kind === "reference" && part.path === guarded.revision.path)
  ) {
    problems.report(
      guarded.revision.at,
      `the request does not send $${guarded.revision.path}, so the product cannot compare it`,
      "write it into the request",
    );
  }
};

/** A text can be a list too: `a b c`, read, made longer and written back. */
const checkDerivedTexts = ({ guarded }: Change, requests: readonly RequestTemplate[], problems: Problems): void => {
  if (guarded?.kind === "etag" || guarded?.kind === "revision") return;
  for (const part of requests.flatMap(valuesOfBody).flatMap(everyPart)) {
    const derived = part.kind === "join" ? everyPart(part).find(isReadBefore) : undefined;
    const found = derived ?? (isReadBefore(part) && part.path.startsWith("read.") ? part : undefined);
    if (found === undefined) continue;
    problems.report(
      found.at,
      `$${found.path} is read, and what is made of it is written back: what somebody else writes in between would be lost`,
      "use a request that changes one thing; or write read: and guarded: { etag: true } or { revision: $read.version, lost: … }",
    );
  }
};

const isReadBefore = (part: Value): part is Reference =>
  part.kind === "reference" && /^(?:read|captured|found)\./.test(part.path) && part.path !== "found.id";

const checkListChange = (
  part: Value & { kind: "change" },
  guarded: Change["guarded"],
  lists: ReadonlySet<string>,
  problems: Problems,
): void => {
  if (guarded === undefined || guarded.kind === "alone") {
    problems.report(
      part.at,
      "this reads a list, changes it and writes all of it: an entry that somebody else adds in between would be lost",
      "use a request that adds or removes one entry; or write read: and guarded: { etag: true } or { revision: $read.version, lost: … } where the product refuses a write that came too late",
    );
  }
  if (part.list.kind !== "reference" || !lists.has(part.list.path)) {
    problems.report(
      part.at,
      "the list that is changed was not read as a list",
      `write ${part.verb === "add" ? "to" : "from"}: $read.members, and read: { …, keep: { members: "/members/*" } }`,
    );
  }
};
