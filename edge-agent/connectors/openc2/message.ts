import { type Refusal, refusal } from "@reflex/protocol/refusal";
import { err, ok, type Result } from "@reflex/protocol/result";
import Type, { type Static } from "typebox";
import { Compile } from "typebox/compile";

/** OpenC2 Language Specification 1.0 §3.3.1, the part we send. */
export type OpenC2Command = {
  readonly action: "deny" | "allow" | "contain" | "delete" | "query";
  /** Exactly one property: the target type. */
  readonly target: Readonly<Record<string, unknown>>;
  readonly args?: Readonly<Record<string, unknown>>;
  readonly actuator?: Readonly<Record<string, unknown>>;
  /** The identity of the command, the same for each try; §3.3.1: no white space, at most 36 characters. */
  readonly command_id?: string;
};

export type MessageHeaders = {
  /** New for each try, so that an answer that comes late is not taken for the answer to the next try. */
  readonly requestId: string;
  readonly createdMs: number;
  readonly from: string;
  readonly to?: string;
};

const Response = Type.Object({
  status: Type.Integer({ minimum: 100, maximum: 599 }),
  status_text: Type.Optional(Type.String()),
  results: Type.Optional(Type.Record(Type.String(), Type.Unknown())),
});
export type OpenC2Response = Static<typeof Response>;

const Answer = Compile(
  Type.Object({
    headers: Type.Optional(
      Type.Object({ request_id: Type.Optional(Type.String()), from: Type.Optional(Type.String()) }),
    ),
    body: Type.Object({ openc2: Type.Object({ response: Response }) }),
  }),
);

/** An answer of more is cut off: a result is a rule number or a list of features. */
export const messageBytesMax = 64 * 1_024;

/** The message of both transfer specifications (§3.3.2 of HTTPS 1.1, §2.4.2 of MQTT 1.0), as JSON. */
export const requestText = (command: OpenC2Command, { requestId, createdMs, from, to }: MessageHeaders): string =>
  JSON.stringify({
    headers: { request_id: requestId, created: createdMs, from, ...(to === undefined ? {} : { to: [to] }) },
    body: { openc2: { request: command } },
  });

export type ReadAnswer = {
  readonly response: OpenC2Response;
  readonly requestId?: string;
  readonly from?: string;
};

export const readAnswer = (bytes: Uint8Array): Result<ReadAnswer, Refusal> => {
  if (bytes.length > messageBytesMax) return err(refusal("too-large", `more than ${messageBytesMax} bytes`));
  let value: unknown;
  try {
    value = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(bytes));
  } catch {
    return err(refusal("json-malformed", "not JSON"));
  }
  if (!Answer.Check(value)) return err(refusal("schema-invalid", "not an OpenC2 response"));
  const { request_id: requestId, from } = value.headers ?? {};
  return ok({
    response: value.body.openc2.response,
    ...(requestId === undefined ? {} : { requestId }),
    ...(from === undefined ? {} : { from }),
  });
};
