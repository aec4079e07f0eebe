import type { Server } from "node:https";
import type { AddressInfo } from "node:net";
import swagger from "@fastify/swagger";
import { parseJson } from "@reflex/protocol/json";
import { refusal } from "@reflex/protocol/refusal";
import fastify from "fastify";
import { agentRoutes } from "./agent-routes.ts";
import { refuse } from "./answer.ts";
import type { ApiDeps } from "./api-port.ts";
import { fleetRoutes } from "./fleet-routes.ts";
import { serveLive } from "./live-socket.ts";
import { orderRoutes } from "./order-routes.ts";
import { releaseRoutes } from "./release-routes.ts";
import { reportRoutes } from "./report-routes.ts";
import { siemRoutes } from "./siem-routes.ts";

export type Api = { readonly port: number; readonly close: () => Promise<void> };
export type ApiOptions = {
  readonly host: string;
  readonly port: number;
  readonly tls: { readonly cert: string; readonly key: string };
};

/** Everything but published releases, which name their own limit. */
const bodyBytesMax = 256 * 1024;
const requestMsMax = 60_000;

/** The HTTPS API: for agents by certificate, for people and programs by token. Described at /v1/openapi.json. */
export const startApi = async (deps: ApiDeps, { host, port, tls }: ApiOptions): Promise<Api> => {
  const app = fastify({
    // Agents show a certificate, people do not: each route decides what it needs.
    https: { ...tls, ca: deps.authority.caPem, minVersion: "TLSv1.3", requestCert: true, rejectUnauthorized: false },
    bodyLimit: bodyBytesMax,
    requestTimeout: requestMsMax,
    // Closing takes seconds, whoever holds a connection open.
    forceCloseConnections: true,
    ajv: { customOptions: { coerceTypes: false, removeAdditional: false, useDefaults: false } },
  });
  app.removeAllContentTypeParsers();
  app.addContentTypeParser("application/json", { parseAs: "buffer" }, (_request, body, done) => {
    const text = deps.crypto.textOf(body as Buffer);
    const parsed = text === undefined ? undefined : parseJson(text);
    if (parsed?.ok === true) done(null, parsed.value);
    else done(Object.assign(new Error(parsed?.error.code ?? "text-malformed"), { statusCode: 400 }));
  });
  app.setNotFoundHandler((_request, reply) => refuse(reply, refusal("not-found", "no such route")));
  app.setErrorHandler((error: Error & { statusCode?: number }, request, reply) => {
    const status = error.statusCode ?? 500;
    if (status === 413) return refuse(reply, refusal("too-large", "the body is longer than this route takes"));
    if (status < 500) return reply.code(status).send(bodyOf(refusal("schema-invalid", error.message.slice(0, 300))));
    const cause = error.cause instanceof Error ? error.cause.message : error.message;
    deps.log({ route: request.routeOptions.url, error: cause.slice(0, 300) }, "request failed");
    return refuse(reply, refusal("store-failed", "the request could not be completed"));
  });

  await app.register(swagger, {
    openapi: {
      info: {
        title: "Reflex controller",
        version: "1",
        description: "Fleet, releases, kill switch, decisions and feedback.",
      },
      components: { securitySchemes: { operator: { type: "http", scheme: "bearer" } } },
      security: [{ operator: [] }],
    },
  });
  await app.register(async (routes) => {
    agentRoutes(routes, deps);
    releaseRoutes(routes, deps);
    fleetRoutes(routes, deps);
    reportRoutes(routes, deps);
    orderRoutes(routes, deps);
    siemRoutes(routes, deps);
    routes.get(
      "/healthz",
      { schema: { tags: ["operation"], summary: "Parts that are up", security: [] } },
      async (_request, reply) => {
        const parts = await deps.health();
        return reply.code(Object.values(parts).every(Boolean) ? 200 : 503).send(parts);
      },
    );
    routes.get(
      "/metrics",
      { schema: { tags: ["operation"], summary: "Prometheus metrics" } },
      async (request, reply) => {
        const viewer = deps.callers.operator(request.headers.authorization, "viewer");
        if (!viewer.ok) return refuse(reply, viewer.error);
        const { type, text } = await deps.metrics();
        return reply.type(type).send(text);
      },
    );
    routes.get(
      "/v1/ca.pem",
      { schema: { tags: ["operation"], summary: "The authority's certificate", security: [] } },
      async (_request, reply) => reply.type("application/x-pem-file").send(deps.authority.caPem),
    );
    routes.get("/v1/openapi.json", { schema: { hide: true } }, async () => app.swagger());
  });

  await app.ready();
  const live = serveLive(app.server as Server, deps.live, deps.callers);
  await app.listen({ host, port });
  return {
    port: (app.server.address() as AddressInfo).port,
    close: async () => {
      live.close();
      await app.close();
    },
  };
};

const bodyOf = ({ code, detail }: ReturnType<typeof refusal>) => ({
  code,
  detail,
  remedy: "compare the request with /v1/openapi.json",
});
