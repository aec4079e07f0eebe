import type { RefusalCode } from "@reflex/protocol/refusal";
import { ok } from "@reflex/protocol/result";
import Fastify, { type FastifyInstance, type FastifyReply, type FastifyRequest } from "fastify";
import type { RawRecord, RecordFate, Source } from "../ports.ts";
import { createWebhookAuth } from "./webhook-auth.ts";
import { readBody, splitBody, unpackBody } from "./webhook-body.ts";
import {
  retryAfterSeconds,
  type WebhookSettings,
  webhookRequestsMax,
  webhookRequestTimeoutMs,
  webhookSettingsFault,
} from "./webhook-settings.ts";

export type WebhookSource = Source & {
  /** Where it listens, once started; the port the system chose if 0 was asked for. */
  readonly address: () => { readonly host: string; readonly port: number } | undefined;
};

/** One line of the answer, in the order of the records sent. */
export type RecordResult = {
  readonly event_id?: string;
  readonly fate: RecordFate["kind"];
  readonly decision_id?: string;
  readonly verdict?: string;
  readonly code?: RefusalCode;
  readonly detail?: string;
};

/**
 * POST /v1/detections, JSON in any of three layouts or one protobuf message: answered when the fate of every record in it is durable, so 200 means the sender may forget them, dead
 * letters included. 503 with Retry-After means at least one was not taken: send the whole request again, repeats are harmless.
 */
export const createWebhookSource = (settings: WebhookSettings): WebhookSource => {
  const fault = webhookSettingsFault(settings);
  if (fault !== undefined) throw new Error(fault);
  const auth = createWebhookAuth(settings);
  const server = createServer(settings);
  let offer: ((record: RawRecord) => Promise<void>) | undefined;
  let answering = 0;

  server.addHook("onRequest", async (request, reply) => {
    if (request.routeOptions.url === undefined) return refuse(reply, 404, "not-found", "");
    if (!auth.headersAllow(request.headers)) return refuse(reply, 401, "unauthorised", "");
    if (answering >= webhookRequestsMax) return refuse(reply, 503, "queue-full", "too many requests at once");
    return undefined;
  });

  server.post("/v1/detections", async (request, reply) => {
    if (offer === undefined) return refuse(reply, 503, "queue-full", "the agent is stopping");
    answering += 1;
    try {
      return await answer(request, reply, offer);
    } finally {
      answering -= 1;
    }
  });

  const answer = async (request: FastifyRequest, reply: FastifyReply, offerRecord: NonNullable<typeof offer>) => {
    const sent = await readBody(request.raw, Number(request.headers["content-length"] ?? 0));
    if (!sent.ok) return refuse(reply, statusOf(sent.error.code), sent.error.code, sent.error.detail);
    if (!auth.bodyAllows(request.headers, sent.value)) return refuse(reply, 401, "unauthorised", "");
    const body = await unpackBody(sent.value, request.headers["content-encoding"]);
    if (!body.ok) return refuse(reply, statusOf(body.error.code), body.error.code, body.error.detail);
    const isProtobuf = settings.format === "protobuf" || request.headers["content-type"] === "application/x-protobuf";
    const format = isProtobuf ? "protobuf" : settings.format;
    const records = isProtobuf ? ok([body.value]) : splitBody(body.value);
    if (!records.ok) return refuse(reply, statusOf(records.error.code), records.error.code, records.error.detail);

    const fates: Promise<RecordFate>[] = [];
    for (const bytes of records.value) {
      const fate = Promise.withResolvers<RecordFate>();
      fates.push(fate.promise);
      await offerRecord({ bytes, source: "webhook", format, settle: fate.resolve });
    }
    const results = (await Promise.all(fates)).map((fate, at) => resultOf(fate, records.value[at] as Uint8Array));
    if (results.some(({ fate }) => fate === "not_taken")) {
      return reply.code(503).header("retry-after", retryAfterSeconds).send({ results });
    }
    const onlyTooLarge = results.length === 1 && results[0]?.code === "too-large";
    return reply.code(onlyTooLarge ? 413 : 200).send({ results });
  };

  return {
    name: "webhook",
    address: () => {
      const [bound] = server.addresses();
      return bound === undefined || typeof bound === "string" ? undefined : { host: bound.address, port: bound.port };
    },
    start: async (take) => {
      offer = take;
      await server.listen({ host: settings.host, port: settings.port });
    },
    stop: async () => {
      offer = undefined;
      // Waits for the requests being answered; what was offered is settled by the agent.
      await server.close();
    },
  };
};

const createServer = ({ tls }: WebhookSettings): FastifyInstance => {
  const options = {
    logger: false,
    requestTimeout: webhookRequestTimeoutMs,
    connectionTimeout: 2 * webhookRequestTimeoutMs,
    forceCloseConnections: "idle" as const,
  };
  const clients = tls?.clientCa === undefined ? {} : { ca: tls.clientCa, requestCert: true, rejectUnauthorized: true };
  // One type for both: which transport it is makes no difference to what is said over it.
  const server: FastifyInstance =
    tls === undefined
      ? Fastify(options)
      : (Fastify({
          ...options,
          https: { key: tls.key, cert: tls.cert, minVersion: "TLSv1.2", ...clients },
        }) as unknown as FastifyInstance);
  // Any content type: the body is read here, under our own limit, never by a parser.
  server.removeAllContentTypeParsers();
  server.addContentTypeParser("*", (_request, _payload, done) => done(null));
  server.setErrorHandler((_error, _request, reply) => refuse(reply, 400, "json-malformed", "the request is not legal"));
  return server;
};

const refuse = (reply: FastifyReply, status: number, code: RefusalCode, detail: string): FastifyReply => {
  if (status === 503) reply.header("retry-after", retryAfterSeconds);
  // What is left of the body is not worth reading.
  if (status !== 200) reply.header("connection", "close");
  return reply.code(status).send({ code, detail });
};

const statusOf = (code: RefusalCode): number => (code === "too-large" ? 413 : 400);

const resultOf = (fate: RecordFate, bytes: Uint8Array): RecordResult => {
  const eventId = nativeEventId(bytes);
  const named = eventId === undefined ? {} : { event_id: eventId };
  switch (fate.kind) {
    case "decided":
      return { ...named, fate: fate.kind, decision_id: fate.decisionId, verdict: fate.verdict };
    case "duplicate":
      return { ...named, fate: fate.kind };
    case "not_detection":
      return { ...named, fate: fate.kind, detail: fate.reason };
    case "dead_letter":
    case "not_taken":
      return { ...named, fate: fate.kind, code: fate.refusal.code, detail: fate.refusal.detail };
  }
};

/** For the sender's own bookkeeping, where the record has one; the order of the results says the same. */
const nativeEventId = (bytes: Uint8Array): string | undefined => {
  try {
    const eventId = (JSON.parse(new TextDecoder().decode(bytes)) as { event_id?: unknown } | null)?.event_id;
    return typeof eventId === "string" && eventId.length <= 256 ? eventId : undefined;
  } catch {
    return undefined;
  }
};
