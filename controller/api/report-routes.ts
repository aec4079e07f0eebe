import { verdicts } from "@reflex/protocol/decision";
import { utcTimestampPattern } from "@reflex/protocol/detection";
import { type Feedback, feedbackOutcomes, feedbackVerdicts } from "@reflex/protocol/feedback";
import { DecisionId, segmentPattern, uuidV7Pattern } from "@reflex/protocol/ids";
import { refusal } from "@reflex/protocol/refusal";
import { checkToken } from "@reflex/protocol/validate";
import type { FastifyInstance, FastifyReply, FastifyRequest } from "fastify";
import Type, { type Static, type TProperties, type TSchema } from "typebox";
import type { Page, PageRequest } from "../store/page.ts";
import { refuse } from "./answer.ts";
import type { ApiDeps } from "./api-port.ts";
import type { Operator, Role } from "./callers.ts";

const limitDefault = 50;
/** A page of tokens is a few MB at most. */
const limitMax = 500;
const Name = Type.Optional(Type.String({ maxLength: 256 }));
const Segment = Type.Optional(Type.String({ pattern: segmentPattern }));
const Time = Type.Optional(Type.String({ pattern: utcTimestampPattern }));
const paged = <T extends TProperties>(properties: T) =>
  Type.Object(
    {
      ...properties,
      limit: Type.Optional(Type.String({ pattern: "^[0-9]{1,4}$" })),
      cursor: Type.Optional(Type.String({ maxLength: 512 })),
    },
    { additionalProperties: false },
  );

const DecisionQuery = paged({
  agent: Segment,
  site: Segment,
  verdict: Type.Optional(Type.Enum(verdicts)),
  event: Name,
  since: Time,
  until: Time,
});
const CommandQuery = paged({ agent: Segment, state: Name, decision: Name });
const AgentQuery = paged({ agent: Segment });
const EventQuery = paged({ agent: Segment, level: Type.Optional(Type.Enum(["info", "warning", "alarm"])) });
const FeedbackQuery = paged({ decision: Name });
const NoQuery = paged({});
const ChainQuery = Type.Object(
  {
    agent: Type.String({ pattern: segmentPattern }),
    after: Type.Optional(Type.String({ pattern: "^[0-9]{1,15}$" })),
    limit: Type.Optional(Type.String({ pattern: "^[0-9]{1,4}$" })),
  },
  { additionalProperties: false },
);
const IdParams = Type.Object({ id: Type.String({ pattern: uuidV7Pattern }) });
type IdParams = Static<typeof IdParams>;
const FeedbackBody = Type.Object(
  {
    decision_id: DecisionId,
    verdict: Type.Enum(feedbackVerdicts),
    outcome: Type.Optional(Type.Enum(feedbackOutcomes)),
    analyst_override: Type.Optional(Type.Boolean()),
    confidence_adjustment: Type.Optional(Type.Number({ minimum: -0.1, maximum: 0.1 })),
  },
  { additionalProperties: false },
);

/** What the query of any list may hold; each route's schema says which of it. */
type ListQuery = Partial<
  Readonly<
    Record<
      "agent" | "site" | "verdict" | "event" | "since" | "until" | "state" | "decision" | "level" | "limit" | "cursor",
      string
    >
  >
>;

/** Decisions, commands and everything else agents report; and the analyst's word on them. */
export const reportRoutes = (app: FastifyInstance, deps: ApiDeps): void => {
  const { callers, reports } = deps;
  const as = (request: FastifyRequest, reply: FastifyReply, role: Role): Operator | undefined => {
    const caller = callers.operator(request.headers.authorization, role);
    if (caller.ok) return caller.value;
    refuse(reply, caller.error);
    return undefined;
  };

  const list = (
    path: string,
    name: string,
    summary: string,
    query: TSchema,
    read: (query: ListQuery, page: PageRequest) => Promise<Page<unknown>>,
  ): void => {
    app.get<{ Querystring: ListQuery }>(
      path,
      { schema: { tags: ["reports"], summary, querystring: query } },
      async (request, reply) => {
        if (as(request, reply, "viewer") === undefined) return reply;
        const { rows, next } = await read(request.query, pageOf(request.query));
        return reply.send({ [name]: rows, next });
      },
    );
  };

  list("/v1/decisions", "decisions", "Decisions, newest first", DecisionQuery, ({ limit, cursor, ...filter }, page) =>
    reports.decisions(filter, page),
  );
  list(
    "/v1/commands",
    "commands",
    "Commands by their newest step",
    CommandQuery,
    ({ limit, cursor, ...filter }, page) => reports.commands(filter, page),
  );
  list("/v1/leases", "commands", "Commands whose undo is still owed", AgentQuery, ({ agent }, page) =>
    reports.commands({ agent, isOpen: true }, page),
  );
  list("/v1/dead-letters", "dead_letters", "What agents could not read", AgentQuery, ({ agent }, page) =>
    reports.deadLetters({ agent }, page),
  );
  list("/v1/events", "events", "What people should know", EventQuery, ({ agent, level }, page) =>
    reports.events({ agent, level }, page),
  );
  list("/v1/quarantine", "quarantine", "Reports that could not be read", AgentQuery, ({ agent }, page) =>
    reports.quarantine({ agent }, page),
  );
  list("/v1/audit", "entries", "Who did what", NoQuery, (_query, page) => reports.audit(page));
  list("/v1/feedback", "feedback", "Feedback", FeedbackQuery, ({ decision }, page) =>
    reports.feedback({ decision }, page),
  );

  app.get<{ Params: IdParams }>(
    "/v1/decisions/:id",
    { schema: { tags: ["reports"], summary: "A decision with its token, commands and feedback", params: IdParams } },
    async (request, reply) => {
      if (as(request, reply, "viewer") === undefined) return reply;
      const { id } = request.params;
      const text = await reports.tokenText(id);
      if (text === undefined) return refuse(reply, refusal("not-found", "no such decision"));
      const all = { limit: limitMax };
      const [commands, feedback] = await Promise.all([
        reports.commands({ decision: id }, all),
        reports.feedback({ decision: id }, all),
      ]);
      return reply.send({
        decision_id: id,
        token: JSON.parse(text) as unknown,
        commands: commands.rows,
        feedback: feedback.rows,
      });
    },
  );

  app.get<{ Params: IdParams }>(
    "/v1/decisions/:id/token",
    { schema: { tags: ["reports"], summary: "The token's exact text, for replay", params: IdParams } },
    async (request, reply) => {
      if (as(request, reply, "viewer") === undefined) return reply;
      const text = await reports.tokenText(request.params.id);
      if (text === undefined) return refuse(reply, refusal("not-found", "no such decision"));
      return reply.type("application/json").send(text);
    },
  );

  app.get<{ Querystring: Static<typeof ChainQuery> }>(
    "/v1/tokens",
    {
      schema: {
        tags: ["reports"],
        summary: "An agent's token chain, oldest first, as exact texts",
        querystring: ChainQuery,
      },
    },
    async (request, reply) => {
      if (as(request, reply, "viewer") === undefined) return reply;
      const { agent, after = "0" } = request.query;
      return reply.send({ tokens: await reports.chain(agent, Number(after), pageOf(request.query).limit) });
    },
  );

  app.get<{ Params: IdParams }>(
    "/v1/commands/:id",
    { schema: { tags: ["reports"], summary: "A command and its steps", params: IdParams } },
    async (request, reply) => {
      if (as(request, reply, "viewer") === undefined) return reply;
      const command = await reports.command(request.params.id);
      return command === undefined ? refuse(reply, refusal("not-found", "no such command")) : reply.send(command);
    },
  );

  app.post<{ Body: Static<typeof FeedbackBody> }>(
    "/v1/feedback",
    { schema: { tags: ["reports"], summary: "An analyst's verdict on a decision", body: FeedbackBody } },
    async (request, reply) => {
      const analyst = as(request, reply, "analyst");
      if (analyst === undefined) return reply;
      const { decision_id, verdict, outcome, analyst_override = false, confidence_adjustment = 0 } = request.body;
      const text = await reports.tokenText(decision_id);
      const token = text === undefined ? undefined : checkToken(JSON.parse(text));
      if (token?.ok !== true) return refuse(reply, refusal("not-found", "no such decision"));
      const { header } = token.value;
      const feedback: Feedback = {
        decision_id,
        outcome: outcome ?? (analyst_override ? "overridden" : "success"),
        analyst_override,
        confidence_adjustment,
        verdict,
        verdict_source: analyst_override ? "override" : "explicit",
        analyst: analyst.name,
        decided_at: header.decided_at,
        verdict_at: new Date(deps.nowMs()).toISOString(),
        policy_version: header.bundle.version,
        policy_hash: header.bundle.hash,
        weights_version: header.weights.version,
        propensity: 1,
      };
      await reports.storeFeedback(feedback);
      return reply.code(201).send(feedback);
    },
  );

  app.get(
    "/v1/summary",
    { schema: { tags: ["reports"], summary: "Everything in a few numbers" } },
    async (request, reply) => {
      if (as(request, reply, "viewer") === undefined) return reply;
      return reply.send({
        org: deps.org,
        now: new Date(deps.nowMs()).toISOString(),
        ...(await reports.summary()),
        trust_version: deps.trust().trust.version,
      });
    },
  );
};

const pageOf = ({
  limit,
  cursor,
}: {
  readonly limit?: string | undefined;
  readonly cursor?: string | undefined;
}): PageRequest => ({
  limit: Math.min(Math.max(Number(limit ?? limitDefault), 1), limitMax),
  cursor,
});
