import type { Workload } from "../workload.ts";

/** Ids of the policies that match, in any order. */
export type Matched = readonly string[];

/** An engine loaded with the policies of one workload. `match` takes the position of a detection in the stream. */
export type Loaded = {
  /** Policies to a state that can answer, and nothing else. */
  readonly buildMs: number;
  readonly match: (index: number) => Matched | Promise<Matched>;
  /** Calls kept in flight for throughput; more than one only where the engine has threads of its own. */
  readonly inFlight: number;
};

/** Each engine in the way its documentation recommends for speed. */
export type Engine = {
  readonly name: string;
  /** What it was given, for the reader of the report. */
  readonly given: string;
  readonly load: (workload: Workload) => Promise<Loaded>;
};
