import { type Refusal, refusal } from "@reflex/protocol/refusal";
import { err, ok, type Result } from "@reflex/protocol/result";
import protobuf from "protobufjs";

export type GrpcMethod = {
  /** `/package.Service/Method` */
  readonly path: string;
  readonly isServerStream: boolean;
  /** Says which field is wrong, or undefined. A field that the proto file does not have is wrong. */
  readonly faultOf: (message: unknown) => string | undefined;
  /** The same for names alone, before there are values. */
  readonly unknownField: (tree: FieldTree) => string | undefined;
  readonly encode: (message: Readonly<Record<string, unknown>>) => Uint8Array;
  /** Every field present (defaults filled in), 64-bit numbers as text, enum values by name. Throws for what is not this message. */
  readonly decode: (bytes: Uint8Array) => Readonly<Record<string, unknown>>;
};

/** Names of fields; undefined where only a value will say more. */
export type FieldTree = ReadonlyMap<string, FieldTree> | readonly FieldTree[] | undefined;

export type ProtoSet = { readonly method: (fullName: string) => Result<GrpcMethod, Refusal> };

/** Proto files are small; a nested message deeper than this is not a command. */
const depthMax = 16;

const readable = {
  longs: String,
  enums: String,
  bytes: String,
  defaults: true,
  arrays: true,
  objects: true,
} as const satisfies protobuf.IConversionOptions;

/** The messages and services of one or more .proto texts that may import each other and google/protobuf. */
export const readProtos = (texts: readonly string[]): Result<ProtoSet, Refusal> => {
  const root = new protobuf.Root();
  try {
    const imports = texts.flatMap((text) => protobuf.parse(text, root, { keepCase: true }).imports ?? []);
    for (const name of new Set(imports)) {
      const wellKnown = protobuf.common.get(name)?.nested;
      if (wellKnown !== undefined) root.addJSON(wellKnown);
    }
    root.resolveAll();
  } catch (cause) {
    return err(refusal("schema-invalid", `proto file: ${messageOf(cause)}`));
  }
  return ok({ method: (fullName) => methodOf(root, fullName) });
};

const methodOf = (root: protobuf.Root, fullName: string): Result<GrpcMethod, Refusal> => {
  const wrong = (what: string): Result<never, Refusal> => err(refusal("schema-invalid", `${fullName}: ${what}`));
  const [serviceName, methodName, ...more] = fullName.split("/");
  if (serviceName === undefined || methodName === undefined || more.length > 0)
    return wrong("write the method as package.Service/Method");
  const service = root.lookup(serviceName, protobuf.Service);
  if (!(service instanceof protobuf.Service)) return wrong("no such service in the proto files");
  const method = service.methods[methodName];
  if (method === undefined) return wrong(`the service has ${Object.keys(service.methods).join(", ")}`);
  if (method.requestStream === true) return wrong("a stream of requests cannot carry one command");
  const { resolvedRequestType: asked, resolvedResponseType: answer } = method;
  if (asked === null || answer === null) return wrong("its messages are not in the proto files");
  return ok({
    path: `/${service.fullName.replace(/^\./, "")}/${method.name}`,
    isServerStream: method.responseStream === true,
    faultOf: (message) => unknownFieldIn(asked, message, 0) ?? asked.verify(withNumbers(asked, message)) ?? undefined,
    unknownField: (tree) => unknownNameIn(asked, tree),
    encode: (message) => asked.encode(asked.fromObject(message)).finish(),
    decode: (bytes) => answer.toObject(answer.decode(bytes), readable),
  });
};

/** `verify` passes over fields that it does not know; a misspelt one would silently not be sent. */
const unknownFieldIn = (type: protobuf.Type, value: unknown, depth: number): string | undefined => {
  if (depth > depthMax) return "nests too deep";
  if (typeof value !== "object" || value === null || Array.isArray(value)) return `${type.name}: not a message`;
  for (const [name, inner] of Object.entries(value)) {
    const field = Object.hasOwn(type.fields, name) ? type.fields[name] : undefined;
    if (field === undefined) return `${type.name} has no field ${name}`;
    if (inner === undefined || inner === null) return `${type.name}.${name} has no value`;
    const message = field.resolve().resolvedType;
    if (!(message instanceof protobuf.Type)) continue;
    const parts =
      field instanceof protobuf.MapField ? Object.values(inner as object) : field.repeated ? inner : [inner];
    if (!Array.isArray(parts)) return `${type.name}.${name} is a list`;
    for (const part of parts) {
      const found = unknownFieldIn(message, part, depth + 1);
      if (found !== undefined) return found;
    }
  }
  return undefined;
};

/** `verify` knows enum values by number alone; a manifest writes their names, which encoding takes. */
const withNumbers = (type: protobuf.Type, message: unknown): Record<string, unknown> =>
  Object.fromEntries(
    Object.entries(message as object).map(([name, value]) => {
      const resolved = type.fields[name]?.resolve().resolvedType;
      const numbered = (part: unknown): unknown => {
        if (resolved instanceof protobuf.Type && !(type.fields[name] instanceof protobuf.MapField))
          return withNumbers(resolved, part);
        return resolved instanceof protobuf.Enum && typeof part === "string" && Object.hasOwn(resolved.values, part)
          ? resolved.values[part]
          : part;
      };
      return [name, Array.isArray(value) ? value.map(numbered) : numbered(value)];
    }),
  );

const unknownNameIn = (type: protobuf.Type, tree: FieldTree): string | undefined => {
  if (!(tree instanceof Map)) return undefined;
  for (const [name, inner] of tree as ReadonlyMap<string, FieldTree>) {
    const field = Object.hasOwn(type.fields, name) ? type.fields[name] : undefined;
    if (field === undefined) return `${type.name} has no field ${name}`;
    const message = field.resolve().resolvedType;
    if (!(message instanceof protobuf.Type) || field instanceof protobuf.MapField) continue;
    const found = (Array.isArray(inner) ? inner : [inner]).map((part) => unknownNameIn(message, part));
    const first = found.find((one) => one !== undefined);
    if (first !== undefined) return first;
  }
  return undefined;
};

const messageOf = (cause: unknown): string => (cause instanceof Error ? cause.message : String(cause)).slice(0, 256);
