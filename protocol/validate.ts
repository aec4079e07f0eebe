import type { Static, TSchema } from "typebox";
import { Compile } from "typebox/compile";
import { Bundle } from "./bundle.ts";
import { Command } from "./command.ts";
import { Detection } from "./detection.ts";
import { Envelope } from "./envelope.ts";
import { Feedback } from "./feedback.ts";
import type { JsonSchema } from "./json-schema.ts";
import { KillState } from "./kill.ts";
import { reasonLengthMax } from "./limits.ts";
import { batchSense, bundleSense, killStateSense, orderSense, trustSense } from "./message-sense.ts";
import { Order } from "./order.ts";
import { type Refusal, refusal } from "./refusal.ts";
import { Acknowledgement, Batch } from "./report.ts";
import { err, ok, type Result } from "./result.ts";
import { schemaFault } from "./schema-fault.ts";
import { Head, Heartbeat, SyncRequest, SyncResponse } from "./sync.ts";
import { Token } from "./token.ts";
import { Trust } from "./trust.ts";
import { Weights } from "./weights.ts";

/** Unknown data is checked once, at the gate: in comes what parseJson read, out comes a message, the same object. */
export type Check<T> = (value: unknown) => Result<T, Refusal>;

/** `senseOf` says what makes no sense in a message of the right shape, as `<json pointer>: <what>`. */
export const checkOf = <const S extends TSchema>(
  schema: S,
  senseOf?: (message: Static<S>) => string | undefined,
): Check<Static<S>> => {
  let isMessage: ((value: unknown) => value is Static<S>) | undefined;
  return (value) => {
    // Compiled when first asked: compiling all of them would double the start time of a program that needs three.
    isMessage ??= compile(schema);
    if (!isMessage(value))
      return err(invalid(schemaFault(schema as JsonSchema, value) ?? "/: does not match the schema"));
    const senseless = senseOf?.(value);
    return senseless === undefined ? ok(value) : err(invalid(senseless));
  };
};

const compile = <S extends TSchema>(schema: S): ((value: unknown) => value is Static<S>) => {
  const validator = Compile(schema);
  return (value): value is Static<S> => validator.Check(value);
};

const invalid = (detail: string): Refusal =>
  refusal("schema-invalid", detail.length <= reasonLengthMax ? detail : `${detail.slice(0, reasonLengthMax - 1)}…`);

export const checkDetection: Check<Detection> = checkOf(Detection);
export const checkCommand: Check<Command> = checkOf(Command);
export const checkFeedback: Check<Feedback> = checkOf(Feedback);
export const checkBundle: Check<Bundle> = checkOf(Bundle, bundleSense);
export const checkWeights: Check<Weights> = checkOf(Weights);
export const checkKillState: Check<KillState> = checkOf(KillState, killStateSense);
export const checkOrder: Check<Order> = checkOf(Order, orderSense);
export const checkTrust: Check<Trust> = checkOf(Trust, trustSense);
export const checkHead: Check<Head> = checkOf(Head);
export const checkEnvelope: Check<Envelope> = checkOf(Envelope);
export const checkSyncRequest: Check<SyncRequest> = checkOf(SyncRequest);
export const checkSyncResponse: Check<SyncResponse> = checkOf(SyncResponse);
export const checkHeartbeat: Check<Heartbeat> = checkOf(Heartbeat);
export const checkBatch: Check<Batch> = checkOf(Batch, batchSense);
export const checkAcknowledgement: Check<Acknowledgement> = checkOf(Acknowledgement);
export const checkToken: Check<Token> = checkOf(Token);
