import { block, type Key, type ReadKeys, type Shape } from "@reflex/policies/language/shape";
import { built, clauses, conditions, keep, pointer } from "./clause-shape.ts";
import type { Listing, ReadFirst } from "./manifest.ts";
import { pages, request } from "./request-shape.ts";
import { readPattern } from "./value-shape.ts";

export const wholePattern: Shape<RegExp> = {
  schema: { type: "string", pattern: "^\\^.*\\$$" },
  read: (node, problems) =>
    node.kind === "scalar"
      ? readPattern(node, problems)
      : problems.report(node.at, "a pattern is a text", 'write "^[a-z0-9-]{1,64}$"'),
};
export const requestKey = {
  shape: request,
  about: "what is asked",
  missing: "write request: { method: GET, path: […] }",
} as const satisfies Key;
export const answered = {
  shape: clauses,
  about: "when the answer may be believed; left out: any of 200 to 299",
} as const;
export const listingKeys = {
  request: requestKey,
  pages: { shape: pages, about: "how the rest of the list is read" },
  answered,
  items: {
    shape: pointer,
    about: "pointer to the list in the answer",
    missing: 'write items: /result ("" where the whole answer is the list)',
  },
  where: { shape: conditions, about: "which entries count" },
} as const;

export const listingOf = (read: ReadKeys<typeof listingKeys>): Listing | undefined =>
  read.request === undefined || read.items === undefined
    ? undefined
    : {
        request: read.request,
        items: read.items,
        where: read.where ?? [],
        ...(read.pages === undefined ? {} : { pages: read.pages }),
        ...(read.answered === undefined ? {} : { answered: read.answered }),
      };

export const readFirst: Shape<ReadFirst> = built(
  block("what is read before", {
    request: requestKey,
    answered,
    keep: { shape: keep, about: "what is kept of the answer", missing: "write keep: { enabled: /enabled }" },
  }),
  (read): ReadFirst | undefined =>
    read.request === undefined || read.keep === undefined
      ? undefined
      : { request: read.request, keep: read.keep, ...(read.answered === undefined ? {} : { answered: read.answered }) },
);
