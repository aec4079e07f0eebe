/** How long each pass of one cell may take; the cell as a whole takes a little more than their sum. */
export type Budget = {
  readonly checkMs: number;
  /** Detections compared with the reference however long it takes. */
  readonly checkedMin: number;
  readonly warmUpMs: number;
  readonly latencyMs: number;
  readonly throughputMs: number;
};

/** Something to call once per detection of the stream, by its position. */
export type Subject = {
  readonly call: (index: number) => unknown;
  readonly inFlight: number;
  readonly streamLength: number;
};

export type Measured = {
  readonly perSecond: number;
  readonly p50Us: number;
  readonly p99Us: number;
  /** Detections behind the percentiles and behind the throughput. */
  readonly timed: number;
  readonly counted: number;
  /** What reading the clock twice adds to each single latency. */
  readonly clockUs: number;
};

const timedMin = 20; // with fewer, the 99th percentile is just the slowest
const timedMax = 10_000;

/** Warm-up, then one pass with a clock around each call, then one without any clock inside. */
export const measure = async (subject: Subject, budget: Budget): Promise<Measured> => {
  await countCalls(subject, budget.warmUpMs);
  const clockUs = clockOverheadUs();
  const timings = await timeCalls(subject, budget.latencyMs);
  const { calls, tookMs } = await countCalls(subject, budget.throughputMs);
  return {
    perSecond: (calls / tookMs) * 1_000,
    p50Us: percentile(timings, 0.5),
    p99Us: percentile(timings, 0.99),
    timed: timings.length,
    counted: calls,
    clockUs,
  };
};

/** Sorted latencies in µs. */
const timeCalls = async ({ call, streamLength }: Subject, budgetMs: number): Promise<Float64Array> => {
  const timings: number[] = [];
  const deadlineMs = performance.now() + budgetMs;
  while (timings.length < timedMin || (timings.length < timedMax && performance.now() < deadlineMs)) {
    const index = timings.length % streamLength;
    const from = process.hrtime.bigint();
    const answer = call(index);
    if (answer instanceof Promise) await answer;
    timings.push(Number(process.hrtime.bigint() - from) / 1_000);
  }
  return Float64Array.from(timings).sort();
};

const clockOverheadUs = (): number => {
  const readings = 10_000;
  const timings = Float64Array.from({ length: readings }, () => {
    const from = process.hrtime.bigint();
    return Number(process.hrtime.bigint() - from) / 1_000;
  });
  return percentile(timings.sort(), 0.5);
};

const percentile = (sorted: Float64Array, share: number): number =>
  sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? Number.NaN;

type Counted = { readonly calls: number; readonly tookMs: number };

const countCalls = (subject: Subject, budgetMs: number): Promise<Counted> | Counted =>
  subject.inFlight > 1 ? countCallsInFlight(subject, budgetMs) : countCallsInTurn(subject, budgetMs);

/** The clock is read between batches only, and batches grow until reading it costs nothing. */
const countCallsInTurn = ({ call, streamLength }: Subject, budgetMs: number): Counted => {
  const startedMs = performance.now();
  let calls = 0;
  let batch = 1;
  let index = 0;
  for (;;) {
    const batchStartedMs = performance.now();
    for (let done = 0; done < batch; done += 1) {
      call(index);
      index = index + 1 === streamLength ? 0 : index + 1;
    }
    calls += batch;
    const nowMs = performance.now();
    if (nowMs - startedMs >= budgetMs) return { calls, tookMs: nowMs - startedMs };
    if (nowMs - batchStartedMs < 2) batch *= 2;
  }
};

const countCallsInFlight = async ({ call, inFlight, streamLength }: Subject, budgetMs: number): Promise<Counted> => {
  const startedMs = performance.now();
  let started = 0;
  const callUntilDone = async (): Promise<void> => {
    while (performance.now() - startedMs < budgetMs) await call(started++ % streamLength);
  };
  await Promise.all(Array.from({ length: inFlight }, callUntilDone));
  return { calls: started, tookMs: performance.now() - startedMs };
};
