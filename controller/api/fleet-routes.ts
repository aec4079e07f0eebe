import { segmentPattern } from "@reflex/protocol/ids";
import { refusal } from "@reflex/protocol/refusal";
import type { FastifyInstance } from "fastify";
import Type, { type Static } from "typebox";
import { refuse } from "./answer.ts";
import type { ApiDeps } from "./api-port.ts";

const joinTokenMs = 3_600_000;
const JoinTokenBody = Type.Object({ site: Type.String({ pattern: segmentPattern }) }, { additionalProperties: false });
const AgentParams = Type.Object({ agent: Type.String({ pattern: segmentPattern }) });
type AgentParams = Static<typeof AgentParams>;

/** Sites and agents. */
export const fleetRoutes = (app: FastifyInstance, deps: ApiDeps): void => {
  const { callers, fleet } = deps;

  app.post<{ Body: Static<typeof JoinTokenBody> }>(
    "/v1/join-tokens",
    {
      schema: {
        tags: ["fleet"],
        summary: "A one-time token that enrols one agent at a site within an hour",
        body: JoinTokenBody,
      },
    },
    async (request, reply) => {
      const operator = callers.operator(request.headers.authorization, "operator");
      if (!operator.ok) return refuse(reply, operator.error);
      const token = Buffer.from(deps.random(32)).toString("base64url");
      const { site } = request.body;
      const expiresAt = new Date(deps.nowMs() + joinTokenMs).toISOString();
      await fleet.createJoinToken({ hash: deps.crypto.sha256Hex(token), site, by: operator.value.name, expiresAt });
      await deps.announce("release");
      return reply.code(201).send({ join_token: token, site, expires_at: expiresAt });
    },
  );

  app.get("/v1/agents", { schema: { tags: ["fleet"], summary: "Every enrolled agent" } }, async (request, reply) => {
    const viewer = callers.operator(request.headers.authorization, "viewer");
    return viewer.ok ? reply.send({ agents: await fleet.agents() }) : refuse(reply, viewer.error);
  });

  app.get<{ Params: AgentParams }>(
    "/v1/agents/:agent",
    { schema: { tags: ["fleet"], summary: "One agent", params: AgentParams } },
    async (request, reply) => {
      const viewer = callers.operator(request.headers.authorization, "viewer");
      if (!viewer.ok) return refuse(reply, viewer.error);
      const agent = await fleet.agent(request.params.agent);
      return agent === undefined ? refuse(reply, refusal("not-found", "no such agent")) : reply.send(agent);
    },
  );

  app.post<{ Params: AgentParams }>(
    "/v1/agents/:agent/revoke",
    { schema: { tags: ["fleet"], summary: "Shut an agent out until it enrols anew", params: AgentParams } },
    async (request, reply) => {
      const operator = callers.operator(request.headers.authorization, "operator");
      if (!operator.ok) return refuse(reply, operator.error);
      const isKnown = await fleet.revoke(request.params.agent, operator.value.name);
      if (!isKnown) return refuse(reply, refusal("not-found", "no such agent"));
      await deps.announce("revoked");
      return reply.send(await fleet.agent(request.params.agent));
    },
  );

  app.get(
    "/v1/sites",
    { schema: { tags: ["fleet"], summary: "Sites and what is released to them" } },
    async (request, reply) => {
      const viewer = callers.operator(request.headers.authorization, "viewer");
      return viewer.ok ? reply.send({ sites: await fleet.sites() }) : refuse(reply, viewer.error);
    },
  );
};
