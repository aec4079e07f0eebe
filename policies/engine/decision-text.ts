import type { Candidate, Decision, PolicyReference } from "@reflex/protocol/decision";
import { referenceText } from "./references.ts";

/**
 * Exactly JSON.stringify(decision), with the bytes of policy references written once per bundle. The rest is left to
 * JSON.stringify, which follows the order of the object's own keys and beats text joined piece by piece; a list it would
 * write again and again is left empty for it and filled in after.
 */
export const decisionText = (decision: Decision): string => {
  if (referenceCount(decision) < splicedMin) return JSON.stringify(decision);
  let candidates = "";
  for (const candidate of decision.candidates)
    candidates += candidates === "" ? candidateText(candidate) : `,${candidateText(candidate)}`;
  return fill(JSON.stringify({ ...decision, candidates: [] }), "candidates", candidates);
};

/** Below this many references, writing them again costs less than filling them in. */
const splicedMin = 6;

const referenceCount = ({ candidates }: Decision): number => {
  let count = 0;
  for (const { permits, guards } of candidates) count += permits.length + guards.length;
  return count;
};

const candidateText = (candidate: Candidate): string => {
  const text = JSON.stringify({ ...candidate, permits: [], guards: [] });
  return fill(fill(text, "permits", referencesText(candidate.permits)), "guards", referencesText(candidate.guards));
};

/**
 * Puts items into the empty list under this key. Found by its quotes: inside of a string they would be escaped, and no
 * object within a decision or a candidate has a key of these names.
 */
const fill = (text: string, key: string, items: string): string => {
  if (items === "") return text;
  const at = text.indexOf(`"${key}":[]`) + key.length + 4;
  return `${text.slice(0, at)}${items}${text.slice(at)}`;
};

const referencesText = (references: readonly PolicyReference[]): string => {
  let text = "";
  for (const reference of references) text += text === "" ? referenceText(reference) : `,${referenceText(reference)}`;
  return text;
};
