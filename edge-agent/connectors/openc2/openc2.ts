import type { Refusal } from "@reflex/protocol/refusal";
import { ok, type Result } from "@reflex/protocol/result";
import type { Timers } from "../../ports.ts";
import type { ActionTraits, ApplyOutcome, Connector, ConnectorCall, UndoOutcome, VerifyOutcome } from "../contract.ts";
import { actionsOf, type Commands, commandsOf, type Profiles } from "./command-of.ts";
import { type Features, featuresIn } from "./features.ts";
import type { OpenC2Command } from "./message.ts";
import { applyOutcomeOf, failedApply, failedUndo, ruleNumberIn, undoOutcomeOf, verifyOutcomeOf } from "./outcome.ts";
import type { Transfer } from "./transfer.ts";

export type OpenC2Options = {
  readonly name: string;
  readonly profiles: Profiles;
  /** Who we say we are (`from`), and part of our rule numbers: must stay the same. */
  readonly producer: string;
  readonly transfer: Transfer;
  /** `https://…` or `mqtts://… consumer x`, for screens. */
  readonly place: string;
  readonly timers: Timers;
};

/** A consumer that is away must not hold up the start of an agent; one that is there answers sooner. */
const startWaitMs = 1_000;

/**
 * An OpenC2 producer: Language Specification 1.0, profiles `pf`/`slpf` for packet filters and `er` for endpoints.
 * Rules of a packet filter can be asked for where the consumer's features say so; what an endpoint does cannot be asked for in
 * OpenC2 at all, so those actions are done at most once. `release_host` is not offered: nobody can say whether the host was
 * cut off before, and its undo would cut off a host that was free.
 */
export const createOpenC2 = ({ name, profiles, producer, transfer, place, timers }: OpenC2Options): Connector => {
  let features: Features | undefined;

  const learnFeatures = async (): Promise<Features | undefined> => {
    if (features !== undefined) return features;
    const answer = await transfer.exchange(queryFeatures);
    // An answer that could not be had is asked for again; one that was had holds until the next start.
    if (answer.ok) features = featuresIn(answer.value);
    return features;
  };
  const rule = `${profiles.filter?.profile ?? "pf"}:rule_number`;

  const commandsFor = (call: ConnectorCall): Result<Commands, Refusal> => commandsOf(profiles, producer, call);

  const ask = async ({ query, ruleNumber }: Commands): Promise<VerifyOutcome> => {
    const isAnswered = query !== undefined && (await learnFeatures())?.can("query", rule) === true;
    if (query === undefined || ruleNumber === undefined || !isAnswered)
      return { kind: "unknown", detail: "this consumer cannot be asked" };
    const answer = await transfer.exchange(query);
    return answer.ok ? verifyOutcomeOf(answer.value, ruleNumber) : { kind: "unknown", detail: answer.error.detail };
  };

  /** A rule that is ended by the far end holds the time it was made with, so it is made anew for a longer one. */
  const putAgain = async (commands: Commands): Promise<ApplyOutcome> => {
    const removed = await transfer.exchange(commands.undo);
    if (!removed.ok) return { kind: "unknown", detail: removed.error.detail };
    const answer = await transfer.exchange(commands.apply);
    if (!answer.ok) return { kind: "unknown", detail: answer.error.detail };
    const outcome = applyOutcomeOf(answer.value);
    return outcome !== "unclear" && outcome.kind === "applied"
      ? outcome
      : { kind: "unknown", detail: "the rule was removed and could not be made again" };
  };

  /** A consumer that numbers rules by itself made one that our undo would not find. */
  const takeBackStranger = async (commands: Commands, given: number): Promise<ApplyOutcome> => {
    const [property = ""] = Object.keys(commands.undo.target);
    const answer = await transfer.exchange({ ...commands.undo, target: { [property]: given } });
    return answer.ok && undoOutcomeOf(answer.value) !== "unclear" && answer.value.status === 200
      ? {
          kind: "refused",
          code: "connector-refused",
          detail: "the consumer does not take our rule numbers (insert_rule)",
        }
      : { kind: "unknown", detail: `the consumer made rule ${given} instead of ${commands.ruleNumber}` };
  };

  const apply = async (call: ConnectorCall): Promise<ApplyOutcome> => {
    const commands = commandsFor(call);
    if (!commands.ok) return { kind: "refused", ...commands.error };
    if (!canTakeBack(await learnFeatures(), commands.value))
      return { kind: "refused", code: "connector-refused", detail: "the consumer says that it cannot take it back" };
    const answer = await transfer.exchange(commands.value.apply);
    if (!answer.ok) return failedApply(answer.error);
    const outcome = applyOutcomeOf(answer.value);
    if (outcome === "unclear") {
      // `Rule number currently in use` is a 500 like any other: whether it is our rule is for the consumer to say.
      if ((await ask(commands.value)).kind !== "present") return { kind: "unknown", detail: "500 from the consumer" };
      return profiles.filter?.nativeTtl === true
        ? putAgain(commands.value)
        : { kind: "applied", detail: "it was in force" };
    }
    const given = ruleNumberIn(answer.value);
    const isStranger = outcome.kind === "applied" && given !== undefined && given !== commands.value.ruleNumber;
    return isStranger ? takeBackStranger(commands.value, given) : outcome;
  };

  const undo = async (call: ConnectorCall): Promise<UndoOutcome> => {
    const commands = commandsFor(call);
    // What could never be sent is not in force.
    if (!commands.ok) return { kind: "undone" };
    const answer = await transfer.exchange(commands.value.undo);
    if (!answer.ok) return failedUndo(answer.error);
    const outcome = undoOutcomeOf(answer.value);
    if (outcome !== "unclear") return outcome;
    const seen = await ask(commands.value);
    return seen.kind === "absent" ? { kind: "undone" } : { kind: "retry", detail: "500 from the consumer" };
  };

  const traitsOf = (canVerify: boolean, nativeTtl: boolean): Omit<ActionTraits, "targets"> => ({
    canVerify,
    nativeTtl,
    canUndo: true,
  });

  return {
    name,
    describe: () => {
      const rules = traitsOf(features?.can("query", rule) === true, profiles.filter?.nativeTtl ?? false);
      const endpoints = traitsOf(false, false);
      const traits: Record<string, ActionTraits> = {
        block_ip: { targets: ["address"], ...rules },
        block_range: { targets: ["network"], ...rules },
        block_domain: { targets: ["domain"], ...rules },
        isolate_host: { targets: ["host"], ...endpoints },
        quarantine_file: { targets: ["file"], ...endpoints },
      };
      const perSecond = (features?.requestsPerMinute ?? 0) / 60;
      return {
        about: `OpenC2 producer for ${place}`,
        ...(perSecond === 0 ? {} : { rate: { perSecond, burst: Math.max(1, Math.floor(perSecond)) } }),
        actions: Object.fromEntries(
          actionsOf(profiles).flatMap((action) => (traits[action] === undefined ? [] : [[action, traits[action]]])),
        ),
        needs: [
          ...(profiles.filter === undefined
            ? []
            : [
                "the consumer takes our rule numbers (insert_rule), deletes rules by number and, to be verified, answers queries for one",
              ]),
          ...(profiles.endpoint === undefined
            ? []
            : [
                "the consumer refuses a host name that several devices have; nobody else contains the same devices through it",
              ]),
        ],
      };
    },
    start: async () => {
      const started = await transfer.start();
      if (!started.ok) return started;
      // Until it has answered, nothing is said to be verifiable.
      await new Promise<void>((resolve) => {
        const cancel = timers.after(startWaitMs, resolve);
        void learnFeatures().then(() => {
          cancel();
          resolve();
        });
      });
      return started;
    },
    captureUndo: async (call) => {
      const commands = commandsFor(call);
      return commands.ok ? ok("") : commands;
    },
    apply,
    verify: async (call) => {
      const commands = commandsFor(call);
      return commands.ok ? ask(commands.value) : { kind: "absent", detail: commands.error.detail };
    },
    undo,
    stop: transfer.stop,
  };
};

/** What cannot be undone is not done. A consumer that does not say what it can is taken at the word of who configured it. */
const canTakeBack = (features: Features | undefined, { undo }: Commands): boolean =>
  Object.keys(undo.target).every((target) => features?.can(undo.action, target) !== false);

const queryFeatures: OpenC2Command = {
  action: "query",
  target: { features: ["versions", "profiles", "pairs", "rate_limit"] },
  args: { response_requested: "complete" },
};
