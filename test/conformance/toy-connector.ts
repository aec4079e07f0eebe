import { readBlockTarget } from "@reflex/edge-agent/connectors/block-target";
import type { ApplyOutcome, Connector, ConnectorCall } from "@reflex/edge-agent/connectors/contract";
import type { HttpCallAnswer, HttpCallFailure, HttpCalls } from "@reflex/edge-agent/connectors/http-call";
import { type Refusal, refusal } from "@reflex/protocol/refusal";
import { err, ok, type Result } from "@reflex/protocol/result";

/** What the toy appliance's connector can be given to get wrong, so that the kit is seen to notice. */
export type ToyFlaw =
  | "takes a time-out for a failure"
  | "takes 500 for a no"
  | "forgets to ask for a new token"
  | "guesses when verifying"
  | "undoes everything"
  | "undoes what was there before"
  | "fails to undo what is not there"
  | "takes any target"
  | "lists everything"
  | "ignores Retry-After"
  | "waits for ever"
  | "tells its password";

export type ToyOptions = {
  readonly url: string;
  readonly http: HttpCalls;
  readonly password: string;
  readonly callTimeoutMs: number;
  readonly flaw?: ToyFlaw;
};

const owner = "reflex";

/** A connector in code, as an author would write one where no manifest will do: the example of the README. */
export const createToyConnector = ({ url, http, password, callTimeoutMs, flaw }: ToyOptions): Connector => {
  let token = "";

  const send = async (method: string, path: string, body = ""): Promise<Result<HttpCallAnswer, HttpCallFailure>> =>
    http.request({
      method,
      url: url + path,
      headers: { authorization: `Bearer ${token}`, "x-owner": owner },
      ...(body === "" ? {} : { body }),
      deadlineMs: flaw === "waits for ever" ? 3_600_000 : callTimeoutMs,
      bytesMax: 64 * 1024,
    });
  const logIn = async (): Promise<void> => {
    const answer = await send("POST", "/token", JSON.stringify({ password }));
    if (answer.ok && answer.value.status === 200) token = String((jsonOf(answer.value) as { token?: unknown }).token);
  };
  /** One new token after a 401, never more. */
  const ask = async (method: string, path: string): Promise<Result<HttpCallAnswer, HttpCallFailure>> => {
    if (token === "") await logIn();
    const answer = await send(method, path);
    if (!answer.ok || answer.value.status !== 401 || flaw === "forgets to ask for a new token") return answer;
    await logIn();
    return send(method, path);
  };
  const placeOf = ({ action, target }: Pick<ConnectorCall, "action" | "target">): Result<string, Refusal> => {
    if (action !== "block_ip") return err(refusal("connector-unknown", `the toy cannot ${action}`));
    if (flaw === "takes any target") return ok(`/blocks/${encodeURIComponent("203.0.113.250")}`);
    const address = readBlockTarget(target);
    if (!address.ok) return address;
    if (target.type !== "address" || address.value.text.includes(":"))
      return err(refusal("target-unresolved", "the toy knows IPv4 addresses alone"));
    return ok(`/blocks/${encodeURIComponent(address.value.text)}`);
  };

  const verify: Connector["verify"] = async (call) => {
    const place = placeOf(call);
    if (!place.ok) return { kind: "absent" };
    const answer = await ask("GET", place.value);
    if (answer.ok && answer.value.status === 200) return { kind: "present" };
    if (answer.ok && answer.value.status === 404) return { kind: "absent" };
    return { kind: flaw === "guesses when verifying" ? "absent" : "unknown", detail: detailOf(answer) };
  };

  return {
    name: "toy",
    describe: () => ({
      about: "blocks an address at the toy appliance",
      actions: { block_ip: { targets: ["address"], nativeTtl: false, canVerify: true, canUndo: true } },
      needs: ["the password of an operator"],
    }),
    start: async () => ok(undefined),
    captureUndo: async (call) => {
      const place = placeOf(call);
      if (!place.ok) return place;
      const answer = await ask("GET", place.value);
      if (answer.ok && answer.value.status === 404) return ok("");
      if (answer.ok && answer.value.status === 200)
        return ok((jsonOf(answer.value) as { owner?: unknown }).owner === owner ? "" : "blocked before us");
      return err(refusal("unreachable", detailOf(answer)));
    },
    apply: async (call) => {
      const place = placeOf(call);
      if (!place.ok) return { kind: "refused", ...place.error };
      const answer = await ask("PUT", place.value);
      if (answer.ok && answer.value.status === 200) return { kind: "applied" };
      const outcome = failed(answer, flaw);
      if (flaw !== "tells its password" || outcome.kind === "applied") return outcome;
      return { ...outcome, detail: `${outcome.detail}, logged in with ${password}` };
    },
    verify,
    undo: async (call) => {
      const place = placeOf(call);
      if (!place.ok) return { kind: "undone" };
      if (call.undoData === "blocked before us" && flaw !== "undoes what was there before") return { kind: "undone" };
      const places = flaw === "undoes everything" ? await everyPlace(ask) : [place.value];
      for (const one of places) {
        const answer = await ask("DELETE", one);
        const isGone = answer.ok && answer.value.status === 404 && flaw !== "fails to undo what is not there";
        if (!isGone && !(answer.ok && answer.value.status === 200))
          return { kind: "retry", detail: detailOf(answer), ...retryAfterOf(answer) };
      }
      return { kind: "undone" };
    },
    listInForce: async () => {
      const answer = await ask("GET", "/blocks");
      if (!answer.ok || answer.value.status !== 200) return err(refusal("unreachable", detailOf(answer)));
      const listed = jsonOf(answer.value) as { address: string; owner: string }[];
      return ok(
        listed
          .filter((one) => one.owner === owner || flaw === "lists everything")
          .map(({ address }) => ({ action: "block_ip", id: address })),
      );
    },
    stop: async () => http.close(),
  };
};

/** Nothing came of it, or nobody knows: which of the two is the whole art. */
const failed = (answer: Result<HttpCallAnswer, HttpCallFailure>, flaw: ToyFlaw | undefined): ApplyOutcome => {
  const detail = detailOf(answer);
  if (!answer.ok) {
    if (answer.error.kind === "unsent" || flaw === "takes a time-out for a failure") return { kind: "retry", detail };
    return { kind: "unknown", detail };
  }
  const { status } = answer.value;
  if (status === 429) return { kind: "retry", detail, ...(flaw === "ignores Retry-After" ? {} : retryAfterOf(answer)) };
  if (status >= 500 && flaw !== "takes 500 for a no") return { kind: "unknown", detail };
  return { kind: "refused", code: "connector-refused", detail };
};

const retryAfterOf = (answer: Result<HttpCallAnswer, HttpCallFailure>): { retryAfterMs?: number } => {
  const seconds = answer.ok ? Number(answer.value.headers["retry-after"]) : Number.NaN;
  return Number.isFinite(seconds) ? { retryAfterMs: seconds * 1_000 } : {};
};
const detailOf = (answer: Result<HttpCallAnswer, HttpCallFailure>): string =>
  answer.ok ? `status ${answer.value.status}` : answer.error.detail;
const jsonOf = ({ bytes }: HttpCallAnswer): unknown => JSON.parse(new TextDecoder().decode(bytes));

const everyPlace = async (
  ask: (method: string, path: string) => Promise<Result<HttpCallAnswer, HttpCallFailure>>,
): Promise<string[]> => {
  const answer = await ask("GET", "/blocks");
  return answer.ok ? (jsonOf(answer.value) as { address: string }[]).map(({ address }) => `/blocks/${address}`) : [];
};
