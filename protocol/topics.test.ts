import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { isSegment, segmentPattern } from "./ids.ts";
import {
  agentMayPublish,
  agentMaySubscribe,
  parseUpTopic,
  partitionOf,
  type TopicName,
  topicOf,
  topicRules,
  upFilter,
  upPartitions,
} from "./topics.ts";

const segment = fc.stringMatching(new RegExp(segmentPattern));
const address = fc.record({ org: segment, site: segment, agent: segment });
const names = Object.keys(topicRules) as TopicName[];
const upNames = ["syncRequest", "heartbeat", "presence", "report"] as const;
const downNames = names.filter((name) => topicRules[name].from === "controller");

describe("a topic says who speaks, and can be read back", () => {
  test.each(upNames)("%s: what was written is what is read", (name) => {
    fc.assert(
      fc.property(address, (self) => {
        expect(parseUpTopic(topicOf[name](self))).toEqual({ name, org: self.org, agent: self.agent });
      }),
    );
  });

  test("what topicOf would not have written is not read", () => {
    const level = fc.oneof(
      segment,
      fc.constantFrom("reflex", "v1", "up", "sync", "rec", "+", "#", "", "0", "63", "a.b", "constructor"),
    );
    fc.assert(
      fc.property(fc.array(level, { maxLength: 8 }), address, fc.nat(7), level, (levels, self, at, put) => {
        const changed = topicOf.report(self).split("/").with(Math.min(at, 6), put).join("/");
        for (const topic of [levels.join("/"), changed]) {
          const read = parseUpTopic(topic);
          if (read === undefined) continue;
          expect(isSegment(read.org) && isSegment(read.agent)).toBe(true);
          expect(topicOf[read.name]({ ...self, ...read })).toBe(topic);
        }
      }),
      { numRuns: 2_000 },
    );
  });

  test("no dots, wildcards or empty levels (RabbitMQ reads dots as levels), and no two topics are one", () => {
    fc.assert(
      fc.property(address, (self) => {
        const topics = names.map((name) => topicOf[name](self));
        for (const topic of topics) expect(topic).toMatch(/^[a-z0-9_-]+(\/[a-z0-9_-]+)+$/);
        expect(new Set(topics).size).toBe(names.length);
      }),
    );
  });

  test("partitions are stable, in range, and what a controller subscribes to covers them", () => {
    fc.assert(
      fc.property(address, (self) => {
        const partition = partitionOf(self.agent);
        expect(Number.isInteger(partition) && partition >= 0 && partition < upPartitions).toBe(true);
        const filter = upFilter(self.org, partition).split("/");
        for (const name of upNames) {
          const levels = topicOf[name](self).split("/");
          expect(levels.length).toBe(filter.length);
          expect(filter.every((one, index) => one === "+" || one === levels[index])).toBe(true);
        }
      }),
    );
    expect(["", "a", "foobar"].map(partitionOf)).toEqual([0x811c9dc5, 0xe40c292c, 0xbf9cf968].map((hash) => hash % 64));
  });
});

describe("an agent hears and says only its own", () => {
  test("it may subscribe to exactly the topics for it, never to a wildcard", () => {
    fc.assert(
      fc.property(address, (self) => {
        for (const name of names) expect(agentMaySubscribe(self, topicOf[name](self))).toBe(downNames.includes(name));
        for (const filter of [
          "#",
          "+",
          `${topicOf.killOrg(self)}/#`,
          topicOf.head(self).replace(self.site, "+"),
          topicOf.syncResponse(self).replace(/[^/]+\/sync$/, "+/sync"),
          upFilter(self.org, 0),
          "",
        ]) {
          expect(agentMaySubscribe(self, filter)).toBe(false);
        }
      }),
    );
  });

  test("it may publish exactly what comes from it, and never as another agent", () => {
    fc.assert(
      fc.property(address, address, (self, other) => {
        for (const name of names) {
          expect(agentMayPublish(self, topicOf[name](self))).toBe(topicRules[name].from === "agent");
          const topic = topicOf[name](other);
          if (topic !== topicOf[name](self))
            expect(agentMayPublish(self, topic) || agentMaySubscribe(self, topic)).toBe(false);
        }
      }),
    );
  });

  test("QoS 2 is never used, and only what the controller says is retained", () => {
    for (const { qos, retain, from } of Object.values(topicRules)) {
      expect([0, 1]).toContain(qos);
      if (retain) expect(from).toBe("controller");
    }
  });
});

test.each(["", "a.b", "A", "a/b", "+", "#", "$sys", "a b", "ä", "a\n", "a".repeat(49)])("%j is no segment", (value) => {
  expect(isSegment(value)).toBe(false);
});
