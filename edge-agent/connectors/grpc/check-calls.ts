import type { Problems } from "@reflex/policies/language/policy-error";
import type { Manifest, RequestTemplate } from "../rest/manifest.ts";
import type { Value } from "../rest/value.ts";
import { callMethod } from "./call-shape.ts";
import { type FieldTree, readProtos } from "./proto-set.ts";

/** Whether each call of a manifest is in its proto, with the fields that it fills in; nothing else is asked of a REST manifest. */
export const checkCalls = (manifest: Manifest, problems: Problems): void => {
  const templates = templatesIn(manifest.actions);
  const { grpc } = manifest;
  if (grpc === undefined) {
    for (const { at } of templates.filter(({ method }) => method === callMethod))
      problems.report(
        at,
        "a call needs the product's proto file",
        "write grpc: { proto: … } at the top of the manifest",
      );
    return;
  }
  const start = { line: 1, column: 1 };
  if (!["none", "client_certificate", "header", "basic"].includes(manifest.auth.kind))
    problems.report(
      start,
      `auth: ${manifest.auth.kind} cannot be used with grpc`,
      "write client_certificate, bearer, header or basic",
    );
  const protos = readProtos([grpc.proto]);
  if (!protos.ok) {
    problems.report(start, protos.error.detail, "correct grpc: { proto: … }");
    return;
  }
  for (const { request } of pagedIn(manifest.actions))
    problems.report(request.at, "a call has no pages; a stream is read to its end", "remove pages:");
  for (const template of templates) {
    if (template.method !== callMethod) {
      problems.report(template.at, "a manifest with grpc: makes calls alone", "write call: package.Service/Method");
      continue;
    }
    const method = protos.value.method(callNameOf(template));
    const fault = method.ok ? method.value.unknownField(treeOf(template.body)) : method.error.detail;
    if (fault !== undefined) problems.report(template.at, fault, "compare with the proto file");
  }
};

export const callNameOf = ({ path }: RequestTemplate): string =>
  path.map((part) => (part.kind === "literal" ? String(part.value) : "")).join("/");

/** A manifest's actions are data: whatever has a method, a path and a place is a request, wherever it stands. */
const templatesIn = (part: unknown): RequestTemplate[] => {
  if (typeof part !== "object" || part === null) return [];
  if ("method" in part && "path" in part && "at" in part) return [part as RequestTemplate];
  return Object.values(part).flatMap(templatesIn);
};

const pagedIn = (part: unknown): { readonly request: RequestTemplate }[] => {
  if (typeof part !== "object" || part === null) return [];
  const below = Object.values(part).flatMap(pagedIn);
  return "pages" in part && "request" in part ? [part as { request: RequestTemplate }, ...below] : below;
};

const treeOf = (body: RequestTemplate["body"]): FieldTree => (body?.kind === "json" ? fieldsOf(body.value) : undefined);

/** Names of fields as far as the manifest itself writes them; what a reference stands for is known when it is bound. */
const fieldsOf = (value: Value): FieldTree => {
  if (value.kind === "map") return new Map(value.entries.map(([key, inner]) => [key, fieldsOf(inner)]));
  if (value.kind === "list") return value.items.map(fieldsOf);
  return undefined;
};
