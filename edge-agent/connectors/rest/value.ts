import type { Position } from "@reflex/policies/language/policy-error";

export type Scalar = string | number | boolean | null;
/** What is bound, kept and sent: JSON. */
export type Json = Scalar | readonly Json[] | { readonly [key: string]: Json };

/** A value as a manifest writes it; `bind.ts` makes JSON of it, once the references are known. */
export type Value =
  | { readonly kind: "literal"; readonly value: Json }
  | Reference
  | { readonly kind: "join"; readonly parts: readonly Value[] }
  | {
      readonly kind: "quoted";
      readonly value: Value;
      readonly matching: RegExp;
      readonly before: string;
      readonly after: string;
    }
  | { readonly kind: "by"; readonly value: Value; readonly cases: Readonly<Record<string, Value>> }
  | { readonly kind: "list"; readonly items: readonly Value[] }
  | { readonly kind: "map"; readonly entries: readonly (readonly [key: string, value: Value])[] }
  | {
      readonly kind: "change";
      readonly verb: "add" | "remove";
      readonly entry: Value;
      readonly list: Value;
      readonly at: Position;
    }
  | { readonly kind: "numbered"; readonly list: Value; readonly at: Position }
  | { readonly kind: "xml"; readonly tree: Value; readonly at: Position };

export type Reference = { readonly kind: "reference"; readonly path: string; readonly at: Position };

/** What `$…` may name whatever the manifest declares; `x` stands for declared names. */
export const fixedReferences = [
  "target.value",
  "target.type",
  "target.cidr",
  "target.family",
  "target.prefix_bits",
  "ttl_seconds",
  "reason",
  "action",
  "issued_at",
  "expires_at",
  "now",
  "command.id",
  "command.key",
  "decision.id",
] as const;
export const declaredRoots = ["settings", "secrets", "captured", "read", "found", "resolved"] as const;

/** The parts of a value, one level down. */
const partsOf = (value: Value): readonly Value[] => {
  switch (value.kind) {
    case "literal":
    case "reference":
      return [];
    case "join":
      return value.parts;
    case "quoted":
      return [value.value];
    case "by":
      return [value.value, ...Object.values(value.cases)];
    case "list":
      return value.items;
    case "map":
      return value.entries.map(([, part]) => part);
    case "change":
      return [value.entry, value.list];
    case "numbered":
      return [value.list];
    case "xml":
      return [value.tree];
  }
};

/** The value and everything in it. */
export const everyPart = (value: Value): readonly Value[] => [value, ...partsOf(value).flatMap(everyPart)];
