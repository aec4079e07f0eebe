// Randomness. Math.random is part of the language and compiles; the tidy test bans it.
export const id = crypto.randomUUID();
export const bytes = crypto.getRandomValues(new Uint8Array(16));
