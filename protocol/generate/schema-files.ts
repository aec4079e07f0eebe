import type { TSchema } from "typebox";
import { Bundle } from "../bundle.ts";
import { Command } from "../command.ts";
import { Detection } from "../detection.ts";
import { Envelope } from "../envelope.ts";
import { Feedback } from "../feedback.ts";
import { KillState } from "../kill.ts";
import { Order } from "../order.ts";
import { Acknowledgement, Batch } from "../report.ts";
import { Head, Heartbeat, SyncRequest, SyncResponse } from "../sync.ts";
import { Token } from "../token.ts";
import { Trust } from "../trust.ts";
import { Weights } from "../weights.ts";
import { jsonText } from "./json-text.ts";

const messages = {
  detection: ["Detection", Detection],
  command: ["Command", Command],
  feedback: ["Feedback", Feedback],
  bundle: ["Bundle", Bundle],
  weights: ["Weights", Weights],
  "kill-state": ["KillState", KillState],
  order: ["Order", Order],
  trust: ["Trust", Trust],
  head: ["Head", Head],
  envelope: ["Envelope", Envelope],
  "sync-request": ["SyncRequest", SyncRequest],
  "sync-response": ["SyncResponse", SyncResponse],
  heartbeat: ["Heartbeat", Heartbeat],
  batch: ["Batch", Batch],
  acknowledgement: ["Acknowledgement", Acknowledgement],
  token: ["Token", Token],
} as const satisfies Readonly<Record<string, readonly [title: string, schema: TSchema]>>;

/** Text of each protocol/schema/<name>.schema.json, by file name. */
export const schemaFiles = (): ReadonlyMap<string, string> =>
  new Map(
    Object.entries(messages).map(([name, [title, schema]]) => [`${name}.schema.json`, schemaFile(name, title, schema)]),
  );

const schemaFile = (name: string, title: string, schema: TSchema): string =>
  jsonText({
    $schema: "https://json-schema.org/draft/2020-12/schema",
    $id: `urn:reflex:v1:${name}`,
    title,
    // Through JSON: what TypeBox keeps beside the schema is not for others.
    ...(JSON.parse(JSON.stringify(schema)) as object),
  });
