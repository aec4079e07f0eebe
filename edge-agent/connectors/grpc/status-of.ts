/**
 * gRPC's status codes under the numbers that a manifest's clauses know, one for each: the meanings are those of
 * google.rpc.Code, and what a clause leaves open (4xx is a no, 429 waits) holds for both. Codes that a broken connection
 * gives as well have none: they never reach a clause.
 */
export const statusNumbers = {
  OK: 200,
  INVALID_ARGUMENT: 400,
  UNAUTHENTICATED: 401,
  PERMISSION_DENIED: 403,
  NOT_FOUND: 404,
  UNIMPLEMENTED: 405,
  ALREADY_EXISTS: 409,
  FAILED_PRECONDITION: 412,
  OUT_OF_RANGE: 416,
  RESOURCE_EXHAUSTED: 429,
} as const;

/** Numbers of the protocol, by name (grpc/grpc statuscodes.md). */
const codes: Readonly<Record<keyof typeof statusNumbers, number>> = {
  OK: 0,
  INVALID_ARGUMENT: 3,
  NOT_FOUND: 5,
  ALREADY_EXISTS: 6,
  PERMISSION_DENIED: 7,
  RESOURCE_EXHAUSTED: 8,
  FAILED_PRECONDITION: 9,
  OUT_OF_RANGE: 11,
  UNIMPLEMENTED: 12,
  UNAUTHENTICATED: 16,
};

const names = Object.keys(statusNumbers) as (keyof typeof statusNumbers)[];

/** Undefined for a code that is no clear answer. */
export const statusNumberOf = (code: number): number | undefined => {
  const name = names.find((one) => codes[one] === code);
  return name === undefined ? undefined : statusNumbers[name];
};
