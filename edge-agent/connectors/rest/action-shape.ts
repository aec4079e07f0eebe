import type { Position, Problems } from "@reflex/policies/language/policy-error";
import type { Located, LocatedMap } from "@reflex/policies/language/read-yaml";
import { block, flag, integer, list, name, type ReadKeys, type Shape, text } from "@reflex/policies/language/shape";
import { entityTypes } from "@reflex/protocol/entity";
import { applyShape, undoShape } from "./change-shape.ts";
import { built, clauses, pointer } from "./clause-shape.ts";
import type { Accepts, Action, ActionList, Verify } from "./manifest.ts";
import { pages } from "./request-shape.ts";
import { resolve } from "./resolve-shape.ts";
import { answered, listingKeys, listingOf, readFirst, requestKey, wholePattern } from "./step-shape.ts";

const verifyBlock: Shape<Verify> = built(
  block(
    "verify",
    {
      request: requestKey,
      pages: { shape: pages, about: "how the rest of the list is read" },
      answered,
      present: {
        shape: clauses,
        about: "the answer that means: it is in force",
        missing: "write present: { items: /results, where: { /ip: $target.value } }",
      },
      absent: { shape: clauses, about: "the answer that means: it is not in force" },
    },
    {
      done: 'write "present"',
      gone: 'write "absent"',
      missing: 'write "absent"',
      items: "write it into present: { items: …, where: … }",
      where: "write it into present: { items: …, where: … }",
    },
  ),
  (read, node, problems): Verify | undefined => {
    if (read.request === undefined || read.present === undefined) return undefined;
    if (read.absent === undefined && !isPlainList(read.present)) {
      problems.report(
        node.at,
        "verify does not say which answer means that it is not in force; an error is no such answer",
        "write absent: { status: 404 }, or absent: { where: { /enabled: true } }",
      );
    }
    return {
      request: read.request,
      present: read.present,
      ...(read.pages === undefined ? {} : { pages: read.pages }),
      ...(read.answered === undefined ? {} : { answered: read.answered }),
      ...(read.absent === undefined ? {} : { absent: read.absent }),
    };
  },
);

/** A list without such an entry is a clear no, as long as the clause asks for nothing but such an entry. */
const isPlainList = (present: Verify["present"]): boolean => {
  const [one, other] = present;
  return (
    one?.items !== undefined && other === undefined && !one.only && !one.first && !one.empty && one.none === undefined
  );
};

const listBlock: Shape<ActionList> = built(
  block("list", {
    ...listingKeys,
    all_ours: { shape: flag("all_ours"), about: "true: nobody else writes this list" },
    id: { shape: pointer, about: "the target's value, or the id that resolve gives", missing: "write id: /ip" },
    id_as: {
      shape: name("a kind of id", ["text", "address", "network"] as const),
      about: "address: without a /32 or /128 that the product adds",
    },
  }),
  (read, node, problems): ActionList | undefined => {
    if (read.where === undefined && read.all_ours !== true) {
      problems.report(
        node.at,
        "the list would take what other people made for ours",
        "write where: with the mark of our entries, or all_ours: true where nobody else writes this list",
      );
    }
    const listing = listingOf(read);
    return listing === undefined || read.id === undefined
      ? undefined
      : { ...listing, id: read.id, idAs: read.id_as ?? "text" };
  },
);

const acceptsBlock: Shape<Accepts> = built(
  block("accepts", {
    family: { shape: integer("4 or 6", 4, 6), about: "4 or 6" },
    prefix_bits: {
      shape: list(integer("a prefix length", 0, 128), { what: "prefix_bits", minItems: 1, maxItems: 129 }),
      about: "lengths of prefixes it takes",
    },
    pattern: { shape: wholePattern, about: "what the value looks like" },
  }),
  (read, node, problems): Accepts | undefined => {
    const { family, prefix_bits: prefixBits, pattern: looks } = read;
    if (family === 5) return problems.report(node.at, "there is no address family 5", "write 4 or 6");
    return {
      ...(family === undefined ? {} : { family: family === 4 ? 4 : 6 }),
      ...(prefixBits === undefined ? {} : { prefixBits }),
      ...(looks === undefined ? {} : { pattern: looks }),
    };
  },
);

const accepts: Shape<Accepts[]> = {
  schema: { anyOf: [acceptsBlock.schema, { type: "array", items: acceptsBlock.schema, minItems: 1 }] },
  read: (node, problems) =>
    (node.kind === "list" ? node.items : [node]).flatMap((one) => {
      const read = acceptsBlock.read(one, problems);
      return read === undefined ? [] : [read];
    }),
};

/** A step, or the word `none`. */
const orNone = <T>(shape: Shape<T>): Shape<T | "none"> => ({
  schema: { anyOf: [shape.schema, { enum: ["none"] }] },
  read: (node, problems) => (node.kind === "scalar" && node.text === "none" ? "none" : shape.read(node, problems)),
});

const actionKeys = {
  targets: {
    shape: list(name("a kind of target", entityTypes), { what: "targets", minItems: 1, maxItems: 8 }),
    about: "kinds of targets it can be done to",
    missing: "write targets: [address]",
  },
  native_ttl: { shape: flag("native_ttl"), about: "true: the product ends it by itself when its time is up" },
  accepts: { shape: accepts, about: "which targets the product takes" },
  resolve: { shape: resolve, about: "the one thing there that the target stands for" },
  capture: { shape: readFirst, about: "what undo will need, read before acting" },
  apply: { shape: applyShape, about: "puts it in force", missing: "write apply: { request: …, done: … }" },
  verify: {
    shape: orNone(verifyBlock),
    about: "reads whether it is in force",
    missing: "write verify: { request: …, present: …, absent: … }, or verify: none with verify_none_because",
  },
  verify_none_because: {
    shape: text({ expected: "one sentence", lengthMax: 300 }),
    about: "why nobody can ask the product; screens show at-most-once",
  },
  undo: {
    shape: orNone(undoShape),
    about: "takes it back",
    missing: "write undo: { request: …, done: …, gone: … }; what cannot be undone is no action",
  },
  list: { shape: listBlock, about: "what Reflex put in force there" },
} as const;

const actionHints = {
  do: 'write "apply"',
  ttl: 'write "native_ttl"',
  check: 'write "verify"',
  revert: 'write "undo"',
  target: 'write "targets"',
} as const;

export const actionShape = (isUndoNeeded: boolean): Shape<Action> =>
  built(block("an action", actionKeys, actionHints), (read, node, problems): Action | undefined => {
    checkNone(read, node, isUndoNeeded, problems);
    const { targets, apply, verify, undo, verify_none_because: because } = read;
    if (targets === undefined || apply === undefined || verify === undefined || undo === undefined) return undefined;
    return {
      targets,
      apply,
      nativeTtl: read.native_ttl ?? false,
      accepts: read.accepts ?? [],
      ...(read.resolve === undefined ? {} : { resolve: read.resolve }),
      ...(read.capture === undefined ? {} : { capture: read.capture }),
      ...(verify === "none" ? {} : { verify }),
      ...(because === undefined ? {} : { verifyNoneBecause: because }),
      ...(undo === "none" ? {} : { undo }),
      ...(read.list === undefined ? {} : { list: read.list }),
    };
  });

const placeOf = (node: Located, key: string): Position =>
  (node as LocatedMap).entries?.find((entry) => entry.key === key)?.keyAt ?? node.at;

const checkNone = (
  read: ReadKeys<typeof actionKeys>,
  node: Located,
  isUndoNeeded: boolean,
  problems: Problems,
): void => {
  if (read.verify === "none" && read.verify_none_because === undefined) {
    problems.report(
      placeOf(node, "verify"),
      "verify: none makes this at most once, and people will ask why",
      "write verify_none_because: and one sentence",
    );
  }
  if (read.undo === "none" && isUndoNeeded) {
    problems.report(
      placeOf(node, "undo"),
      "what cannot be undone is no action but a proposal to a human",
      "write undo: { request: …, done: … }",
    );
  }
  for (const step of [read.apply, read.undo === "none" ? undefined : read.undo]) {
    if (step !== undefined && step.conflict.length > 0 && read.verify === "none") {
      problems.report(
        step.at,
        "conflict asks verify, and there is none",
        "write verify:, or refused: in place of conflict:",
      );
    }
  }
};
