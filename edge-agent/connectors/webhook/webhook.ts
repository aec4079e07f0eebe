import type { ActionName } from "@reflex/protocol/action";
import { actions } from "@reflex/protocol/action";
import { type Refusal, refusal } from "@reflex/protocol/refusal";
import { err, ok, type Result } from "@reflex/protocol/result";
import type { Clock } from "../../ports.ts";
import type { ActionTraits, ApplyOutcome, Connector, ConnectorCall, UndoOutcome, VerifyOutcome } from "../contract.ts";
import type { HttpCallAnswer, HttpCallFailure, HttpCalls } from "../http-call.ts";
import type { Secrets } from "../secrets-port.ts";
import { outcomeOfStatus, retryAfterMsOf } from "./answer.ts";
import { signWebhook } from "./signature.ts";

export type WebhookOptions = {
  readonly name: string;
  readonly url: string;
  /** A secret of Standard Webhooks: `whsec_…` or `whsk_…`. */
  readonly secretRef: string;
  /** Actions that a person or SOAR behind the webhook carries out, beside `notify`. */
  readonly handOff: readonly ActionName[];
  /** A notice is sent when the lease ends; needed for every action that is handed off. */
  readonly undoNotice: boolean;
  /** Answers `{"in_force": true|false}` for `?command_id=…&action=…&target_type=…&target=…`; without it nothing can be verified. */
  readonly statusUrl?: string;
  readonly callMs: number;
  readonly http: HttpCalls;
  readonly secrets: Secrets;
  readonly clock: Clock;
};

/** More than this is not an acknowledgement. */
const answerBytesMax = 64 * 1024;

/**
 * Tells another system by signed POST: people (`notify`), or a SOAR that does what Reflex cannot (hand-off). The id of the message is
 * the command's idempotency key, so a receiver that keeps ids sees each command once.
 */
export const createWebhook = (options: WebhookOptions): Connector => {
  const traitsOf = (action: ActionName): ActionTraits => ({
    targets: actions[action].targets,
    nativeTtl: false,
    canVerify: options.statusUrl !== undefined,
    canUndo: action !== "notify" && options.undoNotice,
  });
  const offered: readonly ActionName[] = ["notify", ...options.handOff.filter((action) => action !== "notify")];

  const checked = ({ action, target }: Pick<ConnectorCall, "action" | "target">): Result<void, Refusal> => {
    if (!offered.includes(action)) {
      return err(refusal("connector-unknown", `${options.name} does not hand ${action} on`));
    }
    const isForIt = traitsOf(action).targets.includes(target.type);
    return isForIt ? ok(undefined) : err(refusal("target-unresolved", `${action} is not for a ${target.type}`));
  };

  const post = async (id: string, body: string): Promise<Result<HttpCallAnswer, PostFailure>> => {
    const secret = options.secrets.read(options.secretRef);
    if (!secret.ok) return err({ kind: "unusable", refusal: secret.error });
    const headers = signWebhook(secret.value.reveal(), { id, atMs: options.clock.nowMs(), body });
    if (!headers.ok) return err({ kind: "unusable", refusal: headers.error });
    return options.http.request({
      method: "POST",
      url: options.url,
      headers: { "content-type": "application/json", "user-agent": "reflex", ...headers.value },
      body,
      deadlineMs: options.callMs,
      bytesMax: answerBytesMax,
    });
  };

  const apply = async (call: ConnectorCall): Promise<ApplyOutcome> => {
    const legal = checked(call);
    if (!legal.ok) return { kind: "refused", ...legal.error };
    const type = call.action === "notify" ? "reflex.notice" : "reflex.command.apply";
    const answer = await post(call.idempotencyKey, bodyOf(type, options, call));
    if (answer.ok) return outcomeOfStatus(answer.value, options.clock.nowMs());
    if (answer.error.kind === "unusable") return { kind: "refused", ...answer.error.refusal };
    return { kind: answer.error.kind === "unsent" ? "retry" : "unknown", detail: answer.error.detail };
  };

  const undo = async (call: ConnectorCall): Promise<UndoOutcome> => {
    // What could never be handed on was not.
    if (!checked(call).ok) return { kind: "undone" };
    if (!traitsOf(call.action).canUndo) return { kind: "undone", detail: "a notice cannot be taken back" };
    const answer = await post(`${call.idempotencyKey}.undo`, bodyOf("reflex.command.undo", options, call));
    if (!answer.ok) {
      const { error } = answer;
      return { kind: "retry", detail: error.kind === "unusable" ? error.refusal.detail : error.detail };
    }
    const outcome = outcomeOfStatus(answer.value, options.clock.nowMs());
    if (outcome.kind === "applied") return { kind: "undone", ...(outcome.detail ? { detail: outcome.detail } : {}) };
    const retryAfterMs = retryAfterMsOf(answer.value, options.clock.nowMs());
    return { kind: "retry", detail: outcome.detail, ...(retryAfterMs === undefined ? {} : { retryAfterMs }) };
  };

  const verify = async (call: ConnectorCall): Promise<VerifyOutcome> => {
    if (options.statusUrl === undefined) return { kind: "unknown", detail: "the receiver gives no status" };
    const secret = options.secrets.read(options.secretRef);
    if (!secret.ok) return { kind: "unknown", detail: secret.error.detail };
    const url = new URL(options.statusUrl);
    const asked = {
      command_id: call.commandId,
      action: call.action,
      target_type: call.target.type,
      target: call.target.value,
    };
    for (const [name, value] of Object.entries(asked)) url.searchParams.set(name, value);
    // The question is signed as well: what is in force is nobody else's business.
    const id = `${call.idempotencyKey}.status`;
    const headers = signWebhook(secret.value.reveal(), { id, atMs: options.clock.nowMs(), body: url.search.slice(1) });
    if (!headers.ok) return { kind: "unknown", detail: headers.error.detail };
    const answer = await options.http.request({
      method: "GET",
      url: url.href,
      headers: { accept: "application/json", "user-agent": "reflex", ...headers.value },
      deadlineMs: options.callMs,
      bytesMax: answerBytesMax,
    });
    return answer.ok ? readStatus(answer.value) : { kind: "unknown", detail: answer.error.detail };
  };

  return {
    name: options.name,
    describe: () => ({
      about: `signed webhook to ${new URL(options.url).host}: in force when received${options.handOff.length > 0 ? ", done by whoever is behind it" : ""}`,
      actions: Object.fromEntries(offered.map((action) => [action, traitsOf(action)])),
      needs: [
        "a receiver that checks the signature (standardwebhooks.com) and takes each webhook-id once",
        ...(options.handOff.length > 0
          ? ["somebody behind it who acts on reflex.command.apply and reflex.command.undo"]
          : []),
      ],
      callsAtOnceMax: 8,
    }),
    start: async () => {
      const secret = options.secrets.read(options.secretRef);
      if (!secret.ok) return secret;
      const headers = signWebhook(secret.value.reveal(), { id: "start", atMs: options.clock.nowMs(), body: "" });
      return headers.ok ? ok(undefined) : headers;
    },
    captureUndo: async (call) => {
      const legal = checked(call);
      return legal.ok ? ok("") : legal;
    },
    apply,
    verify,
    undo,
    stop: async () => options.http.close(),
  };
};

type PostFailure = HttpCallFailure | { readonly kind: "unusable"; readonly refusal: Refusal };

/** Wire names as in the command; the same command always gives the same bytes. */
const bodyOf = (type: string, { name }: WebhookOptions, call: ConnectorCall): string =>
  JSON.stringify({
    type,
    data: {
      command_id: call.commandId,
      decision_id: call.decisionId,
      idempotency_key: call.idempotencyKey,
      connector: name,
      action: call.action,
      target: { type: call.target.type, value: call.target.value },
      ttl: call.ttlSeconds,
      reason: call.reason,
    },
  });

const readStatus = ({ status, bytes }: HttpCallAnswer): VerifyOutcome => {
  if (status !== 200) return { kind: "unknown", detail: `the receiver answers ${status}` };
  try {
    const value: unknown = JSON.parse(Buffer.from(bytes).toString("utf8"));
    const inForce = typeof value === "object" && value !== null && "in_force" in value ? value.in_force : undefined;
    if (inForce === true) return { kind: "present" };
    if (inForce === false) return { kind: "absent" };
  } catch {
    // Not JSON is not an answer.
  }
  return { kind: "unknown", detail: "the status does not say in_force true or false" };
};
