import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { createIngest } from "./ingest.ts";
import { createMemoryIngestStore } from "./memory-ingest-store.ts";
import { nodeCrypto } from "./node-crypto.ts";
import { recordTexts } from "./record-texts.ts";
import { agentFixture, eventRecord } from "./report-fixture.ts";

const sent = fc.array(
  fc.record({ first: fc.integer({ min: 1, max: 20 }), count: fc.integer({ min: 1, max: 8 }), fails: fc.boolean() }),
  {
    minLength: 1,
    maxLength: 25,
  },
);

describe("reports into any store", () => {
  test("whatever comes, in whatever order and overlap, and whenever the store fails: stored is 1 to acknowledged, each once", async () => {
    await fc.assert(
      fc.asyncProperty(sent, fc.boolean(), async (batches, atOnce) => {
        const agent = agentFixture("acme", "north", "one");
        const store = createMemoryIngestStore();
        store.enrol({ ...agent.address, reportKey: agent.reportKey });
        let failsNext = false;
        const commit: typeof store.commit = async (units) => {
          if (failsNext) throw new Error("the database is away");
          return store.commit(units);
        };
        const ingest = createIngest({ org: "acme", store: { ...store, commit }, ...nodeCrypto });
        const acknowledgements: number[] = [];
        const send = async ({ first, count, fails }: (typeof batches)[number]): Promise<void> => {
          failsNext = fails && !atOnce;
          const records = Array.from({ length: count }, (_, at) => eventRecord(first + at));
          const outcome = await ingest("one", agent.batch(records));
          if (outcome.kind === "stored" || outcome.kind === "ignored") acknowledgements.push(outcome.acknowledged);
          expect(acknowledgements.every((acknowledged) => acknowledged <= store.stored("one").length)).toBe(true);
        };
        if (atOnce) await Promise.all(batches.map(send));
        else for (const batch of batches) await send(batch);
        const sequences = store.stored("one").map(({ sequence }) => sequence);
        expect(sequences).toEqual(Array.from({ length: store.acknowledged("one") }, (_, at) => at + 1));
      }),
      { numRuns: 60 },
    );
  });

  test("the text of a record is the very text that was signed, however it is spaced and escaped", () => {
    const space = fc.constantFrom("", " ", "\n\t ");
    const json = fc.jsonValue({ maxDepth: 3 });
    fc.assert(
      fc.property(
        fc.array(json, { minLength: 1, maxLength: 4 }),
        fc.array(space, { minLength: 1 }),
        (bodies, spaces) => {
          let at = 0;
          const gap = (): string => spaces[at++ % spaces.length] ?? "";
          const bodyTexts = bodies.map((body) => JSON.stringify(body, undefined, gap()).replaceAll("/", "\\/"));
          const records = bodyTexts.map(
            (text, index) => `{${gap()}"sequence":${index + 1},${gap()}"b\\u006fdy"${gap()}:${gap()}${text}${gap()}}`,
          );
          const whole = `{"x":"records",${gap()}"records"${gap()}:${gap()}[${gap()}${records.join(`${gap()},${gap()}`)}${gap()}]}`;
          expect(recordTexts(whole, JSON.parse(whole))).toEqual(bodyTexts);
        },
      ),
    );
  });
});
