import { type Refusal, refusal } from "@reflex/protocol/refusal";
import { err, ok, type Result } from "@reflex/protocol/result";
import { type Bindings, bindValue, isScalar, textOf } from "./bind.ts";
import type { Json, Value } from "./value.ts";

/** One element as text. Names come from the manifest and were checked there; every text and attribute is escaped. */
export const bindXml = (tree: Value, bindings: Bindings): Result<string, Refusal> => {
  const bound = bindValue(tree, bindings);
  if (!bound.ok) return bound;
  try {
    return ok(contentOf(bound.value));
  } catch (error) {
    if (error instanceof Unfit)
      return err(refusal("target-unresolved", "the value has characters that XML cannot hold"));
    throw error;
  }
};

class Unfit extends Error {}

/** Characters of XML 1.0; the others cannot be written in it, not even escaped. */
const legal = /^[\t\n\r\u0020-\uD7FF\uE000-\uFFFD\u{10000}-\u{10FFFF}]*$/u;
const escapes: Readonly<Record<string, string>> = {
  "&": "&amp;",
  "<": "&lt;",
  ">": "&gt;",
  '"': "&quot;",
  "'": "&apos;",
  "\t": "&#9;",
  "\n": "&#10;",
  "\r": "&#13;",
};

const escaped = (text: string): string => {
  if (!legal.test(text)) throw new Unfit();
  return text.replace(/[&<>"'\t\n\r]/g, (one) => escapes[one] ?? "");
};

/** `{ a: { "@x": 1, "#text": t, b: [1, 2] } }` to `<a x="1">t<b>1</b><b>2</b></a>`. */
const contentOf = (content: Json): string => {
  if (isScalar(content)) return escaped(textOf(content));
  if (Array.isArray(content)) throw new Unfit();
  return Object.entries(content as { readonly [key: string]: Json })
    .filter(([name]) => !name.startsWith("@"))
    .map(([name, value]) => {
      if (name === "#text") return isScalar(value) ? escaped(textOf(value)) : contentOf(value);
      return (Array.isArray(value) ? (value as readonly Json[]) : [value]).map((one) => element(name, one)).join("");
    })
    .join("");
};

const element = (name: string, content: Json): string => {
  const attributes = isScalar(content)
    ? []
    : Object.entries(content as { readonly [key: string]: Json })
        .filter(([key]) => key.startsWith("@"))
        .map(([key, value]) => {
          if (!isScalar(value)) throw new Unfit();
          return ` ${key.slice(1)}="${escaped(textOf(value))}"`;
        });
  return `<${name}${attributes.join("")}>${contentOf(content)}</${name}>`;
};
