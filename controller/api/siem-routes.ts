import { refusal } from "@reflex/protocol/refusal";
import type { FastifyInstance } from "fastify";
import Type, { type Static } from "typebox";
import { refuse } from "./answer.ts";
import type { ApiDeps } from "./api-port.ts";

const ListQuery = Type.Object(
  {
    limit: Type.Optional(Type.String({ pattern: "^[0-9]{1,3}$" })),
    cursor: Type.Optional(Type.String({ maxLength: 512 })),
  },
  { additionalProperties: false },
);

/** The mirror to the SIEM: how far it is, what it put aside, and what people do about it. */
export const siemRoutes = (app: FastifyInstance, deps: ApiDeps): void => {
  const { callers, mirrorLists } = deps;

  app.get("/v1/siem", { schema: { tags: ["siem"], summary: "How far the mirror is" } }, async (request, reply) => {
    const viewer = callers.operator(request.headers.authorization, "viewer");
    if (!viewer.ok) return refuse(reply, viewer.error);
    const [lags, deadLetters] = await Promise.all([mirrorLists.lags(), mirrorLists.deadLetterCount()]);
    const waiting = Object.entries(lags).map(([stream, { rows, oldestSeconds }]) => [
      stream,
      { rows, oldest_seconds: Math.round(oldestSeconds) },
    ]);
    return reply.send({
      is_configured: deps.mirror !== undefined,
      waiting: Object.fromEntries(waiting),
      dead_letters: deadLetters,
      ...deps.mirror?.state(),
    });
  });

  app.get<{ Querystring: Static<typeof ListQuery> }>(
    "/v1/siem/dead-letters",
    { schema: { tags: ["siem"], summary: "Reports the SIEM refused for good, and why", querystring: ListQuery } },
    async (request, reply) => {
      const viewer = callers.operator(request.headers.authorization, "viewer");
      if (!viewer.ok) return refuse(reply, viewer.error);
      const limit = Math.min(Math.max(Number(request.query.limit ?? 50), 1), 500);
      const { rows, next } = await mirrorLists.deadLetters({ limit, cursor: request.query.cursor });
      return reply.send({ dead_letters: rows, next });
    },
  );

  app.post(
    "/v1/siem/retry",
    { schema: { tags: ["siem"], summary: "Try again what the SIEM refused" } },
    async (request, reply) => {
      const operator = callers.operator(request.headers.authorization, "operator");
      if (!operator.ok) return refuse(reply, operator.error);
      return reply.send({ rows: await mirrorLists.retryDeadLetters(operator.value.name) });
    },
  );

  app.post(
    "/v1/siem/templates",
    { schema: { tags: ["siem"], summary: "Install index templates and retention in the SIEM" } },
    async (request, reply) => {
      const operator = callers.operator(request.headers.authorization, "operator");
      if (!operator.ok) return refuse(reply, operator.error);
      if (deps.mirror === undefined)
        return refuse(reply, refusal("not-found", "this controller mirrors to no SIEM; start it with --siem-url"));
      const installed = await deps.mirror.siem.install();
      if (!installed.ok) return refuse(reply, refusal("unreachable", installed.error.detail));
      deps.log({ by: operator.value.name, installed: installed.value }, "SIEM templates installed");
      return reply.send({ installed: installed.value });
    },
  );
};
