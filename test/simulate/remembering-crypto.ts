import type { Crypto } from "@reflex/edge-agent/ports";

/** Enough for what is verified again and again: trust documents at every start, bundles and kills offered twice. */
const answersMax = 20_000;

/** Real verification, each question asked once: thousands of starts verify the same few envelopes. */
export const remembering = (crypto: Crypto): Crypto => {
  const answers = new Map<string, boolean>();
  return {
    ...crypto,
    verifyEd25519: (publicKey, message, signature) => {
      const question = `${publicKey} ${signature} ${crypto.sha256Hex(message)}`;
      const known = answers.get(question);
      if (known !== undefined) return known;
      const answer = crypto.verifyEd25519(publicKey, message, signature);
      if (answers.size >= answersMax) answers.clear();
      answers.set(question, answer);
      return answer;
    },
  };
};
