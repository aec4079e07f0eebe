// Timers and clocks. Date is part of the language and compiles; the tidy test bans it.
export const timeout = setTimeout(() => {}, 1);
export const interval = setInterval(() => {}, 1);
export const immediate = setImmediate(() => {});
export const elapsedMs = performance.now();
queueMicrotask(() => {});
