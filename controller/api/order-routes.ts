import { ConnectorName } from "@reflex/protocol/command";
import { type CommandState, commandStates, isTerminal } from "@reflex/protocol/command-life";
import { type CommandId, segmentPattern, uuidV7Pattern } from "@reflex/protocol/ids";
import { reasonLengthMax, ttlSecondsMax, ttlSecondsMin } from "@reflex/protocol/limits";
import type { OrderDo } from "@reflex/protocol/order";
import { type Refusal, refusal } from "@reflex/protocol/refusal";
import { err, ok, type Result } from "@reflex/protocol/result";
import type { FastifyInstance, FastifyReply } from "fastify";
import Type, { type Static } from "typebox";
import { refuse } from "./answer.ts";
import type { ApiDeps } from "./api-port.ts";

const reason = Type.String({ minLength: 1, maxLength: reasonLengthMax });
const ReasonBody = Type.Object({ reason }, { additionalProperties: false });
const ExtendBody = Type.Object(
  { reason, ttl_seconds: Type.Integer({ minimum: ttlSecondsMin, maximum: ttlSecondsMax }) },
  { additionalProperties: false },
);
const ReconcileBody = Type.Object({ reason, connector: ConnectorName }, { additionalProperties: false });
const IdParams = Type.Object({ id: Type.String({ pattern: uuidV7Pattern }) });
const AgentParams = Type.Object({ agent: Type.String({ pattern: segmentPattern }) });
const OrderQuery = Type.Object(
  {
    agent: Type.Optional(Type.String({ pattern: segmentPattern })),
    command: Type.Optional(Type.String({ pattern: uuidV7Pattern })),
    state: Type.Optional(Type.Enum(["sent", "done", "refused", "unanswered"])),
    limit: Type.Optional(Type.String({ pattern: "^[0-9]{1,3}$" })),
    cursor: Type.Optional(Type.String({ maxLength: 512 })),
  },
  { additionalProperties: false },
);

/** What people ask of agents about what is in force, and what came of it. Answers 202: the agent's answer comes later. */
export const orderRoutes = (app: FastifyInstance, deps: ApiDeps): void => {
  const { callers } = deps;

  const give = async (
    reply: FastifyReply,
    header: string | undefined,
    why: string,
    what: () => Promise<Result<{ readonly agent: string; readonly do: OrderDo }, Refusal>>,
  ): Promise<FastifyReply> => {
    const operator = callers.operator(header, "operator");
    if (!operator.ok) return refuse(reply, operator.error);
    const asked = await what();
    if (!asked.ok) return refuse(reply, asked.error);
    const by = operator.value.name;
    const sent = await deps.orders.give({ ...asked.value, by, reason: why });
    if (!sent.ok) return refuse(reply, sent.error);
    deps.log({ order: sent.value.order_id, agent: sent.value.agent, do: asked.value.do.kind, by }, "order sent");
    return reply.code(202).send(sent.value);
  };

  /** The agent that has it, unless it is over: then there is nothing to ask. */
  const aboutCommand = async (
    id: string,
    what: (commandId: CommandId) => OrderDo,
  ): Promise<Result<{ readonly agent: string; readonly do: OrderDo }, Refusal>> => {
    const command = await deps.reports.command(id);
    if (command === undefined) return err(refusal("not-found", "no such command"));
    const state = commandStates.find((one): one is CommandState => one === command["state"]);
    if (state !== undefined && isTerminal(state)) return err(refusal("conflict", `the command is ${state} already`));
    return ok({ agent: String(command["agent"]), do: what(String(command["command_id"]) as CommandId) });
  };

  const onCommand = (path: string, summary: string, kind: "undo" | "hand_over" | "mark_undone"): void => {
    app.post<{ Params: Static<typeof IdParams>; Body: Static<typeof ReasonBody> }>(
      path,
      { schema: { tags: ["orders"], summary, params: IdParams, body: ReasonBody } },
      ({ headers, params, body }, reply) =>
        give(reply, headers.authorization, body.reason, () =>
          aboutCommand(params.id, (command_id) => ({ kind, command_id })),
        ),
    );
  };
  onCommand("/v1/commands/:id/undo", "End a lease early", "undo");
  onCommand("/v1/commands/:id/hand-over", "Leave it in force for good; a person owns it now", "hand_over");
  onCommand("/v1/commands/:id/mark-undone", "Say that a stuck one was undone by hand", "mark_undone");

  app.post<{ Params: Static<typeof IdParams>; Body: Static<typeof ExtendBody> }>(
    "/v1/commands/:id/extend",
    {
      schema: { tags: ["orders"], summary: "Count a lease's time anew, from now", params: IdParams, body: ExtendBody },
    },
    ({ headers, params, body: { reason: why, ttl_seconds } }, reply) =>
      give(reply, headers.authorization, why, () =>
        aboutCommand(params.id, (command_id) => ({ kind: "extend", command_id, ttl_seconds })),
      ),
  );

  app.post<{ Params: Static<typeof AgentParams>; Body: Static<typeof ReconcileBody> }>(
    "/v1/agents/:agent/reconcile",
    {
      schema: {
        tags: ["orders"],
        summary: "Compare a connector's target with what should be in force, now",
        params: AgentParams,
        body: ReconcileBody,
      },
    },
    ({ headers, params, body: { reason: why, connector } }, reply) =>
      give(reply, headers.authorization, why, async () =>
        ok({ agent: params.agent, do: { kind: "reconcile", connector } }),
      ),
  );

  app.get<{ Querystring: Static<typeof OrderQuery> }>(
    "/v1/orders",
    { schema: { tags: ["orders"], summary: "Orders and what came of them, newest first", querystring: OrderQuery } },
    async (request, reply) => {
      const viewer = callers.operator(request.headers.authorization, "viewer");
      if (!viewer.ok) return refuse(reply, viewer.error);
      const { limit, cursor, ...filter } = request.query;
      const size = Math.min(Math.max(Number(limit ?? 50), 1), 500);
      const { rows, next } = await deps.orderLists.list(filter, { limit: size, cursor });
      return reply.send({ orders: rows, next });
    },
  );

  app.get<{ Params: Static<typeof IdParams> }>(
    "/v1/orders/:id",
    { schema: { tags: ["orders"], summary: "An order and what came of it", params: IdParams } },
    async (request, reply) => {
      const viewer = callers.operator(request.headers.authorization, "viewer");
      if (!viewer.ok) return refuse(reply, viewer.error);
      const order = await deps.orderLists.order(request.params.id);
      return order === undefined ? refuse(reply, refusal("not-found", "no such order")) : reply.send(order);
    },
  );
};
