import type { RequestTemplate } from "./manifest.ts";
import type { Value } from "./value.ts";

export const valuesOfBody = ({ body }: RequestTemplate): readonly Value[] => {
  if (body === undefined) return [];
  return body.kind === "form"
    ? body.fields.map(([, value]) => value)
    : body.kind === "xml"
      ? [body.tree]
      : [body.value];
};

/** Every value of a request, wherever it is bound. */
export const valuesOfRequest = (request: RequestTemplate): readonly Value[] => [
  ...(request.base === undefined ? [] : [request.base]),
  ...request.path,
  ...request.query.map(([, value]) => value),
  ...request.headers.map(([, value]) => value),
  ...valuesOfBody(request),
];
