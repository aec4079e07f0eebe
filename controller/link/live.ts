import type { IngestRecord } from "./ingest.ts";

/** What just happened, for whoever watches. Nothing depends on it: a watcher that misses something reads the lists. */
export type LiveItem =
  | {
      readonly kind: "decision";
      readonly at: string;
      readonly agent: string;
      readonly site: string;
      readonly decision_id: string;
      readonly verdict: string;
      readonly event_id: string;
      readonly score: number;
      readonly justification: string;
    }
  | {
      readonly kind: "command";
      readonly at: string;
      readonly agent: string;
      readonly site: string;
      readonly command_id: string;
      readonly decision_id: string;
      readonly action: string;
      readonly target: { readonly type: string; readonly value: string };
      readonly state: string;
      readonly verified: boolean;
    }
  | {
      readonly kind: "event";
      readonly at: string;
      readonly agent: string;
      readonly site: string;
      readonly level: string;
      readonly name: string;
      readonly detail: string;
    }
  | {
      readonly kind: "dead_letter";
      readonly at: string;
      readonly agent: string;
      readonly site: string;
      readonly source: string;
      readonly code: string;
      readonly detail: string;
    }
  | { readonly kind: "agent"; readonly at: string; readonly agent: string; readonly online: boolean }
  | {
      readonly kind: "kill";
      readonly at: string;
      readonly scope: string;
      readonly state: string;
      readonly epoch: number;
    }
  | {
      readonly kind: "release";
      readonly at: string;
      readonly what: "bundle" | "weights";
      readonly version: number;
      readonly hash: string;
    };

export type Live = {
  readonly tell: (item: LiveItem) => void;
  /** The returned function ends it. */
  readonly watch: (take: (item: LiveItem) => void) => () => void;
  readonly isWatched: () => boolean;
};

export const createLive = (): Live => {
  const watchers = new Set<(item: LiveItem) => void>();
  return {
    tell: (item) => {
      for (const take of watchers) take(item);
    },
    watch: (take) => {
      watchers.add(take);
      return () => void watchers.delete(take);
    },
    isWatched: () => watchers.size > 0,
  };
};

/** A stored report as those who watch see it; gaps and feedback show in their own lists. */
export const liveItemOf = (
  item: IngestRecord,
  from: { readonly agent: string; readonly site: string },
): LiveItem | undefined => {
  if (item.kind === "unread") return undefined;
  const { record } = item;
  switch (record.kind) {
    case "token": {
      const { decision, header } = record.body;
      const { decision_id, verdict, event_id, score, justification } = decision;
      return { kind: "decision", at: header.decided_at, ...from, decision_id, verdict, event_id, score, justification };
    }
    case "command": {
      const { command, state, at, verified } = record.body;
      const { command_id, decision_id, action, target } = command;
      return {
        kind: "command",
        at,
        ...from,
        command_id,
        decision_id,
        action,
        target: { type: target.type, value: target.value },
        state,
        verified,
      };
    }
    case "event": {
      const { at, level, name, detail } = record.body;
      return { kind: "event", at, ...from, level, name, detail };
    }
    case "dead_letter": {
      const { at, source, code, detail } = record.body;
      return { kind: "dead_letter", at, ...from, source, code, detail };
    }
    default:
      return undefined;
  }
};
