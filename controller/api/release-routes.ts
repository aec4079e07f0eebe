import { type KillState, killScopeKey } from "@reflex/protocol/kill";
import type { Refusal } from "@reflex/protocol/refusal";
import { refusal } from "@reflex/protocol/refusal";
import { err, ok, type Result } from "@reflex/protocol/result";
import type { FastifyInstance } from "fastify";
import { acceptKill, killBytesMax } from "../release/accept-kill.ts";
import { acceptBundle, acceptWeights, releaseBytesMax } from "../release/accept-release.ts";
import { acceptTrust } from "../release/accept-trust.ts";
import type { Kill } from "../release/kill-register.ts";
import { answer, refuse } from "./answer.ts";
import type { ApiDeps } from "./api-port.ts";

/** What signed messages people publish. The body is the envelope; its bytes are kept as they came. */
export const releaseRoutes = (app: FastifyInstance, deps: ApiDeps): void => {
  const { callers, releases, crypto } = deps;

  const release = async (
    kind: "bundle" | "weights",
    bytes: Uint8Array,
    by: string,
  ): Promise<Result<object, Refusal>> => {
    const newest = await releases.newestVersion(kind);
    const { trust } = deps.trust();
    const accepted =
      kind === "bundle"
        ? await acceptBundle(crypto, trust, newest, bytes)
        : acceptWeights(crypto, trust, newest, bytes);
    if (!accepted.ok) return accepted;
    const { aud, version } = accepted.value.value;
    const changelog = "changelog" in accepted.value.value ? accepted.value.value.changelog : "";
    const hash = crypto.sha256Hex(bytes);
    const isStored = await releases.release({ kind, hash, version, sites: aud.sites, changelog, envelope: bytes, by });
    if (!isStored) return err(refusal("conflict", `version ${version} or a higher one was released this moment`));
    await deps.announce("release");
    deps.live.tell({ kind: "release", at: new Date(deps.nowMs()).toISOString(), what: kind, version, hash });
    deps.log({ kind, version, hash, by }, "released");
    return ok({ version, hash, bytes: bytes.length, sites: aud.sites });
  };

  const kill = async (bytes: Uint8Array, by: string): Promise<Result<object, Refusal>> => {
    const accepted = acceptKill(crypto, deps.trust().trust, bytes);
    if (!accepted.ok) return accepted;
    const taken: Kill = { state: accepted.value.value, envelope: JSON.stringify(accepted.value.envelope) };
    const { state, epoch, aud } = taken.state;
    const scope = killScopeKey(aud);
    if (state === "armed") return rearm(taken, scope, by);
    if (!deps.kills.take(taken))
      return err(refusal("version-rollback", `epoch ${epoch} is not above what is known of ${scope}`));
    // Out first, stored after: a slow or broken database must not hold up a kill.
    const sent = deps.sendKill(taken).then(
      () => true,
      () => false,
    );
    deps.live.tell({ kind: "kill", at: new Date(deps.nowMs()).toISOString(), scope, state, epoch });
    deps.log({ scope, state, epoch, by }, "kill switch");
    return stored(taken, by, scope, await sent);
  };

  /** The other way round for a release: what could be forgotten again must not be said. */
  const rearm = async (taken: Kill, scope: string, by: string): Promise<Result<object, Refusal>> => {
    const { state, epoch } = taken.state;
    const known = deps.kills.all().find((other) => killScopeKey(other.state.aud) === scope);
    if (known !== undefined && known.state.epoch >= epoch)
      return err(refusal("version-rollback", `epoch ${epoch} is not above ${known.state.epoch} of ${scope}`));
    const result = await stored(taken, by, scope, true);
    if (!result.ok || !deps.kills.take(taken)) return result;
    const isSent = await deps.sendKill(taken).then(
      () => true,
      () => false,
    );
    deps.live.tell({ kind: "kill", at: new Date(deps.nowMs()).toISOString(), scope, state, epoch });
    deps.log({ scope, state, epoch, by }, "kill switch");
    return ok({ scope, state, epoch, sent: isSent });
  };

  const stored = async (taken: Kill, by: string, scope: string, isSent: boolean): Promise<Result<object, Refusal>> => {
    const { state, epoch } = taken.state;
    try {
      await releases.storeKill(taken, by);
      await deps.announce("kill");
      return ok({ scope, state, epoch, sent: isSent });
    } catch (error) {
      deps.log({ scope, error: error instanceof Error ? error.message.slice(0, 200) : "" }, "kill state not stored");
      const what = state === "engaged" ? "the kill is in force and goes out, but is" : "the release is";
      return err(refusal("store-failed", `${what} not stored: repeat it when the database is back`));
    }
  };

  app.register(async (raw) => {
    raw.removeAllContentTypeParsers();
    raw.addContentTypeParser("*", { parseAs: "buffer" }, (_request, body, done) => done(null, body));
    const publish = (
      path: string,
      bodyLimit: number,
      summary: string,
      take: (bytes: Uint8Array, by: string) => Promise<Result<object, Refusal>>,
    ): void => {
      raw.post(
        path,
        { bodyLimit, schema: { tags: ["release"], summary, description: "The body is a DSSE envelope (JSON)." } },
        async (request, reply) => {
          const operator = callers.operator(request.headers.authorization, "operator");
          if (!operator.ok) return refuse(reply, operator.error);
          if (!(request.body instanceof Uint8Array)) return refuse(reply, refusal("envelope-malformed", "no body"));
          return answer(reply, await take(request.body, operator.value.name));
        },
      );
    };
    publish("/v1/bundles", releaseBytesMax, "Release a signed bundle to the sites of its audience", (bytes, by) =>
      release("bundle", bytes, by),
    );
    publish("/v1/weights", releaseBytesMax, "Release signed weights", (bytes, by) => release("weights", bytes, by));
    publish("/v1/kill", killBytesMax, "Engage (one key) or release (two keys) a kill switch", kill);
    publish("/v1/trust", 512 * 1024, "Publish the next trust document", async (bytes) => {
      const accepted = acceptTrust(crypto, deps.org, bytes, deps.trust().trust);
      if (!accepted.ok) return accepted;
      await releases.storeTrust(accepted.value.value.version, Buffer.from(bytes).toString("utf8"));
      await deps.announce("trust");
      return ok({ version: accepted.value.value.version });
    });
  });

  const list = (path: string, name: string, summary: string, read: () => Promise<unknown>): void => {
    app.get(path, { schema: { tags: ["release"], summary } }, async (request, reply) => {
      const viewer = callers.operator(request.headers.authorization, "viewer");
      return viewer.ok ? reply.send({ [name]: await read() }) : refuse(reply, viewer.error);
    });
  };
  list("/v1/bundles", "bundles", "Released bundles", () => releases.list("bundle"));
  list("/v1/weights", "weights", "Released weights", () => releases.list("weights"));
  list("/v1/kill", "kills", "Kill states by scope", async () => deps.kills.all().map(killRow));
};

const killRow = ({ state, envelope }: { readonly state: KillState; readonly envelope: string }) => ({
  scope: killScopeKey(state.aud),
  site: state.aud.site,
  agent: state.aud.agent,
  state: state.state,
  epoch: state.epoch,
  reason: state.reason,
  by: state.by,
  issued_at: state.issued_at,
  envelope: JSON.parse(envelope) as unknown,
});
