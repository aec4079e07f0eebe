/**
 * How long a client must wait before its next message is taken, in ms. Waiting is back-pressure: aedes reads no further from
 * a connection while one of its messages is under way, so a flood stays in its sender's socket.
 */
export type PublishRate = { readonly perSecond: number; readonly burst: number };

/** Eight batches in flight, a heartbeat and a sync fit twenty times; a flood does not. */
export const agentPublishRate: PublishRate = { perSecond: 200, burst: 400 };

export const createPublishRate = ({ perSecond, burst }: PublishRate, nowMs: () => number): (() => number) => {
  let tokens = burst;
  let filledMs = nowMs();
  return () => {
    const now = nowMs();
    tokens = Math.min(burst, tokens + ((now - filledMs) / 1_000) * perSecond);
    filledMs = now;
    tokens -= 1;
    return tokens >= 0 ? 0 : (-tokens / perSecond) * 1_000;
  };
};
