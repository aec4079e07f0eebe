import { type Refusal, type RefusalCode, refusals } from "@reflex/protocol/refusal";
import type { Result } from "@reflex/protocol/result";
import type { FastifyReply } from "fastify";

/** How a refusal reads over HTTP. The status is for machines in between; the code says what happened. */
export const refuse = (reply: FastifyReply, { code, detail }: Refusal): FastifyReply =>
  reply.code(statusOf(code)).send({ code, detail, remedy: refusals[code].remedy });

export const answer = (reply: FastifyReply, result: Result<unknown, Refusal>): FastifyReply =>
  result.ok ? reply.send(result.value) : refuse(reply, result.error);

const statuses: Partial<Readonly<Record<RefusalCode, number>>> = {
  unauthorised: 401,
  expired: 401,
  "not-found": 404,
  conflict: 409,
  "version-rollback": 409,
  replayed: 409,
  "too-large": 413,
  "store-failed": 503,
  unreachable: 503,
};
/** Everything else is about what was sent. */
const statusOf = (code: RefusalCode): number => statuses[code] ?? 422;
