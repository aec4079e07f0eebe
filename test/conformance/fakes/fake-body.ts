import type { FakeRequest } from "../fake.ts";

/** The JSON object of a request; undefined for anything else. */
export const readJsonObject = (request: FakeRequest): Readonly<Record<string, unknown>> | undefined => {
  if (!(request.headers["content-type"] ?? "").startsWith("application/json")) return undefined;
  try {
    const value: unknown = JSON.parse(request.text);
    return isObject(value) ? value : undefined;
  } catch {
    return undefined;
  }
};

/** The fields of a form; undefined when it is not one. */
export const readForm = (request: FakeRequest): URLSearchParams | undefined =>
  (request.headers["content-type"] ?? "").startsWith("application/x-www-form-urlencoded")
    ? new URLSearchParams(request.text)
    : undefined;

export const isObject = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === "object" && value !== null && !Array.isArray(value);

/** A list of texts, at least one; undefined for anything else. */
export const textsOf = (value: unknown): readonly string[] | undefined =>
  Array.isArray(value) && value.length > 0 && value.every((one) => typeof one === "string") ? value : undefined;

/** The segments of a path, each decoded on its own; undefined where one cannot be decoded. */
export const segmentsOf = (path: string): readonly string[] | undefined => {
  try {
    return path
      .split("/")
      .filter((part) => part !== "")
      .map(decodeURIComponent);
  } catch {
    return undefined;
  }
};
