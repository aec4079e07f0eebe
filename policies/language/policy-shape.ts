import { policyIdPattern } from "@reflex/protocol/ids";
import { reasonLengthMax } from "@reflex/protocol/limits";
import { type Condition, layers } from "@reflex/protocol/policy";
import { caseList } from "../cases/case-shape.ts";
import { approval, grant, limit, ttlMax } from "./effect-shape.ts";
import { matchBlock } from "./match-shape.ts";
import { block, flag, name, type Shape, text } from "./shape.ts";

const unlessBlock = matchBlock("unless", { mayBeEmpty: false });
const unlessMax = 16;

/** One block, or a list of blocks: the policy does not match where any of them does. */
const unless: Shape<Condition[][]> = {
  schema: {
    anyOf: [unlessBlock.schema, { type: "array", minItems: 1, maxItems: unlessMax, items: unlessBlock.schema }],
  },
  read: (node, problems) => {
    const nodes = node.kind === "list" ? node.items : [node];
    if (nodes.length === 0)
      return problems.report(node.at, "unless is an empty list", "write a block, or remove the key");
    if (nodes.length > unlessMax) {
      return problems.report(
        node.at,
        `unless has ${nodes.length} blocks; ${unlessMax} are allowed`,
        "split the policy",
      );
    }
    const blocks = nodes.map((one) => unlessBlock.read(one, problems));
    return blocks.every((one) => one !== undefined) ? (blocks as Condition[][]) : undefined;
  },
};

export const effects = ["deny", "require_approval", "restrict"] as const;

const effectHints: Readonly<Record<string, string>> = {
  allow:
    "a guard only restricts; to grant an action write a permit: do: { action: …, target: …, ttl: … } in the action layer",
  permit:
    "a guard only restricts; to grant an action write a permit: do: { action: …, target: …, ttl: … } in the action layer",
  act: "a guard only restricts; to grant an action write a permit: do: { action: …, target: …, ttl: … } in the action layer",
  block: 'write "deny"',
  forbid: 'write "deny"',
  refuse: 'write "deny"',
  reject: 'write "deny"',
  never: 'write "deny"',
  ask: 'write "require_approval"',
  approve: 'write "require_approval"',
  approval: 'write "require_approval"',
  confirm: 'write "require_approval"',
  observe: "write shadow: true beside it",
  shadow: "write shadow: true beside it",
};

/** Every key of a policy file, in the order files are written. */
export const policyKeys = {
  policy: {
    shape: text({
      expected: "layer/name",
      pattern: policyIdPattern,
      lengthMax: 100,
      fix: "write the path of the file without its ending, such as domain/firewall-external-only (lower case, digits, - and _)",
    }),
    about: "id: the path of the file below policies/, without its ending",
    missing: "write policy: and the path of the file without its ending, such as domain/firewall-external-only",
  },
  layer: {
    shape: name("a layer", layers),
    about: "optional; must agree with the id. Only the action layer can grant",
  },
  match: {
    shape: matchBlock("match", { mayBeEmpty: true }),
    about: "all of these must hold; a list means one of its values",
    missing: "write match: and the fields it depends on; a guard for every action says match: {}",
  },
  unless: {
    shape: unless,
    about: "exceptions: a block, or a list of blocks; the policy does not match where one of them does",
  },
  do: { shape: grant, about: "permit: what is done, to which entity of the detection, for how long" },
  limit: {
    shape: limit,
    about: "guard: `then` applies only where this action would exceed the limit, or where that is unknown",
  },
  then: {
    shape: name("an effect of a guard", effects, effectHints),
    about: "guard: deny, require_approval, or restrict (only ttl_max)",
  },
  approval: { shape: approval, about: "guard with then: require_approval: who, how many, how long" },
  ttl_max: { shape: ttlMax, about: "guard: no action it matches stays in force longer" },
  shadow: { shape: flag("shadow"), about: "true: decided and recorded, never acted on" },
  why: {
    shape: text({ expected: "one sentence for the people who read the decision", lengthMax: reasonLengthMax }),
    about: "one sentence; it stands in tickets, on firewall entries and in approvals",
    missing: "write why: and one sentence for the people who will read the decision",
  },
  cases: {
    shape: caseList,
    about: "detections with the verdict they must get; they run before signing and on each agent",
  },
} as const;

const keyHints: Readonly<Record<string, string>> = {
  id: 'write "policy"',
  name: 'write "policy"',
  description: 'write "why"',
  reason: 'write "why"',
  when: 'write "match"',
  if: 'write "match"',
  where: 'write "match"',
  condition: 'write "match" and a block of fields',
  except: 'write "unless"',
  not: 'write "unless"',
  cap: 'write "limit"',
  action: 'write it into "do" (permit) or "match" (guard)',
  actions: 'write it into "do" (permit) or "match" (guard)',
  effect: 'write "then"',
  tests: 'write "cases"',
  test: 'write "cases"',
  obligations: "write ttl into do, ttl_max or limit instead",
  ttl: 'write it into "do", or "ttl_max" for a guard',
  overrides: "policies do not override each other; write the exception as `unless:` in the guard",
  priority: "order never matters: the strictest guard wins",
  enabled: "write shadow: true to try a policy out, or remove the file",
  version: "the repository has the history of a policy",
};

export const policyBlock = block("a policy", policyKeys, keyHints);
