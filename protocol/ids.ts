import Type from "typebox";

/** Branded ids: a decision's id cannot be handed where a command's is wanted. Made at the gate or by the constructors below, nowhere else. */
declare const brand: unique symbol;
type Branded<T, B extends string> = T & { readonly [brand]: B };

export type DecisionId = Branded<string, "DecisionId">;
export type CommandId = Branded<string, "CommandId">;

/** One topic level: org, site and agent names. No dots (RabbitMQ maps "/" to "."), no wildcards. */
export const segmentPattern = "^[a-z0-9_-]{1,48}$";
export const uuidV7Pattern = "^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$";
export const sha256Pattern = "^[0-9a-f]{64}$";
/** layer/name, the path of the policy file without its ending. */
export const policyIdPattern = "^(global|domain|contextual|action)/[a-z0-9][a-z0-9_-]{0,79}$";

const segment = new RegExp(segmentPattern);
export const isSegment = (value: string): boolean => segment.test(value);

const hex: readonly string[] = Array.from({ length: 256 }, (_, byte) => byte.toString(16).padStart(2, "0"));

/**
 * UUIDv7 (RFC 9562 §5.7) from a time in ms and 10 random bytes, both handed in.
 * Sorts by time, so journal pages and PostgreSQL indexes stay append-mostly.
 */
export const uuidV7 = (nowMs: number, random: Uint8Array): string => {
  const byte = (index: number): number => random[index] ?? 0;
  const time = Math.max(0, Math.floor(nowMs)).toString(16).padStart(12, "0").slice(-12);
  const versionHigh = hex[0x70 | (byte(0) & 0x0f)];
  const variantHigh = hex[0x80 | (byte(2) & 0x3f)];
  const tail = `${hex[byte(4)]}${hex[byte(5)]}${hex[byte(6)]}${hex[byte(7)]}${hex[byte(8)]}${hex[byte(9)]}`;
  return `${time.slice(0, 8)}-${time.slice(8)}-${versionHigh}${hex[byte(1)]}-${variantHigh}${hex[byte(3)]}-${tail}`;
};

/** Schemas of the ids: what passes the gate carries the brand. */
export const DecisionId = Type.Unsafe<DecisionId>(Type.String({ pattern: uuidV7Pattern }));
export const CommandId = Type.Unsafe<CommandId>(Type.String({ pattern: uuidV7Pattern }));

export const newDecisionId = (nowMs: number, random: Uint8Array): DecisionId => uuidV7(nowMs, random) as DecisionId;
export const newCommandId = (nowMs: number, random: Uint8Array): CommandId => uuidV7(nowMs, random) as CommandId;
