import type { FakeChange } from "./fake.ts";

/**
 * An OpenC2 consumer: a packet filter (profile `pf`) and an endpoint manager (profile `er`) behind one address. Pure: a message in,
 * a message out. Made from, and as strict as, these documents:
 *
 * - OpenC2 Language Specification 1.0, docs.oasis-open.org/openc2/oc2ls/v1.0 (§3.3.1 command, §3.3.2 response, §4.1 query features)
 * - Actuator Profile for Packet Filtering 1.0, docs.oasis-open.org/openc2/ap-pf/v1.0 (§2.3)
 * - Actuator Profile for Endpoint Response, github.com/oasis-tcs/openc2-ap-er (§2.3)
 */
export type OpenC2Consumer = {
  /** A request message and what it is answered with; `undefined` for what is not an OpenC2 request at all. */
  readonly handle: (text: string) => Answered | undefined;
  readonly present: () => readonly string[];
  readonly changes: () => readonly FakeChange[];
  /** Every command that was to change something, by its id, in order. */
  readonly commands: () => readonly ConsumerCommand[];
  /** A rule of another producer. */
  readonly addRule: (target: Rule["target"]) => void;
  /** Refuses everything from now on, in these words. */
  readonly speak: (words: string) => void;
};
export type ConsumerCommand = {
  readonly verb: FakeChange["verb"];
  readonly commandId: string;
  readonly key: string;
  readonly hasEffect: boolean;
  readonly atMs: number;
};
export type Answered = {
  readonly requestId?: string;
  readonly from: string;
  readonly status: number;
  readonly text: string;
};

export type ConsumerFlaw =
  /** Numbers rules by itself, whatever it is asked. */
  | "numbers rules itself"
  /** Knows no query for a rule. */
  | "cannot be asked"
  /** Refuses the argument. */
  | "knows no insert_rule"
  /** Makes rules and cannot remove them. */
  | "keeps rules for ever";

type Rule = { readonly target: Readonly<Record<string, string>>; readonly durationMs?: number };
type Json = Readonly<Record<string, unknown>>;
type Reply = { readonly status: number; readonly status_text?: string; readonly results?: Json };

const consumerId = "consumer-1";

export const createOpenC2Consumer = (flaw?: ConsumerFlaw): OpenC2Consumer => {
  const rules = new Map<number, Rule>();
  const contained = new Set<string>();
  const changes: FakeChange[] = [];
  const commands: ConsumerCommand[] = [];
  let ownNumber = 1;
  let refusing: string | undefined;

  const note = (verb: FakeChange["verb"], key: string, commandId: string, hasEffect = true): void => {
    if (hasEffect) changes.push({ verb, key });
    commands.push({ verb, commandId, key, hasEffect, atMs: Date.now() });
  };

  const deny = ({ target, args, command_id: id }: Command): Reply => {
    const { pf, duration } = args;
    const own = { ...(isObject(pf) ? pf : {}) };
    if (flaw === "knows no insert_rule" && "insert_rule" in own)
      return { status: 501, status_text: "Argument not supported" };
    const unknown = Object.keys(own).find((name) => !["insert_rule", "drop_process", "direction"].includes(name));
    if (unknown !== undefined) return { status: 501, status_text: "Argument not supported" };
    const isTarget = isAddressTarget(target) || isDomainTarget(target);
    if (!isTarget) return { status: 501, status_text: "Target type not supported" };
    let number = own["insert_rule"];
    if (flaw === "numbers rules itself" || number === undefined) {
      number = ownNumber;
      ownNumber += 1;
    }
    if (typeof number !== "number" || !Number.isSafeInteger(number) || number < 0) return { status: 400 };
    const rule: Rule = {
      target: target as Rule["target"],
      ...(typeof duration === "number" ? { durationMs: duration } : {}),
    };
    if (rules.has(number)) {
      note("apply", keyOf(rule), id, false);
      return { status: 500, status_text: "Rule number currently in use" };
    }
    rules.set(number, rule);
    note("apply", keyOf(rule), id);
    return { status: 200, results: { pf: { rule_number: number } } };
  };

  const removeRule = ({ target, args, command_id: id }: Command): Reply => {
    const number = target["pf:rule_number"];
    if (typeof number !== "number") return { status: 501, status_text: "Target not supported" };
    if (Object.keys(args).some((name) => name !== "response_requested")) return { status: 501 };
    const rule = rules.get(number);
    if (rule === undefined) {
      note("undo", `rule ${number}`, id, false);
      return { status: 404, status_text: "No such rule" };
    }
    rules.delete(number);
    note("undo", keyOf(rule), id);
    return { status: 200 };
  };

  const query = ({ target, args }: Command): Reply => {
    if (Array.isArray(target["features"])) {
      const rule = flaw === "cannot be asked" ? [] : ["pf:rule_number"];
      return {
        status: 200,
        results: {
          versions: ["1.0"],
          profiles: ["pf", "er"],
          rate_limit: 6_000,
          pairs: {
            query: ["features", ...rule],
            deny: ["ipv4_net", "ipv6_net", "domain_name"],
            ...(flaw === "keeps rules for ever" ? {} : { delete: ["pf:rule_number"] }),
            contain: ["device", "file"],
            allow: ["device", "file"],
          },
        },
      };
    }
    const number = target["pf:rule_number"];
    if (flaw === "cannot be asked" || typeof number !== "number") return { status: 501 };
    if (Object.keys(args).some((name) => name !== "response_requested")) return { status: 501 };
    return rules.has(number)
      ? { status: 200, results: { pf: { rule_number: number } } }
      : { status: 404, status_text: "No such rule" };
  };

  const contain = ({ action, target, args, command_id: id }: Command): Reply => {
    const { er } = args;
    const { device, file } = target;
    const key = isObject(device) ? `isolate_host ${device["hostname"]}` : `quarantine_file ${sha256Of(file)}`;
    if (isObject(device) && typeof device["hostname"] !== "string")
      return { status: 500, status_text: "Cannot access device" };
    if (!isObject(device) && sha256Of(file) === undefined)
      return { status: 501, status_text: "Target type not supported" };
    if (isObject(device) && action === "contain" && !(isObject(er) && typeof er["device_containment"] === "string"))
      return { status: 400, status_text: "Containment type argument not populated" };
    if (isObject(file) && !(isObject(er) && isObject(er["downstream_device"])))
      return { status: 400, status_text: "Downstream device argument not populated" };
    const isContained = contained.has(key);
    note(action === "contain" ? "apply" : "undo", key, id, isContained !== (action === "contain"));
    if (action === "contain") contained.add(key);
    else contained.delete(key);
    return { status: 200 };
  };

  const carryOut = (command: Command): Reply => {
    if (refusing !== undefined) return { status: 403, status_text: refusing };
    switch (command.action) {
      case "query":
        return query(command);
      case "deny":
        return deny(command);
      case "delete":
        return removeRule(command);
      case "contain":
      case "allow":
        return contain(command);
      default:
        return { status: 501, status_text: "Command not supported" };
    }
  };

  return {
    handle: (text) => {
      const message = parsed(text);
      const { headers, body } = message ?? {};
      if (!isObject(headers) || !isObject(body)) return undefined;
      const request = isObject(body["openc2"]) ? body["openc2"]["request"] : undefined;
      const requestId = headers["request_id"];
      const command = commandIn(request);
      const reply = command === undefined ? { status: 400, status_text: "not a command" } : carryOut(command);
      return {
        ...(typeof requestId === "string" ? { requestId } : {}),
        from: String(headers["from"] ?? ""),
        status: reply.status,
        text: JSON.stringify({
          headers: { request_id: requestId, created: Date.now(), from: consumerId },
          body: { openc2: { response: reply } },
        }),
      };
    },
    present: () => [...new Set([...rules.values()].map(keyOf)), ...contained],
    changes: () => changes,
    commands: () => commands,
    addRule: (target) => {
      rules.set(ownNumber, { target });
      ownNumber += 1;
    },
    speak: (words) => {
      refusing = words;
    },
  };
};

type Command = {
  readonly action: string;
  readonly target: Json;
  readonly args: Json;
  readonly command_id: string;
};

/** §3.3.1: exactly these properties, one target, and a command id of at most 36 characters without white space. */
const commandIn = (value: unknown): Command | undefined => {
  if (!isObject(value)) return undefined;
  const { action, target, args = {}, command_id: id = "", ...more } = value;
  const isWhole = Object.keys(more).every((name) => name === "actuator") && /^\S{0,36}$/.test(String(id));
  if (typeof action !== "string" || !isObject(target) || !isObject(args) || !isWhole) return undefined;
  if (Object.keys(target).length !== 1 || typeof id !== "string") return undefined;
  return { action, target, args, command_id: id };
};

const isAddressTarget = ({ ipv4_net: four, ipv6_net: six }: Json): boolean =>
  (typeof four === "string" && /^\d{1,3}(\.\d{1,3}){3}(\/\d{1,2})?$/.test(four)) ||
  (typeof six === "string" && /^[0-9a-f:]+(\/\d{1,3})?$/.test(six));
const isDomainTarget = ({ domain_name: name }: Json): boolean =>
  typeof name === "string" && /^[a-z0-9_-]{1,63}(\.[a-z0-9_-]{1,63})+$/.test(name);

/** As the kit names it: `block_ip 203.0.113.9`. */
const keyOf = ({ target }: Rule): string => {
  const { ipv4_net: four, ipv6_net: six, domain_name: domain } = target;
  if (domain !== undefined) return `block_domain ${domain}`;
  const [net = "", one] = four === undefined ? [six, "/128"] : [four, "/32"];
  return net.endsWith(one) ? `block_ip ${net.slice(0, -one.length)}` : `block_range ${net}`;
};

const sha256Of = (file: unknown): string | undefined => {
  const hashes = isObject(file) ? file["hashes"] : undefined;
  const found = isObject(hashes) ? hashes["sha256"] : undefined;
  return typeof found === "string" && /^[0-9a-f]{64}$/.test(found) ? found : undefined;
};

const isObject = (value: unknown): value is Json =>
  typeof value === "object" && value !== null && !Array.isArray(value);
const parsed = (text: string): Json | undefined => {
  try {
    const value: unknown = JSON.parse(text);
    return isObject(value) ? value : undefined;
  } catch {
    return undefined;
  }
};
