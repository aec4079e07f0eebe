import type { Candidate, Decision, PolicyReference } from "@reflex/protocol/decision";
import { referenceText } from "./references.ts";

/**
 * Exactly JSON.stringify(decision), with the bytes of policy references written once per bundle. Follows the order of the
 * object's own keys, so it cannot drift from what a reader of the token writes back.
 */
export const decisionText = (decision: Decision): string => {
  let text = "";
  for (const key in decision) {
    const value = decision[key as keyof Decision];
    if (value === undefined) continue;
    text += `${text === "" ? "{" : ","}"${key}":${key === "candidates" ? candidatesText(decision.candidates) : JSON.stringify(value)}`;
  }
  return `${text}}`;
};

const candidatesText = (candidates: readonly Candidate[]): string => {
  let text = "[";
  for (const candidate of candidates) text += text === "[" ? candidateText(candidate) : `,${candidateText(candidate)}`;
  return `${text}]`;
};

const candidateText = (candidate: Candidate): string => {
  let text = "";
  for (const key in candidate) {
    const value = candidate[key as keyof Candidate];
    if (value === undefined) continue;
    const isReferences = key === "permits" || key === "guards";
    text += `${text === "" ? "{" : ","}"${key}":${isReferences ? referencesText(value as PolicyReference[]) : JSON.stringify(value)}`;
  }
  return `${text}}`;
};

const referencesText = (references: readonly PolicyReference[]): string => {
  let text = "[";
  for (const reference of references) text += text === "[" ? referenceText(reference) : `,${referenceText(reference)}`;
  return `${text}]`;
};
