import Type, { type Static } from "typebox";
import { Audience } from "./bundle.ts";
import { UtcTimestamp } from "./detection.ts";
import { sha256Pattern } from "./ids.ts";
import { weightsCellsMax } from "./limits.ts";
import { RecordOf } from "./record.ts";

/**
 * The learned confidence model, signed and versioned apart from the bundle.
 * Cells are decayed, shrunk Beta counts; the key is `<site>`, `<site>|<source>|<rule>` or `<site>|<source>|<rule>|<class>`.
 */
export const Weights = Type.Object(
  {
    v: Type.Literal(1),
    kind: Type.Literal("weights"),
    aud: Audience,
    version: Type.Integer({ minimum: 0 }),
    parent: Type.Optional(Type.String({ pattern: sha256Pattern })),
    issued_at: UtcTimestamp,
    /** Strength of the vendor's or default confidence as prior (pseudo-counts). */
    prior_strength: Type.Number({ minimum: 0, maximum: 200 }),
    cells: RecordOf(
      "^.{1,512}$",
      Type.Object(
        {
          k: Type.Number({ minimum: 0 }),
          n: Type.Number({ minimum: 0 }),
          m: Type.Number({ minimum: 0, maximum: 200 }),
        },
        { additionalProperties: false },
      ),
      weightsCellsMax,
    ),
  },
  { additionalProperties: false },
);
export type Weights = Static<typeof Weights>;

/** Before any feedback: no cells, so calibrated confidence is the prior itself. A cold start asks, it does not act. */
export const emptyWeights = (org: string): Weights => ({
  v: 1,
  kind: "weights",
  aud: { org, sites: ["*"] },
  version: 0,
  issued_at: "2000-01-01T00:00:00.000Z",
  prior_strength: 5,
  cells: {},
});
