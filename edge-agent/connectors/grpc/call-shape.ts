import { block, type Shape, text } from "@reflex/policies/language/shape";
import { built, pointer } from "../rest/clause-shape.ts";
import type { RequestTemplate } from "../rest/manifest.ts";
import { value } from "../rest/value-shape.ts";

/** The method of a request that is a gRPC call; its path is the service and the method. */
export const callMethod = "CALL";

const callKeys = {
  call: {
    shape: text({
      expected: "package.Service/Method",
      pattern: "^[A-Za-z_][A-Za-z0-9_.]*/[A-Za-z_][A-Za-z0-9_]*$",
      lengthMax: 256,
    }),
    about: "the method: package.Service/Method, as in the proto file",
    missing: "write call: package.Service/Method",
  },
  message: {
    shape: value,
    about: "the fields of its request, by their names in the proto file",
    missing: "write message: { field: value }",
  },
  rows: {
    shape: pointer,
    about: "the field of each answered message that holds a JSON list as text; all of them together become /rows",
  },
} as const;

const callHints = {
  method: 'write "call"',
  json: 'write "message"',
  path: "a call has none; write call: package.Service/Method",
  headers: "write them in auth: at the top of the manifest",
} as const;

export const callRequest: Shape<RequestTemplate> = built(
  block("a call", callKeys, callHints),
  (read, node): RequestTemplate | undefined => {
    if (read.call === undefined || read.message === undefined) return undefined;
    return {
      at: node.at,
      method: callMethod,
      path: read.call.split("/").map((part) => ({ kind: "literal", value: part }) as const),
      query: [],
      headers: [],
      body: { kind: "json", value: read.message },
      ...(read.rows === undefined ? {} : { rows: read.rows }),
    };
  },
);

export const grpcBlock: Shape<{ readonly proto: string }> = built(
  block("grpc", {
    proto: {
      shape: text({ expected: "the text of a proto file", lengthMax: 32 * 1_024 }),
      about: "the part of the product's .proto that the calls need",
      missing: "write proto: | and the messages and the service",
    },
  }),
  (read) => (read.proto === undefined ? undefined : { proto: read.proto }),
);
