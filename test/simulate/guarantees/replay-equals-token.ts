import { createHash } from "node:crypto";
import { replayToken } from "@reflex/policies/engine/replay";
import { firstPrevious, type Token } from "@reflex/protocol/token";
import { type Guarantee, nothingToSay } from "../happening.ts";

const sha256Hex = (text: string): string => createHash("sha256").update(text).digest("hex");

/** Every token at the controller, decided again from its own text, gives itself; and the chain of them has no gap and no fork. */
export const replayEqualsToken = (): Guarantee => ({
  name: "a replayed decision equals its token",
  note: nothingToSay,
  atEnd: ({ stored, tokenJson, lastToken }) => {
    const breaches: string[] = [];
    let previous = firstPrevious;
    let sequence = 0;
    for (const { kind, bodyJson } of stored) {
      if (kind === "unread") breaches.push(`the controller could not read ${bodyJson.slice(0, 100)}`);
      if (kind !== "token") continue;
      const token = JSON.parse(bodyJson) as Token;
      sequence += 1;
      if (token.header.sequence !== sequence)
        breaches.push(`token ${token.header.sequence} stands where ${sequence} belongs`);
      const { same, findings } = replayToken(bodyJson, sha256Hex, { previous });
      if (!same) breaches.push(`token ${sequence}: ${findings[0]?.code} at ${findings[0]?.path}`);
      if (tokenJson(token.decision.decision_id) !== bodyJson)
        breaches.push(`token ${sequence} differs between the journal and the controller`);
      previous = token.hash;
      sequence = token.header.sequence;
    }
    if (lastToken !== undefined && (lastToken.sequence !== sequence || lastToken.hash !== previous))
      breaches.push(`the chain ends at ${lastToken.sequence} in the journal and at ${sequence} at the controller`);
    return breaches;
  },
});
