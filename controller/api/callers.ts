import { createHash, randomBytes, timingSafeEqual, X509Certificate } from "node:crypto";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { TLSSocket } from "node:tls";
import { type Refusal, refusal } from "@reflex/protocol/refusal";
import { err, ok, type Result } from "@reflex/protocol/result";
import Type, { type Static } from "typebox";
import { Value } from "typebox/value";
import { type Identity, identityOfAltName } from "../pki/identity.ts";

/** People and programs that use the API, by bearer token; agents, by the certificate of their connection. */
export const roles = ["viewer", "analyst", "operator"] as const;
export type Role = (typeof roles)[number];
export type Operator = { readonly name: string; readonly role: Role };

const OperatorFile = Type.Object({
  operators: Type.Array(
    Type.Object({
      name: Type.String({ minLength: 1, maxLength: 64 }),
      role: Type.Enum(roles),
      token_sha256: Type.String({ pattern: "^[0-9a-f]{64}$" }),
    }),
    { maxItems: 1_000 },
  ),
});
type OperatorFile = Static<typeof OperatorFile>;

export type Callers = {
  /** From the Authorization header; needs at least this role. */
  readonly operator: (header: string | undefined, needs: Role) => Result<Operator, Refusal>;
};

/** `<data>/operators.json` holds hashes only; the first start writes one operator's token to `<data>/operator.token`. */
export const openCallers = (dataFolder: string): Callers & { readonly tokenFile: string } => {
  const file = join(dataFolder, "operators.json");
  const tokenFile = join(dataFolder, "operator.token");
  if (!existsSync(file)) {
    const token = randomBytes(32).toString("base64url");
    writeFileSync(tokenFile, `${token}\n`, { mode: 0o600 });
    const first: OperatorFile = {
      operators: [{ name: "operator", role: "operator", token_sha256: hashOf(token).toString("hex") }],
    };
    writeFileSync(file, `${JSON.stringify(first, undefined, 2)}\n`, { mode: 0o600 });
  }
  const { operators } = Value.Parse(OperatorFile, JSON.parse(readFileSync(file, "utf8")));
  const known = operators.map(({ name, role, token_sha256 }) => ({
    name,
    role,
    hash: Buffer.from(token_sha256, "hex"),
  }));
  return {
    tokenFile,
    operator: (header, needs) => {
      const token = /^Bearer ([\w.~+/=-]{1,512})$/i.exec(header ?? "")?.[1];
      if (token === undefined) return err(refusal("unauthorised", "no bearer token"));
      const hash = hashOf(token);
      // Every one is compared, and hashes instead of tokens: time says nothing about how close a guess was.
      const [found] = known.filter((operator) => timingSafeEqual(operator.hash, hash));
      if (found === undefined) return err(refusal("unauthorised", "unknown token"));
      if (roles.indexOf(found.role) < roles.indexOf(needs))
        return err(refusal("unauthorised", `needs the role ${needs}; ${found.name} is ${found.role}`));
      return ok({ name: found.name, role: found.role });
    },
  };
};

const hashOf = (token: string): Buffer => createHash("sha256").update(token).digest();

export type AgentIdentity = Extract<Identity, { kind: "agent" }>;

/** An agent that was cut off this long comes back by itself; after that it needs a new join token. */
const expiredDaysMax = 30;

/**
 * Who the connection's certificate names. `expired` allows one that ran out: the agent of an outage must hear a kill and
 * renew (revoking is a list, not a lapse), and what it may do over HTTPS is no more than that.
 */
export const agentOfSocket = (
  socket: TLSSocket,
  caPem: string,
  org: string,
  allows: "valid" | "expired",
  nowMs: number,
): Result<AgentIdentity, Refusal> => {
  const certificate = socket.getPeerX509Certificate?.();
  if (certificate === undefined) return err(refusal("unauthorised", "no client certificate"));
  const ca = new X509Certificate(caPem);
  // The connection reports one fault of possibly several, so the chain is checked here, whatever it reports.
  if (!certificate.checkIssued(ca) || !certificate.verify(ca.publicKey))
    return err(refusal("unauthorised", "the certificate is not of this authority"));
  const endedMs = nowMs - Date.parse(certificate.validTo);
  if (allows === "valid" && (endedMs > 0 || !socket.authorized))
    return err(refusal("expired", "the certificate ran out; renew it"));
  if (endedMs > expiredDaysMax * 24 * 3_600_000)
    return err(refusal("expired", `the certificate ran out more than ${expiredDaysMax} days ago; enrol anew`));
  const identity = identityOfAltName(certificate.subjectAltName);
  if (identity?.kind !== "agent" || identity.org !== org)
    return err(refusal("unauthorised", "the certificate names no agent of this organisation"));
  return ok(identity);
};
