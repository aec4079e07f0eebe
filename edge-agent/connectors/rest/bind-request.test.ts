import fc from "fast-check";
import { XMLParser, XMLValidator } from "fast-xml-parser";
import { describe, expect, test } from "vitest";
import { bindRequest } from "./bind-request.ts";
import type { RequestTemplate } from "./manifest.ts";
import { manifestOf } from "./rest-fixture.ts";
import type { Json } from "./value.ts";

const manifest = (request: string): string => `
manifest: 1
name: test
about: test
auth: none
actions:
  isolate_host:
    targets: [host]
    apply: { request: ${request} }
    verify: { request: { method: GET, path: [a] }, present: { where: { /a: 1 } }, absent: { where: { /a: 2 } } }
    undo: { request: { method: POST, path: [a] } }
`;

const templates = new Map<string, RequestTemplate>();
const templateOf = (request: string): RequestTemplate => {
  const template = templates.get(request) ?? manifestOf(manifest(request)).actions.isolate_host?.apply.request;
  if (template === undefined) throw new Error("no request");
  templates.set(request, template);
  return template;
};

const bound = (request: string, value: Json, baseUrl = "https://fw.example:8443/root") => {
  const template = templateOf(request);
  return bindRequest(
    template,
    new Map<string, Json>([
      ["target.value", value],
      ["reason", value],
      ["command.id", "id"],
    ]),
    baseUrl,
  );
};

/** What has broken out of requests before, and everything else. */
const value = fc.oneof(
  fc.string(),
  fc.string({ unit: "binary" }),
  fc.string({ unit: "grapheme" }),
  fc
    .array(
      fc.constantFrom(
        "\r\n",
        "\n",
        "\0",
        "..",
        "/",
        "\\",
        "%2F",
        "%2e%2e",
        "%",
        "?",
        "#",
        "&",
        "=",
        ";",
        ":",
        "@",
        "'",
        '"',
        "<",
        ">",
        "]]>",
        "<!--",
        "&amp;",
        "{",
        "}",
        "[",
        "]",
        ",",
        " ",
        "+",
        "a",
        "é",
        "\u2028",
        "\ud800",
        "\u202e",
        "x\r\nHost: evil",
      ),
      { maxLength: 8 },
    )
    .map((parts) => parts.join("")),
);
const runs = { numRuns: 2_000 };

describe("no value changes what a request asks for", () => {
  test("a segment stays one segment, of that very text, or nothing is sent", () => {
    fc.assert(
      fc.property(value, (text) => {
        const request = bound("{ method: GET, path: [api, $target.value, end] }", text);
        if (!request.ok)
          return request.error.code === "target-unresolved" && (!text.isWellFormed() || ["", ".", ".."].includes(text));
        const url = new URL(request.value.url);
        const segments = url.pathname.split("/");
        return (
          url.origin === "https://fw.example:8443" &&
          url.search === "" &&
          url.hash === "" &&
          segments.length === 5 &&
          decodeURIComponent(segments[3] ?? "") === text &&
          segments[4] === "end"
        );
      }),
      runs,
    );
  });

  test("a parameter stays one parameter, in the query and in a form", () => {
    fc.assert(
      fc.property(value, (text) => {
        const request = bound(
          "{ method: POST, path: [a], query: { q: $target.value, z: 1 }, form: { f: $target.value, z: 1 } }",
          text,
        );
        if (!request.ok) return !text.isWellFormed();
        const read = (found: URLSearchParams): boolean =>
          JSON.stringify([...found]) ===
          JSON.stringify([
            [found === query ? "q" : "f", text],
            ["z", "1"],
          ]);
        const query = new URL(request.value.url).searchParams;
        return read(query) && read(new URLSearchParams(request.value.body)) && !/[\r\n]/.test(request.value.body ?? "");
      }),
      runs,
    );
  });

  test("JSON keeps its structure and the very text", () => {
    fc.assert(
      fc.property(value, (text) => {
        const request = bound(
          '{ method: POST, path: [a], json: { ip: [$target.value], note: { join: ["Reflex ", $reason] }, "z": 1 } }',
          text,
        );
        if (!request.ok) return !text.isWellFormed();
        expect(JSON.parse(request.value.body ?? "")).toEqual({ ip: [text], note: `Reflex ${text}`, z: 1 });
        return true;
      }),
      runs,
    );
  });

  test("each document of NDJSON stays one line", () => {
    fc.assert(
      fc.property(value, (text) => {
        const request = bound(
          "{ method: POST, path: [a], ndjson: [{ create: { _id: $target.value } }, { v: $target.value }] }",
          text,
        );
        const lines = request.ok ? (request.value.body ?? "").split("\n") : [];
        return (
          !request.ok ||
          (lines.length === 3 &&
            lines[2] === "" &&
            lines.slice(0, 2).every((line) => typeof JSON.parse(line) === "object"))
        );
      }),
      runs,
    );
  });

  test("XML keeps its elements and the very text, or nothing is sent", () => {
    const reader = new XMLParser({
      ignoreAttributes: false,
      attributeNamePrefix: "@",
      parseTagValue: false,
      parseAttributeValue: false,
      trimValues: false,
    });
    fc.assert(
      fc.property(value, (text) => {
        const request = bound(
          '{ method: POST, path: [a], xml: { m: { "@v": $target.value, e: [{ "#text": $target.value, "@z": 1 }, b] } } }',
          text,
        );
        // biome-ignore lint/suspicious/noControlCharactersInRegex: what XML cannot hold
        if (!request.ok) return /[\u0000-\u0008\u000b\u000c\u000e-\u001f\ufffe\uffff]|\p{Cs}/u.test(text);
        const body = request.value.body ?? "";
        if (XMLValidator.validate(body) !== true) return false;
        const { m, ...rest } = reader.parse(body) as {
          m: { "@v"?: string; e: [{ "#text"?: string; "@z": string }, string] };
        };
        const [first, second] = m.e;
        // Only what the manifest wrote is markup: the tags are the same whatever the text was.
        const tags = body.match(/<[^<>]*>/g)?.map((tag) => /<\/?[?\w]+/.exec(tag)?.[0]);
        return (
          JSON.stringify(Object.keys(rest)) === JSON.stringify(["?xml"]) &&
          second === "b" &&
          first["@z"] === "1" &&
          JSON.stringify(tags) === JSON.stringify(["<?xml", "<m", "<e", "</e", "<e", "</e", "</m"])
        );
      }),
      runs,
    );
  });

  test("XML inside a form is one field and escaped twice", () => {
    const request = bound(
      '{ method: POST, path: [a], form: { type: user-id, cmd: { xml: { entry: { "@ip": $target.value } } } } }',
      "\"/><evil a='&",
    );
    const fields = new URLSearchParams(request.ok ? request.value.body : "");
    expect([...fields]).toEqual([
      ["type", "user-id"],
      ["cmd", '<entry ip="&quot;/&gt;&lt;evil a=&apos;&amp;"></entry>'],
    ]);
  });

  test("a header is one line of visible ASCII, or nothing is sent", () => {
    fc.assert(
      fc.property(value, (text) => {
        const request = bound("{ method: GET, path: [a], headers: { x-target: $target.value, x-z: z } }", text);
        if (!request.ok) return !/^[\x20-\x7e]*$/.test(text);
        return (
          request.value.headers["x-target"] === text &&
          Object.keys(request.value.headers).length === 2 &&
          /^[\x20-\x7e]*$/.test(text)
        );
      }),
      runs,
    );
  });

  test("a text for a query language holds only what its pattern lets through", () => {
    fc.assert(
      fc.property(value, (text) => {
        const request = bound(
          `{ method: GET, path: [a], query: { filter: { quoted: $target.value, matching: "^[A-Za-z0-9._-]{1,255}$", as: "hostname:'%'" } } }`,
          text,
        );
        const isPlain = /^[A-Za-z0-9._-]{1,255}$/.test(text) && !text.includes("\n");
        return (
          request.ok === isPlain &&
          (!request.ok || new URL(request.value.url).searchParams.get("filter") === `hostname:'${text}'`)
        );
      }),
      runs,
    );
  });

  test("lists and blocks cannot stand where a text is needed", () => {
    for (const path of [
      "{ method: GET, path: [$target.value] }",
      "{ method: GET, path: [a], headers: { x-a: $target.value } }",
      "{ method: GET, path: [a], query: { q: [$target.value] } }",
    ]) {
      expect(bound(path, { $ne: 1 }).ok).toBe(false);
      expect(bound(path, [["x"]]).ok).toBe(false);
    }
  });
});

test("lists give their name several times, or numbers", () => {
  const request = bound(
    "{ method: POST, path: [a, ''], query: { id: $target.value }, form: { GroupId: { numbered: $target.value } } }",
    ["sg-1", "sg-2"],
  );
  expect(request).toMatchObject({
    ok: true,
    value: { url: "https://fw.example:8443/root/a/?id=sg-1&id=sg-2", body: "GroupId.1=sg-1&GroupId.2=sg-2" },
  });
});

test("a choice that the manifest does not name is refused", () => {
  const by = `{ method: POST, path: [a], json: { kind: { by: $target.value, "4": ip, "6": ip6 } } }`;
  expect(bound(by, 6)).toMatchObject({ ok: true, value: { body: '{"kind":"ip6"}' } });
  expect(bound(by, 5).ok).toBe(false);
  expect(bound(by, "constructor").ok).toBe(false);
});
