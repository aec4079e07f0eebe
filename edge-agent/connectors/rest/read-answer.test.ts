import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { itemsAt } from "./match.ts";
import { type Pointer, parsePointer, valuesAt } from "./pointer.ts";
import { readAnswer } from "./read-answer.ts";
import { retryAfterMs } from "./retry-after.ts";
import { bindXml } from "./xml-text.ts";

const bytesOf = (text: string): Uint8Array => new TextEncoder().encode(text);
const read = (text: string, format: "json" | "xml" = "xml", status = 200) =>
  readAnswer({ status, headers: {}, bytes: bytesOf(text) }, format);
const content = (text: string, format: "json" | "xml" = "xml"): unknown => {
  const answer = read(text, format);
  return answer.ok ? answer.value.content : answer.error;
};
const pointer = (text: string): Pointer => {
  const parsed = parsePointer(text);
  if (parsed === undefined) throw new Error("no pointer");
  return parsed;
};

describe("an XML answer is elements and texts, and nothing it brings along", () => {
  test("attributes, texts and repeated elements", () => {
    expect(content('<?xml version="1.0"?><r status="ok"><e a="007">x &amp; y</e><e/></r>')).toEqual({
      r: { "@status": "ok", e: [{ "@a": "007", "#text": "x & y" }, ""] },
    });
  });

  test("entities of its own are not read, however they are written", () => {
    const bombs = [
      '<!DOCTYPE r [<!ENTITY a "b">]><r>&a;</r>',
      '<!doctype r SYSTEM "file:///etc/passwd"><r/>',
      `<!DOCTYPE l [<!ENTITY a "${"x".repeat(1_000)}">${"<!ENTITY b '&a;&a;'>".repeat(20)}]><l>&b;</l>`,
    ];
    for (const bomb of bombs) expect(read(bomb)).toMatchObject({ ok: false });
  });

  test("nesting is bounded, and what is no XML is no answer", () => {
    for (const text of ["<a>".repeat(400), `${"<a>".repeat(400)}${"</a>".repeat(400)}`, "<a", "{}", "<a></b>"])
      expect(read(text).ok).toBe(false);
  });

  test("whatever XML is written is read as what it was", () => {
    // Space around a text is nobody's data, in XML answers of products.
    const text = fc
      .string({ unit: "grapheme" })
      .filter((one) => one.trim() === one && one !== "" && !/[\p{Cc}\ufffe\uffff]/u.test(one));
    fc.assert(
      fc.property(text, (one) => {
        const written = bindXml(
          { kind: "map", entries: [["r", { kind: "literal", value: { "@a": one, e: one } }]] },
          new Map(),
        );
        return written.ok && JSON.stringify(content(written.value)) === JSON.stringify({ r: { e: one, "@a": one } });
      }),
      { numRuns: 500 },
    );
  });

  test("a list of none, one and two", () => {
    const items = (text: string) => {
      const answer = read(text);
      return answer.ok ? itemsAt(answer.value, pointer("/r/list/entry")) : undefined;
    };
    expect(items("<r><list/></r>")).toEqual([]);
    expect(items("<r></r>")).toEqual([]);
    expect(items("<r><list><entry>1</entry></list></r>")).toEqual(["1"]);
    expect(items("<r><list><entry>1</entry><entry>2</entry></list></r>")).toEqual(["1", "2"]);
    expect(items("<html><body/></html>")).toBeUndefined();
  });
});

describe("a JSON answer", () => {
  test("reading never throws, for any bytes", () => {
    fc.assert(
      fc.property(
        fc.oneof(fc.uint8Array(), fc.json().map(bytesOf)),
        fc.constantFrom("json", "xml", "none"),
        fc.integer({ min: 200, max: 599 }),
        (bytes, format, status) => {
          readAnswer({ status, headers: {}, bytes }, format);
        },
      ),
      { numRuns: 1_000 },
    );
  });

  test("what is there is there, and what JavaScript adds is not", () => {
    const answer = content('{"a":{"__proto__":{"x":1},"b":[1]}}', "json");
    expect(valuesAt(answer, pointer("/a/b/0"))).toEqual([1]);
    for (const text of ["/a/constructor", "/a/b/length", "/toString", "/a/b/-1", "/a/b/00", "/a/x"])
      expect(valuesAt(answer, pointer(text))).toEqual([]);
  });

  test("brackets inside texts do not count as nesting", () => {
    expect(read(JSON.stringify({ a: '[{"'.repeat(1_000) }), "json").ok).toBe(true);
    expect(read(`${"[".repeat(60)}${"]".repeat(60)}`, "json").ok).toBe(false);
  });
});

test("Retry-After is seconds or a date by the far end's own clock", () => {
  const nowMs = Date.parse("2026-01-31T12:00:00Z");
  const after = (written: string, date?: string) =>
    retryAfterMs({ "retry-after": written, ...(date === undefined ? {} : { date }) }, nowMs);
  expect(after("120")).toBe(120_000);
  expect(after("Sat, 31 Jan 2026 12:00:30 GMT")).toBe(30_000);
  expect(after("Sat, 31 Jan 2026 15:00:30 GMT", "Sat, 31 Jan 2026 15:00:00 GMT")).toBe(30_000);
  expect(after("Sat, 31 Jan 2026 11:00:00 GMT")).toBe(0);
  expect(after("999999999")).toBe(3_600_000);
  for (const nonsense of ["", "soon", "-5", "1e9"]) expect(after(nonsense)).toBeUndefined();
});
