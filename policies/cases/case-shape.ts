import { isActionName } from "@reflex/protocol/action";
import type { CaseContext } from "@reflex/protocol/bundle";
import { verdicts } from "@reflex/protocol/decision";
import { sourceDomains } from "@reflex/protocol/detection";
import { entityTypes } from "@reflex/protocol/entity";
import { policyIdPattern, segmentPattern } from "@reflex/protocol/ids";
import { textLengthMax } from "@reflex/protocol/limits";
import { block, flag, integer, list, name, number, oneOrMany, type Shape, text } from "../language/shape.ts";
import type { CaseSource } from "./case-detection.ts";
import { caseDetection } from "./detection-shape.ts";

/** Cases of one policy; a bundle holds 50 000 of 10 000 policies. */
const casesPerPolicyMax = 50;
const countMax = 1_000_000;

const count = (about: string) => ({
  shape: number("a count", 0, countMax),
  about,
  missing: `write it, ${0} if there are none`,
});

/** Use of limit groups; a name without `|` is a group of the case's own policy. */
const limits: Shape<Record<string, number>> = {
  schema: { type: "object", additionalProperties: { type: "integer", minimum: 0, maximum: countMax } },
  read: (node, problems) => {
    if (node.kind !== "map")
      return problems.report(node.at, "limits must be a block", "write limits: { <group>: <count> }");
    const used = integer("a count", 0, countMax);
    const entries = node.entries.map(({ key, value }) => [key, used.read(value, problems)] as const);
    if (entries.some(([, value]) => value === undefined)) return undefined;
    return Object.fromEntries(entries) as Record<string, number>;
  },
};

const given = block("given", {
  limits: { shape: limits, about: "use of limit groups before this detection: { <group>: <count> }" },
  agreement: {
    shape: oneOrMany(name("a source domain", sourceDomains), { what: "agreement", maxItems: sourceDomains.length }),
    about: "domains that saw one of the entities lately; the detection's own always counts",
  },
  history: {
    shape: block("history", {
      detections: count("recent detections about the same entities"),
      distinct_rules: count("different rules among them"),
      actions: count("recent actions on them"),
    }),
    about: "recent history of the same entities",
  },
  prior: {
    shape: block("prior", {
      confirmed: count("actions on this pattern that were right"),
      failed: count("actions on this pattern that failed"),
      overridden: count("actions on this pattern that analysts took back"),
    }),
    about: "prior outcomes of acting on this rule here",
  },
  site: { shape: text({ expected: "a site", lengthMax: 48, pattern: segmentPattern }), about: "site that decides" },
  mode: { shape: name("a mode", ["enforce", "approve", "observe"] as const), about: "default: enforce" },
  killed: { shape: flag("killed"), about: "kill switch engaged" },
  lease_valid: { shape: flag("lease_valid"), about: "false: the controller was not heard for too long" },
  circuit_closed: { shape: flag("circuit_closed"), about: "false: the containment circuit paused automation" },
});

const expectedAction: Shape<string> = {
  schema: { type: "string", pattern: `^[a-z_]+ (${entityTypes.join("|")}) .+$` },
  read: (node, problems) => {
    const written = text({ expected: "an action such as block_ip address 203.0.113.9", lengthMax: textLengthMax }).read(
      node,
      problems,
    );
    if (written === undefined) return undefined;
    const [action = "", type = "", value] = written.split(" ");
    if (isActionName(action) && entityTypes.some((known) => known === type) && value !== undefined) return written;
    return problems.report(
      node.at,
      `${JSON.stringify(written)} is not an expected action`,
      "write action, type and value: block_ip address 203.0.113.9",
    );
  },
};

const verdict = name("a verdict", verdicts, {
  allow: 'write "act"',
  block: 'write "act"',
  deny: 'write "refuse"',
  require_approval: 'write "ask"',
  approve: 'write "ask"',
  none: 'write "hold": no policy covers it',
  shadow: 'write "observe"',
});

const expectBlock = block("expect", {
  verdict: { shape: verdict, about: "act, ask, hold, refuse or observe", missing: "write verdict: act" },
  actions: {
    shape: list(expectedAction, { what: "actions", maxItems: 32 }),
    about: "exactly the actions that have this verdict: `block_ip address 203.0.113.9`",
  },
  policies: {
    shape: oneOrMany(text({ expected: "a policy id", lengthMax: 100, pattern: policyIdPattern }), {
      what: "policies",
      maxItems: 64,
    }),
    about: "policies that must be among those that decided",
  },
});

/** `expect: act` says as much as `expect: { verdict: act }`. */
const expectation: Shape<CaseSource["expect"]> = {
  schema: { anyOf: [verdict.schema, expectBlock.schema] },
  read: (node, problems) => {
    if (node.kind === "scalar") {
      const found = verdict.read(node, problems);
      return found === undefined ? undefined : { verdict: found };
    }
    const { verdict: found, ...rest } = expectBlock.read(node, problems) ?? {};
    return found === undefined ? undefined : { verdict: found, ...rest };
  },
};

const caseBlock = block(
  "a case",
  {
    name: {
      shape: text({ expected: "a sentence that says what the case shows", lengthMax: textLengthMax }),
      about: "what the case shows",
      missing: "write name: and what the case shows",
    },
    detection: {
      shape: caseDetection,
      about: "only what matters; the rest has defaults",
      missing: "write detection: { confidence: 0.9, … }",
    },
    given: { shape: given, about: "what surrounds the detection; default: nothing seen before, all brakes released" },
    expect: {
      shape: expectation,
      about: "the verdict, or { verdict, actions, policies }",
      missing: "write expect: act, ask, hold, refuse or observe",
    },
  },
  {
    event: 'write "detection"',
    context: 'write "given"',
    title: 'write "name"',
    limits: "write given: { limits: { … } }",
    then: 'write "expect"',
  },
);

const oneCase: Shape<CaseSource> = {
  schema: caseBlock.schema,
  read: (node, problems) => {
    const read = caseBlock.read(node, problems);
    if (read?.name === undefined || read.detection === undefined || read.expect === undefined) return undefined;
    const { limits: used, ...context } = read.given ?? {};
    const caseContext = context as CaseContext;
    return {
      name: read.name,
      detection: read.detection,
      given: {
        ...(used === undefined ? {} : { limits: used }),
        ...(Object.keys(context).length === 0 ? {} : { context: caseContext }),
      },
      expect: read.expect,
    };
  },
};

export const caseList = list(oneCase, { what: "cases", maxItems: casesPerPolicyMax });
