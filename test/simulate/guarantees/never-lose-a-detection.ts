import type { Token } from "@reflex/protocol/token";
import type { Guarantee } from "../happening.ts";

/**
 * What a source was told is decided has exactly one decision, in the agent's chain and at the controller; what it was told is
 * a dead letter is one at the controller; and every record is answered in the end, once for each time it was offered.
 */
export const neverLoseADetection = (): Guarantee => {
  const decided = new Map<string, string>();
  const known = new Set<string>();
  const answered = new Set<string>();
  let deadLetters = 0;
  return {
    name: "never lose a detection that was acknowledged",
    note: (happening) => {
      if (happening.kind !== "settled") return undefined;
      const { record, offer, eventId, fate } = happening;
      const once = `${record}|${offer}`;
      if (answered.has(once)) return `record ${record} was answered twice for one offer`;
      answered.add(once);
      if (fate.kind === "dead_letter") deadLetters += 1;
      if (fate.kind === "duplicate") known.add(eventId);
      if (fate.kind !== "decided") return undefined;
      const before = decided.get(eventId);
      decided.set(eventId, fate.decisionId);
      return before === undefined ? undefined : `${eventId} was decided twice: ${before} and ${fate.decisionId}`;
    },
    atEnd: ({ stored, tokenJson, records }) => {
      const breaches: string[] = [];
      const idsByEvent = new Map<string, string[]>();
      for (const { kind, bodyJson } of stored) {
        if (kind !== "token") continue;
        const { decision } = JSON.parse(bodyJson) as Token;
        idsByEvent.set(decision.event_id, [...(idsByEvent.get(decision.event_id) ?? []), decision.decision_id]);
      }
      for (const [eventId, decisionId] of decided) {
        if (tokenJson(decisionId) === undefined) breaches.push(`${eventId} has no decision in the journal`);
        if (idsByEvent.get(eventId)?.includes(decisionId) !== true)
          breaches.push(`the decision about ${eventId} never reached the controller`);
      }
      for (const [eventId, ids] of idsByEvent)
        if (ids.length > 1) breaches.push(`${eventId} has ${ids.length} decisions`);
      for (const eventId of known)
        if (!idsByEvent.has(eventId)) breaches.push(`${eventId} was called a duplicate of nothing`);
      const told = stored.filter(({ kind }) => kind === "dead_letter").length;
      if (told < deadLetters) breaches.push(`${deadLetters} dead letters were answered, ${told} reported`);
      for (const { record, eventId, isSettled } of records)
        if (!isSettled) breaches.push(`record ${record} (${eventId}) was never answered`);
      return breaches;
    },
  };
};
