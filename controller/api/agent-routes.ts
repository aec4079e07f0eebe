import type { TLSSocket } from "node:tls";
import { segmentPattern, sha256Pattern } from "@reflex/protocol/ids";
import { mqttPacketBytesMax } from "@reflex/protocol/limits";
import { type Refusal, refusal } from "@reflex/protocol/refusal";
import { err, ok, type Result } from "@reflex/protocol/result";
import { checkSyncRequest } from "@reflex/protocol/validate";
import type { FastifyInstance, FastifyReply, FastifyRequest } from "fastify";
import Type, { type Static } from "typebox";
import { csrLengthMax } from "../pki/csr.ts";
import { answer, refuse } from "./answer.ts";
import type { ApiDeps } from "./api-port.ts";
import { type AgentIdentity, agentOfSocket } from "./callers.ts";

const EnrolBody = Type.Object(
  {
    join_token: Type.String({ minLength: 16, maxLength: 128 }),
    agent: Type.String({ pattern: segmentPattern }),
    csr: Type.String({ maxLength: csrLengthMax }),
    report_key: Type.String({ pattern: "^[A-Za-z0-9+/]{43}=$" }),
  },
  { additionalProperties: false },
);
const RenewBody = Type.Object({ csr: Type.String({ maxLength: csrLengthMax }) }, { additionalProperties: false });
const HashParams = Type.Object({ sha256: Type.String({ pattern: sha256Pattern }) });
const VersionParams = Type.Object({ version: Type.String({ pattern: "^(latest|[1-9][0-9]{0,9})$" }) });

/** What agents ask over HTTPS: who they are, what is released, and everything else when the broker is away. */
export const agentRoutes = (app: FastifyInstance, deps: ApiDeps): void => {
  const agentOf = (request: FastifyRequest, allows: "valid" | "expired"): Result<AgentIdentity, Refusal> =>
    agentOfSocket(request.raw.socket as TLSSocket, deps.authority.caPem, deps.org, allows, deps.nowMs());
  const known = async (
    request: FastifyRequest,
    allows: "valid" | "expired",
  ): Promise<Result<AgentIdentity, Refusal>> => {
    const identity = agentOf(request, allows);
    if (!identity.ok) return identity;
    const row = await deps.fleet.agent(identity.value.agent);
    const isSame = row !== undefined && row.site === identity.value.site && row.revoked_at === null;
    return isSame ? identity : err(refusal("unauthorised", "the agent is not enrolled, or revoked"));
  };
  /** Blobs and trust are for agents and for people who look. */
  const mayRead = (request: FastifyRequest): Result<unknown, Refusal> => {
    const agent = agentOf(request, "expired");
    return agent.ok ? agent : deps.callers.operator(request.headers.authorization, "viewer");
  };

  app.post<{ Body: Static<typeof EnrolBody> }>(
    "/v1/enrol",
    { schema: { tags: ["agent"], summary: "Enrol an agent with a join token", body: EnrolBody } },
    async (request, reply) => {
      const { join_token, agent, csr, report_key } = request.body;
      const tokenHash = deps.crypto.sha256Hex(join_token);
      const unusable = refusal("unauthorised", "the join token is unknown, used or past its hour");
      const site = await deps.fleet.siteOfJoinToken(tokenHash, agent, report_key);
      if (site === undefined) return refuse(reply, unusable);
      // Signed before the token is used up: a bad request must not cost the token.
      const signed = await deps.authority.signAgentCsr(csr, { site, agent });
      if (!signed.ok) return refuse(reply, signed.error);
      const { certificate, notAfterMs } = signed.value;
      const not_after = new Date(notAfterMs).toISOString();
      const enrolled = await deps.fleet.enrol({
        tokenHash,
        agent,
        reportKey: report_key,
        certificateNotAfter: not_after,
      });
      if (enrolled === undefined)
        return refuse(
          reply,
          refusal("conflict", `an agent ${agent} is enrolled at another site, or the token was used this moment`),
        );
      await deps.announce("revoked");
      deps.log({ agent, site, incarnation: enrolled.incarnation }, "agent enrolled");
      const trust: unknown = JSON.parse(deps.trust().envelope);
      return reply.code(201).send({
        org: deps.org,
        site,
        agent,
        certificate,
        ca: deps.authority.caPem,
        not_after,
        trust,
        broker: deps.brokerPorts() ?? null,
      });
    },
  );

  app.post<{ Body: Static<typeof RenewBody> }>(
    "/v1/agent/renew",
    { schema: { tags: ["agent"], summary: "Renew the certificate of the connection", body: RenewBody } },
    async (request, reply) => {
      const identity = await known(request, "expired");
      if (!identity.ok) return refuse(reply, identity.error);
      const signed = await deps.authority.signAgentCsr(request.body.csr, identity.value);
      if (!signed.ok) return refuse(reply, signed.error);
      const not_after = new Date(signed.value.notAfterMs).toISOString();
      await deps.fleet.renewed(identity.value.agent, not_after);
      return reply.send({ certificate: signed.value.certificate, ca: deps.authority.caPem, not_after });
    },
  );

  app.post(
    "/v1/agent/sync",
    { schema: { tags: ["agent"], summary: "Sync when the broker is away" } },
    async (request, reply) => {
      const identity = await known(request, "expired");
      if (!identity.ok) return refuse(reply, identity.error);
      const body = checkSyncRequest(request.body);
      return answer(reply, body.ok ? await deps.answerSync(identity.value.agent, body.value) : body);
    },
  );

  app.get<{ Params: Static<typeof HashParams> }>(
    "/v1/blobs/:sha256",
    {
      schema: { tags: ["agent"], summary: "Bytes of a published bundle or weights, as published", params: HashParams },
    },
    async (request, reply) => {
      const who = mayRead(request);
      if (!who.ok) return refuse(reply, who.error);
      const blob = await deps.releases.blob(request.params.sha256);
      if (blob === undefined) return refuse(reply, refusal("not-found", "no such blob"));
      return sendRange(reply, request.headers.range, blob, request.params.sha256);
    },
  );

  app.get<{ Params: Static<typeof VersionParams> }>(
    "/v1/trust/:version",
    { schema: { tags: ["agent"], summary: "Trust document of a version, as its envelope", params: VersionParams } },
    async (request, reply) => {
      const who = mayRead(request);
      if (!who.ok) return refuse(reply, who.error);
      const { version } = request.params;
      const trusts = await deps.releases.trusts();
      const found = version === "latest" ? trusts.at(-1) : trusts.find((trust) => trust.version === Number(version));
      if (found === undefined) return refuse(reply, refusal("not-found", "no such version"));
      return reply.type("application/json").send(found.envelope);
    },
  );

  app.register(async (raw) => {
    raw.removeAllContentTypeParsers();
    raw.addContentTypeParser("*", { parseAs: "buffer", bodyLimit: mqttPacketBytesMax }, (_request, body, done) =>
      done(null, body),
    );
    raw.post(
      "/v1/agent/reports",
      { schema: { tags: ["agent"], summary: "A signed batch of reports when the broker is away" } },
      async (request, reply) => {
        const identity = await known(request, "expired");
        if (!identity.ok) return refuse(reply, identity.error);
        const taken =
          request.body instanceof Uint8Array
            ? await deps.takeReport(identity.value.agent, request.body)
            : err(refusal("envelope-malformed"));
        return answer(reply, taken);
      },
    );
  });
};

/** RFC 9110 §14, one range: a download that broke off goes on where it was. Content under a hash never changes. */
const sendRange = (reply: FastifyReply, header: string | undefined, blob: Uint8Array, hash: string): FastifyReply => {
  reply
    .header("accept-ranges", "bytes")
    .header("etag", `"${hash}"`)
    .header("cache-control", "private, max-age=31536000, immutable")
    .type("application/json");
  const range = rangeOf(header, blob.length);
  if (!range.ok) return reply.code(416).header("content-range", `bytes */${blob.length}`).send();
  if (range.value === undefined) return reply.send(blob);
  const [first, last] = range.value;
  return reply
    .code(206)
    .header("content-range", `bytes ${first}-${last}/${blob.length}`)
    .send(blob.subarray(first, last + 1));
};

const rangeOf = (
  header: string | undefined,
  length: number,
): Result<readonly [number, number] | undefined, "unsatisfiable"> => {
  const match = /^bytes=(\d{0,15})-(\d{0,15})$/.exec(header ?? "");
  const [, from = "", to = ""] = match ?? [];
  if (match === null || (from === "" && to === "")) return ok(undefined);
  const first = from === "" ? Math.max(0, length - Number(to)) : Number(from);
  const last = from === "" || to === "" ? length - 1 : Math.min(Number(to), length - 1);
  return first <= last && first < length ? ok([first, last]) : err("unsatisfiable");
};
