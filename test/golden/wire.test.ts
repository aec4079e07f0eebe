import { payloadTypes, preAuthEncoding } from "@reflex/protocol/envelope";
import { enumNumbers, fieldNumbers, scalarNumbers } from "@reflex/protocol/field-numbers";
import { refusals } from "@reflex/protocol/refusal";
import { type AgentAddress, type TopicName, topicOf, topicRules } from "@reflex/protocol/topics";
import { describe, expect, test } from "vitest";
import { goldenJson } from "./fixture.ts";

type Numbers = Readonly<Record<string, Readonly<Record<string, number>>>>;
const golden = goldenJson<{ readonly fields: Numbers; readonly enums: Numbers }>("numbers");
const now: { readonly fields: Numbers; readonly enums: Numbers } = {
  fields: { ...fieldNumbers, Scalar: scalarNumbers },
  enums: enumNumbers,
};

describe.each(["fields", "enums"] as const)("protobuf %s", (part) => {
  test.each(Object.entries(golden[part]))("%s: a number once given is never changed or taken away", (name, numbers) => {
    expect(now[part][name]).toMatchObject(numbers);
  });

  test.each(Object.entries(now[part]))(
    "%s: a new number is put on record in numbers.json, at its end",
    (name, numbers) => {
      expect(golden[part][name]).toEqual(numbers);
      const known = Object.values(golden[part][name] ?? {});
      expect(Math.max(...known)).toBeGreaterThanOrEqual(known.length);
    },
  );
});

describe("words on the wire", () => {
  test.each(goldenJson<readonly string[]>("refusal-codes"))("%s is a refusal code for ever", (code) => {
    expect(Object.keys(refusals)).toContain(code);
  });

  const { address, topics } = goldenJson<{
    readonly address: AgentAddress;
    readonly topics: Readonly<Record<TopicName, string>>;
  }>("topics");

  test.each(Object.keys(topicRules) as TopicName[])("the topic of %s is spelt as it was", (name) => {
    expect(topicOf[name](address)).toBe(topics[name]);
  });
});

describe("what is signed", () => {
  const encodings =
    goldenJson<readonly { readonly payload_type: string; readonly payload: string; readonly hex: string }[]>(
      "pre-auth-encoding",
    );

  test.each(encodings)("the bytes under a signature of $payload_type", ({ payload_type, payload, hex }) => {
    const bytes = preAuthEncoding(payload_type, new TextEncoder().encode(payload));
    expect(Buffer.from(bytes).toString("hex")).toBe(hex);
  });

  test("the first is the example of the DSSE specification; every kind of payload has one", () => {
    expect(Buffer.from(encodings[0]?.hex ?? "", "hex").toString()).toBe(
      "DSSEv1 29 http://example.com/HelloWorld 11 hello world",
    );
    expect(encodings.slice(1).map((one) => one.payload_type)).toEqual(Object.values(payloadTypes));
  });

  test("payload types are ASCII, so that their length is the same in characters and bytes", () => {
    for (const type of Object.values(payloadTypes)) expect(type).toMatch(/^[\x21-\x7e]+$/);
  });
});
