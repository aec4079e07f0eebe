import fc from "fast-check";
import { Reader } from "protobufjs";
import { describe, expect, test } from "vitest";
import { type GrpcMethod, readProtos } from "./proto-set.ts";

const proto = `
syntax = "proto3";
package p;
import "google/protobuf/empty.proto";
enum Verdict { NONE = 0; BLOCK = 1; }
message Inner { string text = 1; repeated Inner more = 2; }
message Asked {
  string text = 1;
  uint32 count = 2;
  Verdict verdict = 3;
  Inner inner = 4;
  map<string, string> labels = 5;
  uint64 long = 6;
  repeated string list = 7;
}
service S {
  rpc Do(Asked) returns (Asked);
  rpc Watch(Asked) returns (stream Asked);
  rpc Send(stream Asked) returns (Asked);
  rpc Empty(google.protobuf.Empty) returns (google.protobuf.Empty);
}`;
const protos = readProtos([proto]);
if (!protos.ok) throw new Error(protos.error.detail);
const method = (name: string): GrpcMethod => {
  const found = protos.value.method(`p.S/${name}`);
  if (!found.ok) throw new Error(found.error.detail);
  return found.value;
};

/** An empty one is the default and is not sent. */
const anyText = fc.string({ unit: "grapheme", minLength: 1 });

describe("a message is what its proto file says", () => {
  test("methods are found by their full name, with the kind of their answer", () => {
    expect([method("Do"), method("Watch")].map(({ path, isServerStream }) => [path, isServerStream])).toEqual([
      ["/p.S/Do", false],
      ["/p.S/Watch", true],
    ]);
    expect(method("Empty").encode({})).toHaveLength(0);
    for (const [name, why] of [
      ["p.S/Nothing", "the service has Do, Watch, Send, Empty"],
      ["p.T/Do", "no such service"],
      ["p.S/Send", "a stream of requests"],
      ["p.S", "package.Service/Method"],
    ] as const)
      expect(protos.value.method(name)).toMatchObject({ ok: false, error: { detail: expect.stringContaining(why) } });
  });

  test.each([
    [{ text: "a", count: 1, verdict: "BLOCK", inner: { text: "b", more: [{ text: "c" }] } }, undefined],
    [{ labels: { a: "b" }, long: 2 ** 40, list: ["x"] }, undefined],
    [{ texd: "a" }, "Asked has no field texd"],
    [{ inner: { texd: "a" } }, "Inner has no field texd"],
    [{ inner: { more: [{ text: "a" }, { texd: "b" }] } }, "Inner has no field texd"],
    [{ text: 5 }, "text: string expected"],
    [{ count: "5" }, "count: integer expected"],
    [{ count: 1.5 }, "count: integer expected"],
    [{ verdict: "ALLOW" }, "verdict: enum value expected"],
    [{ inner: "a" }, "Inner: not a message"],
    [{ inner: { more: { text: "a" } } }, "Inner.more is a list"],
    [{ list: "a" }, "list: array expected"],
    [{ text: null }, "Asked.text has no value"],
    ["text", "Asked: not a message"],
    [{ __proto__: { text: "a" }, toString: "a" }, "Asked has no field toString"],
  ])("%#: %j", (message, fault) => {
    expect(method("Do").faultOf(message)).toBe(fault);
  });

  test("whatever a text holds, another reader finds it in its field and nothing beside it", () => {
    fc.assert(
      fc.property(anyText, anyText, (text, inner) => {
        const bytes = method("Do").encode({ text, verdict: "BLOCK", inner: { text: inner } });
        const reader = Reader.create(bytes);
        const fields: [number, unknown][] = [];
        while (reader.pos < reader.len) {
          const tag = reader.uint32();
          fields.push([tag >>> 3, (tag & 7) === 0 ? reader.uint32() : reader.string()]);
        }
        const [innerBytes] = fields.filter(([number]) => number === 4).map(([, value]) => value);
        expect(fields.filter(([number]) => number !== 4)).toEqual([
          [1, text],
          [3, 1],
        ]);
        expect(String(innerBytes)).toContain(inner);
        expect(method("Do").decode(bytes)).toMatchObject({ text, verdict: "BLOCK", inner: { text: inner }, long: "0" });
      }),
    );
  });

  test("a proto file that is none says where", () => {
    expect(readProtos(["message {"])).toMatchObject({ ok: false, error: { code: "schema-invalid" } });
    expect(readProtos(['syntax = "proto3"; message A { Missing b = 1; }'])).toMatchObject({ ok: false });
  });
});
