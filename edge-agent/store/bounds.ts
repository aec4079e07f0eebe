/** How much the journal keeps. Each bound can be set per agent; these fit a small disk and a busy site. */
export type JournalBounds = {
  /** A SIEM re-sends for hours, a restored queue for days. */
  readonly dedupeWindowMs: number;
  /** 2 M ids are about 500 MB with their indexes. */
  readonly decidedRowsMax: number;
  /** Kept whatever their age, so that a clock that jumps ahead does not open the door to acting twice. */
  readonly decidedRowsMin: number;
  /** Tokens are kept here so that the agent can show its own decisions when the controller is out of reach. */
  readonly tokensMax: number;
  readonly tokenBytesMax: number;
  /** Commands that ended, for limit counters and screens; open ones are never removed. */
  readonly commandWindowMs: number;
  readonly deadLettersMax: number;
  readonly deadLetterBytesMax: number;
  /** Enough of a record to see what is wrong with it. */
  readonly deadLetterRawBytesMax: number;
  /** A day without the controller at 100 decisions a second and 3 kB each would be 26 GB; this is what may wait. */
  readonly spoolBytesMax: number;
  /** Writers beyond this are told to wait. */
  readonly queuedWritesMax: number;
};

const dayMs = 86_400_000;
const megabyte = 1024 * 1024;

export const journalBounds: JournalBounds = {
  dedupeWindowMs: 7 * dayMs,
  decidedRowsMax: 2_000_000,
  decidedRowsMin: 10_000,
  tokensMax: 500_000,
  tokenBytesMax: 1_024 * megabyte,
  commandWindowMs: 30 * dayMs,
  deadLettersMax: 10_000,
  deadLetterBytesMax: 64 * megabyte,
  deadLetterRawBytesMax: 64 * 1_024,
  spoolBytesMax: 512 * megabyte,
  queuedWritesMax: 100_000,
};

/** Old rows removed in one commit beyond those it adds: keeps up with any rate without ever making one commit long. */
export const pruneStepRows = 64;
