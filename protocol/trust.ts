import Type, { type Static } from "typebox";
import { UtcTimestamp } from "./detection.ts";
import { segmentPattern } from "./ids.ts";

const RoleKeySchema = Type.Object(
  { keyid: Type.String({ minLength: 1, maxLength: 128 }), public: Type.String({ pattern: "^[A-Za-z0-9+/]{43}=$" }) },
  { additionalProperties: false },
);
const Role = Type.Object(
  {
    threshold: Type.Integer({ minimum: 1, maximum: 16 }),
    keys: Type.Array(RoleKeySchema, { minItems: 1, maxItems: 16 }),
  },
  { additionalProperties: false },
);

/**
 * Which keys may say what (TUF roles with Uptane's director split). Signed by the root role; pinned at enrolment.
 * release: humans, offline, mint policy. head: the controller, online, only chooses among released things.
 * kill: engage with 1, release with `kill_release_threshold`.
 */
export const Trust = Type.Object(
  {
    v: Type.Literal(1),
    kind: Type.Literal("trust"),
    org: Type.String({ pattern: segmentPattern }),
    version: Type.Integer({ minimum: 1 }),
    issued_at: UtcTimestamp,
    roles: Type.Object(
      { root: Role, release: Role, head: Role, weights: Role, kill: Role },
      { additionalProperties: false },
    ),
    kill_release_threshold: Type.Integer({ minimum: 1, maximum: 16 }),
  },
  { additionalProperties: false },
);
export type Trust = Static<typeof Trust>;
