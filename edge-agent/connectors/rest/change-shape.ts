import type { Problems } from "@reflex/policies/language/policy-error";
import type { Located } from "@reflex/policies/language/read-yaml";
import { block, flag, type ReadKeys, type Shape, text } from "@reflex/policies/language/shape";
import { built, clauses, keep, matcher, named, pointer } from "./clause-shape.ts";
import type { Change, Clauses, Guarded, Unless } from "./manifest.ts";
import { listingKeys, listingOf, readFirst, requestKey } from "./step-shape.ts";
import { value } from "./value-shape.ts";

/** `{ $captured.was_there: true }`. */
const unless: Shape<Unless> = {
  schema: { type: "object", minProperties: 1 },
  read: (node, problems) => {
    if (node.kind !== "map" || node.entries.length === 0) {
      return problems.report(node.at, "unless is a block of references", "write unless: { $captured.was_there: true }");
    }
    return node.entries.flatMap((entry) => {
      const reference = value.read({ kind: "scalar", at: entry.keyAt, value: entry.key, text: entry.key }, problems);
      const read = matcher.read(entry.value, problems);
      if (reference?.kind !== "reference") {
        problems.report(
          entry.keyAt,
          `${JSON.stringify(entry.key)} is not a reference`,
          "write $captured. and a name that capture keeps",
        );
        return [];
      }
      return read === undefined ? [] : [[reference, read] as const];
    });
  },
};

const guarded: Shape<Guarded> = built(
  block("guarded", {
    etag: { shape: flag("etag"), about: "true: the ETag of what was read is sent as If-Match" },
    revision: { shape: value, about: "what was read and is sent back as the revision: $read.x" },
    lost: { shape: clauses, about: "the answer when somebody else was faster; nothing was written" },
    alone: {
      shape: text({ expected: "one sentence", lengthMax: 300 }),
      about: "why nobody else writes this list; only for restoring what was captured",
    },
  }),
  (read, node, problems): Guarded | undefined => {
    if (read.etag === true) return { kind: "etag" };
    if (read.revision !== undefined && read.lost !== undefined && read.revision.kind === "reference") {
      return { kind: "revision", revision: read.revision, lost: read.lost };
    }
    if (read.alone !== undefined) return { kind: "alone", why: read.alone };
    return problems.report(
      node.at,
      "this does not say how two writers are kept apart",
      "write { etag: true }, or { revision: $read.version, lost: { status: 409 } }",
    );
  },
);

const findBlock = built(
  block("find", {
    ...listingKeys,
    id: { shape: pointer, about: "becomes $found.id", missing: "write id: /id" },
    keep: { shape: keep, about: "more of the entry: $found.x" },
  }),
  (read): NonNullable<Change["find"]> | undefined => {
    const listing = listingOf(read);
    return listing === undefined || read.id === undefined
      ? undefined
      : { ...listing, id: read.id, keep: read.keep ?? {} };
  },
);

const afterBlock = built(
  block("a further request", {
    request: requestKey,
    done: { shape: clauses, about: "the answer that means: done; left out: any of 200 to 299" },
  }),
  (read, node) =>
    read.request === undefined ? undefined : { request: read.request, done: read.done ?? anySuccess(node) },
);

const afterSteps: Shape<Change["after"]> = {
  schema: { anyOf: [afterBlock.schema, { type: "array", items: afterBlock.schema, maxItems: 4 }] },
  read: (node, problems) =>
    (node.kind === "list" ? node.items : [node]).flatMap((one) => {
      const read = afterBlock.read(one, problems);
      return read === undefined ? [] : [read];
    }),
};

const anySuccess = (node: Located): Clauses => [{ at: node.at, where: [], only: false, first: false, empty: false }];

const shared = {
  unless: { shape: unless, about: "nothing is done where one of these was captured: it was so before" },
  read: { shape: readFirst, about: "read right before, for $read.x" },
  guarded: { shape: guarded, about: "how two writers of one list are kept apart" },
  request: requestKey,
  done: { shape: clauses, about: "the answer that means: done; left out: any of 200 to 299" },
  retry: { shape: clauses, about: "the answer that means: nothing was done, try again" },
  after: { shape: afterSteps, about: "further requests once this one is done" },
} as const;

const applyKeys = {
  ...shared,
  already: { shape: clauses, about: "the answer that means: it is there already" },
  conflict: { shape: clauses, about: "something like it is there; verify says whether it is ours" },
  refused: { shape: clauses, about: "the answer that means: nothing was done, and trying again will not help" },
  unknown: { shape: clauses, about: "the answer that says nothing for certain" },
} as const;

const undoKeys = {
  ...shared,
  find: { shape: findBlock, about: "looks up what to remove: $found.id; none is undone" },
  gone: { shape: clauses, about: "the answer that means: it is not there any more" },
  conflict: { shape: clauses, about: "verify says whether it is still there" },
} as const;

const applyHints = {
  success: 'write "done"',
  expect: 'write "done"',
  status: "write done: { status: 200 }",
  keep: "undo data is kept before acting: write capture:, or look it up with undo: { find: … }",
  gone: 'write "already"',
  find: "write resolve: beside apply, or find: in undo",
} as const;
const undoHints = {
  success: 'write "done"',
  status: "write done: { status: 200 }",
  already: 'write "gone"',
  absent: 'write "gone"',
  refused: "an undo is tried until it is done; remove it",
} as const;

type Read = ReadKeys<typeof applyKeys> & ReadKeys<typeof undoKeys>;

/** A request that changes something: `apply` and `undo` read alike. */
const changeBlock = (step: "apply" | "undo"): Shape<Change> =>
  built(
    (step === "apply" ? block("apply", applyKeys, applyHints) : block("undo", undoKeys, undoHints)) as Shape<Read>,
    (read, node, problems): Change | undefined => {
      checkGuard(read, node, problems);
      const { request } = read;
      if (request === undefined) return undefined;
      return {
        at: node.at,
        request,
        done: read.done ?? anySuccess(node),
        already: (step === "apply" ? read.already : read.gone) ?? [],
        conflict: read.conflict ?? [],
        refused: read.refused ?? [],
        retry: read.retry ?? [],
        unknown: read.unknown ?? [],
        after: read.after ?? [],
        ...(read.unless === undefined ? {} : { unless: read.unless }),
        ...(read.find === undefined ? {} : { find: read.find }),
        ...(read.read === undefined ? {} : { read: read.read }),
        ...(read.guarded === undefined ? {} : { guarded: read.guarded }),
      };
    },
  );

export const applyShape = named("apply", changeBlock("apply"));
export const undoShape = named("undo", changeBlock("undo"));

const checkGuard = (read: Read, node: Located, problems: Problems): void => {
  if (read.guarded !== undefined && read.guarded.kind !== "alone" && read.read === undefined) {
    problems.report(
      node.at,
      "guarded compares with what was read, and nothing is read",
      "write read: { request: …, keep: … } beside it",
    );
  }
};
