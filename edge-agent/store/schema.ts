/**
 * The journal's tables. A released step is never changed, only followed by another: an old journal is brought forward
 * one step at a time, and a journal from a newer agent is refused rather than guessed at.
 */
export const migrations: readonly string[] = [
  `
  -- What was decided, for deduplication and recent history. "id" only grows, so the oldest row is the first.
  CREATE TABLE decided (
    id INTEGER PRIMARY KEY,
    event_id TEXT NOT NULL UNIQUE,
    content_hash TEXT NOT NULL,
    at_ms INTEGER NOT NULL,
    rule_key TEXT NOT NULL,
    domain TEXT NOT NULL,
    entity_keys TEXT NOT NULL,
    verdict TEXT NOT NULL
  ) STRICT;
  CREATE INDEX decided_by_time ON decided (at_ms);

  CREATE TABLE tokens (
    sequence INTEGER PRIMARY KEY,
    decision_id TEXT NOT NULL,
    hash TEXT NOT NULL,
    at_ms INTEGER NOT NULL,
    json TEXT NOT NULL
  ) STRICT;
  CREATE INDEX tokens_by_decision ON tokens (decision_id);

  CREATE TABLE commands (
    command_id TEXT PRIMARY KEY,
    state TEXT NOT NULL,
    is_open INTEGER NOT NULL,
    at_ms INTEGER NOT NULL,
    json TEXT NOT NULL
  ) STRICT, WITHOUT ROWID;
  CREATE INDEX commands_open ON commands (command_id) WHERE is_open = 1;
  CREATE INDEX commands_by_time ON commands (at_ms);
  CREATE INDEX commands_by_state ON commands (state);

  -- Reports the controller has not acknowledged yet.
  CREATE TABLE reports (
    sequence INTEGER PRIMARY KEY,
    kind TEXT NOT NULL,
    body TEXT NOT NULL,
    bytes INTEGER NOT NULL
  ) STRICT;

  CREATE TABLE dead_letters (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    source TEXT NOT NULL,
    code TEXT NOT NULL,
    detail TEXT NOT NULL,
    at_ms INTEGER NOT NULL,
    bytes INTEGER NOT NULL,
    sha256 TEXT NOT NULL,
    raw BLOB NOT NULL
  ) STRICT;
  -- What is left of dead letters that had to make room.
  CREATE TABLE dead_letter_sums (
    source TEXT NOT NULL,
    code TEXT NOT NULL,
    count INTEGER NOT NULL,
    bytes INTEGER NOT NULL,
    first_ms INTEGER NOT NULL,
    last_ms INTEGER NOT NULL,
    PRIMARY KEY (source, code)
  ) STRICT, WITHOUT ROWID;

  CREATE TABLE marks (key TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT, WITHOUT ROWID;
  -- Numbers that must never fall back, even when the rows they count are gone.
  CREATE TABLE counters (key TEXT PRIMARY KEY, value INTEGER NOT NULL) STRICT, WITHOUT ROWID;
  `,
];
