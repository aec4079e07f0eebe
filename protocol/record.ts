import Type, { type TSchema } from "typebox";

/**
 * An object whose keys are data. Every key must match the pattern: Type.Record alone takes any value under a key that does
 * not match, so one odd key would carry anything past the gate.
 */
export const RecordOf = <const Value extends TSchema>(keyPattern: string, value: Value, entriesMax?: number) =>
  Type.Record(Type.String({ pattern: keyPattern }), value, {
    additionalProperties: false,
    ...(entriesMax === undefined ? {} : { maxProperties: entriesMax }),
  });
