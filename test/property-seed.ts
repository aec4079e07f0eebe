import fc from "fast-check";

/**
 * A build server draws the same cases every time, so that a change is judged by itself; a desk draws new ones in every run.
 * `REFLEX_SEED` repeats a run.
 */
const given = process.env["REFLEX_SEED"] ?? (process.env["CI"] === undefined ? undefined : "20261122");
if (given !== undefined) fc.configureGlobal({ ...fc.readConfigureGlobal(), seed: Number(given) });
