import { block, name, type ReadKeys, type Shape } from "@reflex/policies/language/shape";
import { entityTypes } from "@reflex/protocol/entity";
import { built, pointer } from "./clause-shape.ts";
import type { Description, Resolve } from "./manifest.ts";
import type { Pointer } from "./pointer.ts";
import { pages } from "./request-shape.ts";
import { answered, listingKeys, listingOf, requestKey } from "./step-shape.ts";

const also: Shape<(readonly [(typeof entityTypes)[number], Pointer])[]> = {
  schema: {
    type: "object",
    additionalProperties: false,
    properties: Object.fromEntries(entityTypes.map((type) => [type, {}])),
  },
  read: (node, problems) => {
    if (node.kind !== "map")
      return problems.report(
        node.at,
        "also is a block of kinds of things",
        "write also: { host: /hostname, address: /ip }",
      );
    return node.entries.flatMap(({ key, keyAt, value: at }) => {
      const type = name("a kind of thing", entityTypes).read(
        { kind: "scalar", at: keyAt, value: key, text: key },
        problems,
      );
      const pointers = (at.kind === "list" ? at.items : [at]).map((one) => pointer.read(one, problems));
      return type === undefined ? [] : pointers.flatMap((one) => (one === undefined ? [] : [[type, one] as const]));
    });
  },
};

/** One pointer or several: tags, device groups and roles often stand apart. */
const groups: Shape<readonly Pointer[]> = {
  schema: { anyOf: [pointer.schema, { type: "array", items: pointer.schema, minItems: 1, maxItems: 8 }] },
  read: (node, problems) =>
    (node.kind === "list" ? node.items : [node]).flatMap((one) => pointer.read(one, problems) ?? []),
};

const descriptionKeys = {
  label: { shape: pointer, about: "what people call it, for screens" },
  also: { shape: also, about: "what else it is called, checked against the never-touch list" },
  groups: { shape: groups, about: "groups and roles it belongs to, checked against the never-touch list" },
} as const;

const descriptionOf = (read: ReadKeys<typeof descriptionKeys>): Description => ({
  also: read.also ?? [],
  groups: read.groups ?? [],
  ...(read.label === undefined ? {} : { label: read.label }),
});

const thenBlock = built(
  block("a further request", {
    request: requestKey,
    pages: { shape: pages, about: "how the rest is read" },
    answered,
    item: { shape: pointer, about: "where the thing stands in the answer; left out: the answer is the thing" },
    ...descriptionKeys,
  }),
  (read): Resolve["then"][number] | undefined =>
    read.request === undefined
      ? undefined
      : {
          request: read.request,
          ...descriptionOf(read),
          ...(read.item === undefined ? {} : { item: read.item }),
          ...(read.pages === undefined ? {} : { pages: read.pages }),
          ...(read.answered === undefined ? {} : { answered: read.answered }),
        },
);

const thenSteps: Shape<Resolve["then"]> = {
  schema: { anyOf: [thenBlock.schema, { type: "array", items: thenBlock.schema, maxItems: 4 }] },
  read: (node, problems) => {
    const read = (node.kind === "list" ? node.items : [node]).map((one) => thenBlock.read(one, problems));
    return read.flatMap((one) => (one === undefined ? [] : [one]));
  },
};

const idOf: Shape<Pointer | "target"> = {
  schema: { type: "string" },
  read: (node, problems) =>
    node.kind === "scalar" && node.text === "$target.value" ? "target" : pointer.read(node, problems),
};

export const resolve: Shape<Resolve> = built(
  block("resolve", {
    ...listingKeys,
    id: { shape: idOf, about: "its id, in the entry; or $target.value", missing: "write id: /id" },
    ...descriptionKeys,
    // biome-ignore lint/suspicious/noThenProperty: the manifest's own word for what comes next; nobody awaits this table
    then: { shape: thenSteps, about: "further requests with $resolved.id" },
  }),
  (read): Resolve | undefined => {
    const listing = listingOf(read);
    if (listing === undefined || read.id === undefined) return undefined;
    // biome-ignore lint/suspicious/noThenProperty: a list, never a function
    return { ...listing, ...descriptionOf(read), id: read.id, then: read.then ?? [] };
  },
);
