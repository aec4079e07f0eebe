import type { TSchema } from "typebox";
import { Compile } from "typebox/compile";

/** One kind of source or connector: an object with `kind` fixed. */
type Kinds = { readonly anyOf: readonly TSchema[] };

/**
 * What is wrong with the entries of a list whose `kind` says what they are, judged by their own kind alone: all kinds tried in
 * turn would blame the entry for not being the first of them. Undefined where nothing is.
 */
export const faultInEntries = (field: string, entries: unknown, kinds: Kinds): string | undefined => {
  if (!Array.isArray(entries)) return undefined;
  for (const [index, entry] of entries.entries()) {
    const where = `/${field}/${index}`;
    const kind: unknown = typeof entry === "object" && entry !== null && "kind" in entry ? entry.kind : undefined;
    const own = kinds.anyOf.find((schema) => kindOf(schema) === kind);
    if (kind === undefined || own === undefined) {
      return `${where}/kind must be one of ${kinds.anyOf.map(kindOf).join(", ")}`;
    }
    const [first] = Compile(own).Errors(entry);
    if (first === undefined) continue;
    const { params } = first;
    const unknown = "additionalProperties" in params ? `: ${String(params.additionalProperties)}` : "";
    const allowed = "allowedValues" in params ? `: ${String(params.allowedValues)}` : "";
    return `${where}${first.instancePath} ${first.message}${unknown}${allowed}`;
  }
  return undefined;
};

const kindOf = (schema: TSchema): unknown => {
  const properties: unknown = "properties" in schema ? schema.properties : undefined;
  const kind: unknown =
    typeof properties === "object" && properties !== null && "kind" in properties ? properties.kind : {};
  return typeof kind === "object" && kind !== null && "const" in kind ? kind.const : undefined;
};
