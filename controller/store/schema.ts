import {
  bigint,
  boolean,
  customType,
  doublePrecision,
  index,
  integer,
  jsonb,
  pgTable,
  primaryKey,
  text,
  timestamp,
  uniqueIndex,
} from "drizzle-orm/pg-core";

/**
 * Every table of the controller. Instants are UTC; sequences are JavaScript numbers (below 2^53).
 * What was signed is kept as the bytes or text that arrived, beside the columns it is searched by.
 */
const at = (name: string) => timestamp(name, { withTimezone: true, precision: 3, mode: "date" });
const count = (name: string) => bigint(name, { mode: "number" });
const bytes = customType<{ data: Uint8Array; driverData: Uint8Array }>({ dataType: () => "bytea" });

/** A site and what is released to it; its head is made from this row. */
export const sites = pgTable("sites", {
  site: text("site").primaryKey(),
  bundleHash: text("bundle_hash"),
  weightsHash: text("weights_hash"),
  createdAt: at("created_at").notNull().defaultNow(),
});

/** Newest signed head of a site. `sequence` is taken before signing, so two controllers never sign one sequence twice. */
export const heads = pgTable("heads", {
  site: text("site").primaryKey(),
  sequence: count("sequence").notNull(),
  issuedAt: at("issued_at").notNull(),
  /** Sequence the stored envelope was signed with; behind `sequence` while a newer one is being signed. */
  signedSequence: count("signed_sequence").notNull().default(0),
  envelope: text("envelope"),
});

export const agents = pgTable(
  "agents",
  {
    agent: text("agent").primaryKey(),
    site: text("site").notNull(),
    /** Raw Ed25519 public key, base64: verifies the agent's batches. */
    reportKey: text("report_key").notNull(),
    /** Grows when an agent of this name enrols with another report key: its sequences start again at 1. */
    incarnation: integer("incarnation").notNull().default(1),
    /** Every report up to and including this one is stored. */
    acknowledged: count("acknowledged").notNull().default(0),
    enrolledAt: at("enrolled_at").notNull().defaultNow(),
    certificateNotAfter: at("certificate_not_after"),
    revokedAt: at("revoked_at"),
    online: boolean("online").notNull().default(false),
    lastHeardAt: at("last_heard_at"),
    bootId: text("boot_id"),
    engine: text("engine"),
    mode: text("mode"),
    killed: boolean("killed"),
    bundleVersion: integer("bundle_version"),
    bundleHash: text("bundle_hash"),
    weightsVersion: integer("weights_version"),
    weightsHash: text("weights_hash"),
    /** The newer bundle or weights it would not take, and why. */
    refused: jsonb("refused"),
    heartbeat: jsonb("heartbeat"),
  },
  (table) => [index("agents_site").on(table.site)],
);

/** One-time, bound to a site. Only the hash is kept: reading the table enrols nobody. */
export const joinTokens = pgTable("join_tokens", {
  hash: text("hash").primaryKey(),
  site: text("site").notNull(),
  createdAt: at("created_at").notNull().defaultNow(),
  createdBy: text("created_by").notNull(),
  expiresAt: at("expires_at").notNull(),
  usedAt: at("used_at"),
  usedBy: text("used_by"),
});

/** Trust documents by version; the newest is the one in force. */
export const trusts = pgTable("trusts", {
  version: integer("version").primaryKey(),
  envelope: text("envelope").notNull(),
  storedAt: at("stored_at").notNull().defaultNow(),
});

/** Bundles and weights as published: the envelope's bytes, verbatim, by their SHA-256. */
export const releases = pgTable(
  "releases",
  {
    hash: text("hash").primaryKey(),
    kind: text("kind", { enum: ["bundle", "weights"] }).notNull(),
    version: integer("version").notNull(),
    sites: text("sites").array().notNull(),
    status: text("status", { enum: ["stored", "released"] }).notNull(),
    changelog: text("changelog").notNull(),
    envelope: bytes("envelope").notNull(),
    storedAt: at("stored_at").notNull().defaultNow(),
    storedBy: text("stored_by").notNull(),
  },
  (table) => [uniqueIndex("releases_version").on(table.kind, table.version)],
);

/** Strongest kill state of each scope, `<org>/<site>/<agent>`. */
export const killStates = pgTable("kill_states", {
  scope: text("scope").primaryKey(),
  site: text("site").notNull(),
  agent: text("agent").notNull(),
  epoch: count("epoch").notNull(),
  state: text("state", { enum: ["engaged", "armed"] }).notNull(),
  reason: text("reason").notNull(),
  by: text("by").notNull(),
  issuedAt: at("issued_at").notNull(),
  storedAt: at("stored_at").notNull().defaultNow(),
  envelope: text("envelope").notNull(),
});

/** Bookkeeping of every report that was stored: the key makes ingest idempotent. */
export const records = pgTable(
  "records",
  {
    agent: text("agent").notNull(),
    incarnation: integer("incarnation").notNull(),
    sequence: count("sequence").notNull(),
    kind: text("kind").notNull(),
    storedAt: at("stored_at").notNull().defaultNow(),
  },
  (table) => [primaryKey({ columns: [table.agent, table.incarnation, table.sequence] })],
);

/** Decision tokens. `token_json` is the exact text the agent hashed: replay reads this, search reads the columns. */
export const tokens = pgTable(
  "tokens",
  {
    decisionId: text("decision_id").primaryKey(),
    agent: text("agent").notNull(),
    site: text("site").notNull(),
    incarnation: integer("incarnation").notNull(),
    sequence: count("sequence").notNull(),
    hash: text("hash").notNull(),
    previous: text("previous").notNull(),
    decidedAt: at("decided_at").notNull(),
    verdict: text("verdict").notNull(),
    eventId: text("event_id").notNull(),
    score: doublePrecision("score").notNull(),
    token: jsonb("token").notNull(),
    tokenJson: text("token_json").notNull(),
  },
  (table) => [
    index("tokens_chain").on(table.agent, table.incarnation, table.sequence),
    index("tokens_decided_at").on(table.decidedAt, table.decisionId),
    index("tokens_verdict").on(table.verdict, table.decidedAt),
    index("tokens_event").on(table.eventId),
  ],
);

/** Newest reported state of each command. */
export const commands = pgTable(
  "commands",
  {
    commandId: text("command_id").primaryKey(),
    decisionId: text("decision_id").notNull(),
    agent: text("agent").notNull(),
    site: text("site").notNull(),
    incarnation: integer("incarnation").notNull(),
    /** Report sequence of the newest step: an older report never overwrites a newer one. */
    sequence: count("sequence").notNull(),
    action: text("action").notNull(),
    targetType: text("target_type").notNull(),
    targetValue: text("target_value").notNull(),
    connector: text("connector").notNull(),
    state: text("state").notNull(),
    at: at("at").notNull(),
    undoAt: at("undo_at"),
    attempts: integer("attempts").notNull(),
    verified: boolean("verified").notNull(),
    code: text("code"),
    detail: text("detail"),
    command: jsonb("command").notNull(),
  },
  (table) => [
    index("commands_decision").on(table.decisionId),
    index("commands_state").on(table.state, table.undoAt),
    index("commands_at").on(table.at, table.commandId),
  ],
);

export const commandSteps = pgTable(
  "command_steps",
  {
    agent: text("agent").notNull(),
    incarnation: integer("incarnation").notNull(),
    sequence: count("sequence").notNull(),
    commandId: text("command_id").notNull(),
    state: text("state").notNull(),
    at: at("at").notNull(),
    code: text("code"),
    detail: text("detail"),
  },
  (table) => [
    primaryKey({ columns: [table.agent, table.incarnation, table.sequence] }),
    index("command_steps_command").on(table.commandId),
  ],
);

/** What people asked of agents, and what came of it: the first answer of the agent it was for stands. */
export const orders = pgTable(
  "orders",
  {
    orderId: text("order_id").primaryKey(),
    agent: text("agent").notNull(),
    site: text("site").notNull(),
    kind: text("kind").notNull(),
    commandId: text("command_id"),
    connector: text("connector"),
    ttlSeconds: integer("ttl_seconds"),
    by: text("by").notNull(),
    reason: text("reason").notNull(),
    issuedAt: at("issued_at").notNull(),
    expiresAt: at("expires_at").notNull(),
    state: text("state", { enum: ["sent", "done", "refused"] }).notNull(),
    answeredAt: at("answered_at"),
    code: text("code"),
    detail: text("detail"),
  },
  (table) => [index("orders_issued_at").on(table.issuedAt, table.orderId), index("orders_command").on(table.commandId)],
);

/** From agents (with their report sequence) and from analysts (without). */
export const feedback = pgTable(
  "feedback",
  {
    id: count("id").primaryKey().generatedAlwaysAsIdentity(),
    agent: text("agent"),
    incarnation: integer("incarnation"),
    sequence: count("sequence"),
    decisionId: text("decision_id").notNull(),
    outcome: text("outcome").notNull(),
    verdict: text("verdict").notNull(),
    verdictSource: text("verdict_source").notNull(),
    analyst: text("analyst"),
    decidedAt: at("decided_at").notNull(),
    storedAt: at("stored_at").notNull().defaultNow(),
    body: jsonb("body").notNull(),
  },
  (table) => [
    uniqueIndex("feedback_report").on(table.agent, table.incarnation, table.sequence),
    index("feedback_decision").on(table.decisionId),
    index("feedback_stored_at").on(table.storedAt),
  ],
);

export const deadLetters = pgTable(
  "dead_letters",
  {
    agent: text("agent").notNull(),
    site: text("site").notNull(),
    incarnation: integer("incarnation").notNull(),
    sequence: count("sequence").notNull(),
    at: at("at").notNull(),
    source: text("source").notNull(),
    code: text("code").notNull(),
    detail: text("detail").notNull(),
    bytes: count("bytes").notNull(),
    sha256: text("sha256").notNull(),
  },
  (table) => [
    primaryKey({ columns: [table.agent, table.incarnation, table.sequence] }),
    index("dead_letters_at").on(table.at),
  ],
);

/** What people should know, gaps included: a gap is an alarm named `gap` with its range in the detail. */
export const agentEvents = pgTable(
  "agent_events",
  {
    agent: text("agent").notNull(),
    site: text("site").notNull(),
    incarnation: integer("incarnation").notNull(),
    sequence: count("sequence").notNull(),
    at: at("at").notNull(),
    level: text("level").notNull(),
    name: text("name").notNull(),
    code: text("code"),
    detail: text("detail").notNull(),
  },
  (table) => [
    primaryKey({ columns: [table.agent, table.incarnation, table.sequence] }),
    index("agent_events_at").on(table.at),
  ],
);

/** Reports that are signed and in order but cannot be read: kept as they came, so the agent can go on and a person can look. */
export const quarantine = pgTable(
  "quarantine",
  {
    sha256: text("sha256").primaryKey(),
    agent: text("agent").notNull(),
    at: at("at").notNull().defaultNow(),
    code: text("code").notNull(),
    detail: text("detail").notNull(),
    /** The text, cut at 64 kB; base64 where it is not text PostgreSQL can hold. */
    content: text("content").notNull(),
    seen: integer("seen").notNull().default(1),
  },
  (table) => [index("quarantine_agent").on(table.agent, table.at)],
);

/** Who did what; written in the same statement as what was done. */
export const audit = pgTable(
  "audit",
  {
    id: count("id").primaryKey().generatedAlwaysAsIdentity(),
    at: at("at").notNull().defaultNow(),
    actor: text("actor").notNull(),
    action: text("action").notNull(),
    subject: text("subject").notNull(),
    detail: jsonb("detail").notNull(),
  },
  (table) => [index("audit_at").on(table.at)],
);

/** One row while reports are mirrored to a SIEM: whichever controller stores a report also leaves it in the outbox. */
export const siemMirrors = pgTable("siem_mirrors", {
  name: text("name").primaryKey(),
  since: at("since").notNull().defaultNow(),
});

/** What the SIEM does not have yet. A row goes when the SIEM has it; what commits late is simply read later. */
export const siemOutbox = pgTable(
  "siem_outbox",
  {
    id: count("id").primaryKey().generatedAlwaysAsIdentity(),
    kind: text("kind", { enum: ["command", "feedback"] }).notNull(),
    /** Null for what analysts said at the controller. */
    agent: text("agent"),
    site: text("site"),
    incarnation: integer("incarnation"),
    sequence: count("sequence"),
    storedAt: at("stored_at").notNull().defaultNow(),
    /** The report's JSON. */
    body: text("body").notNull(),
  },
  (table) => [index("siem_outbox_kind").on(table.kind, table.id)],
);

/** What the SIEM refuses for good, with its reason; a person may have it tried again. */
export const siemDeadLetters = pgTable("siem_dead_letters", {
  id: count("id").primaryKey(),
  kind: text("kind", { enum: ["command", "feedback"] }).notNull(),
  agent: text("agent"),
  site: text("site"),
  incarnation: integer("incarnation"),
  sequence: count("sequence"),
  storedAt: at("stored_at").notNull(),
  body: text("body").notNull(),
  refusedAt: at("refused_at").notNull().defaultNow(),
  reason: text("reason").notNull(),
});

/** Leadership by name. The fencing token grows with every change of holder; writes of a leader check it. */
export const leaderships = pgTable("leaderships", {
  name: text("name").primaryKey(),
  holder: text("holder").notNull(),
  token: count("token").notNull(),
  expiresAt: at("expires_at").notNull(),
});
