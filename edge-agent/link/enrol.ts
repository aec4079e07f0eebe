import { isSegment } from "@reflex/protocol/ids";
import { parseJson } from "@reflex/protocol/json";
import { type Refusal, refusal } from "@reflex/protocol/refusal";
import { err, ok, type Result } from "@reflex/protocol/result";
import { checkEnvelope } from "@reflex/protocol/validate";
import type { Slots } from "../policy/slots-port.ts";
import type { Clock, Crypto, Log, Random, Timers } from "../ports.ts";
import { jittered } from "./backoff.ts";
import { createCsrPem } from "./csr.ts";
import type { HttpClient } from "./http-port.ts";
import type { TlsIdentity } from "./mqtt-link.ts";

/** Key making and reading of certificates; adapters/node-identity.ts. */
export type IdentityKeys = {
  /** New P-256 key: PKCS#8 PEM, public half as DER, and its signature. */
  readonly makeTlsKey: () => {
    readonly keyPem: string;
    readonly publicKeyDer: Uint8Array;
    readonly sign: (bytes: Uint8Array) => Uint8Array;
  };
  /** New Ed25519 report key: PKCS#8 PEM and the raw public key in base64. */
  readonly makeReportKey: () => { readonly keyPem: string; readonly public: string };
  readonly certificateOf: (
    pem: string,
  ) => { readonly fingerprint: string; readonly notBeforeMs: number; readonly notAfterMs: number } | undefined;
  /** Is the certificate for this key? */
  readonly isPair: (certificatePem: string, keyPem: string) => boolean;
};

/** What an agent is, kept in one file that only its user can read, so that key and certificate never part. */
export type AgentIdentity = {
  readonly org: string;
  readonly site: string;
  readonly agent: string;
  readonly tls: TlsIdentity;
  /** Ed25519, PKCS#8 PEM. */
  readonly reportKey: string;
  /** Envelope of the trust document that came with the identity: a crash before it was pinned must not strand the agent. */
  readonly trust: string;
  readonly notBeforeMs: number;
  readonly notAfterMs: number;
};

export type EnrolDeps = {
  /** `https://controller:8443` */
  readonly controllerUrl: string;
  readonly slots: Slots;
  readonly keys: IdentityKeys;
  readonly http: HttpClient;
  readonly crypto: Crypto;
};

/** How the controller is recognised before there is any certificate: its authority's PEM, or the SHA-256 of it. */
export type AuthorityPin =
  | { readonly kind: "pem"; readonly pem: string }
  | { readonly kind: "fingerprint"; readonly sha256: string };

export type Enrolled = {
  readonly identity: AgentIdentity;
  /** For TrustStore.pin. */
  readonly trustEnvelope: Uint8Array;
  /** Where the embedded broker listens on the controller's host, if it says so. */
  readonly brokerPort?: number;
};

const identitySlot = "identity.json";
const joiningSlot = "joining.json";
const identityBytesMax = 64 * 1024;
const answerBytesMax = 256 * 1024;
const deadlineMs = 15_000;

/** One-time: keys are made here and never leave; the answer's trust document is what every later message is checked against. */
export const enrolAgent = async (
  deps: EnrolDeps,
  joinToken: string,
  pin: AuthorityPin,
  agent: string,
): Promise<Result<Enrolled, Refusal>> => {
  if (!isSegment(agent)) return err(refusal("schema-invalid", "an agent's name is 1 to 48 of a-z, 0-9, _ and -"));
  const ca = await authorityOf(deps, pin);
  if (!ca.ok) return ca;
  const tlsKey = deps.keys.makeTlsKey();
  const joining = await reportKeyFor(deps, joinToken);
  if (!joining.ok) return joining;
  const reportKey = joining.value;
  const csr = createCsrPem({ ...tlsKey, encodeBase64: deps.crypto.encodeBase64 }, agent);
  const answer = await post(
    deps,
    "/v1/enrol",
    { ca: ca.value },
    { join_token: joinToken, agent, csr, report_key: reportKey.public },
  );
  if (!answer.ok) return explained(answer.error);
  const read = readAnswer(deps, answer.value);
  if (!read.ok) return read;
  const identity = identityOf(deps, read.value, tlsKey.keyPem, reportKey.keyPem);
  if (!identity.ok) return identity;
  const stored = await storeIdentity(deps, identity.value);
  const { trustEnvelope, brokerPort } = read.value;
  if (!stored.ok) return stored;
  // The identity holds the key now; a second copy would only be one more to guard, and keeping it does no other harm.
  await deps.slots.write(joiningSlot, new Uint8Array());
  return ok({ identity: identity.value, trustEnvelope, ...(brokerPort === undefined ? {} : { brokerPort }) });
};

type ReportKey = ReturnType<IdentityKeys["makeReportKey"]>;

/**
 * The report key this join token is used with, durable before the token is. A used token is good once more for the same
 * key only, so an agent that dies before it hears the answer would otherwise need a person with a new token.
 */
const reportKeyFor = async (deps: EnrolDeps, joinToken: string): Promise<Result<ReportKey, Refusal>> => {
  const { slots, crypto, keys } = deps;
  const token = crypto.sha256Hex(joinToken);
  const read = await slots.read(joiningSlot, identityBytesMax);
  if (!read.ok) return read;
  const parsed = read.value === undefined ? undefined : parseJson(crypto.textOf(read.value) ?? "");
  const kept = parsed?.ok === true ? (parsed.value as Partial<ReportKey & { token: string }> | null) : undefined;
  if (kept?.token === token && typeof kept.keyPem === "string" && typeof kept.public === "string")
    return ok({ keyPem: kept.keyPem, public: kept.public });
  const made = keys.makeReportKey();
  const stored = await slots.write(joiningSlot, crypto.utf8(JSON.stringify({ token, ...made })));
  return stored.ok ? ok(made) : stored;
};

/** undefined before enrolment. */
export const loadIdentity = async (
  deps: Pick<EnrolDeps, "slots" | "crypto" | "keys">,
): Promise<Result<AgentIdentity | undefined, Refusal>> => {
  const read = await deps.slots.read(identitySlot, identityBytesMax);
  if (!read.ok || read.value === undefined) return read.ok ? ok(undefined) : read;
  const text = deps.crypto.textOf(read.value);
  const parsed = text === undefined ? undefined : parseJson(text);
  const identity = parsed?.ok === true ? (parsed.value as AgentIdentity) : undefined;
  const isWhole = identity?.tls?.key !== undefined && deps.keys.isPair(identity.tls.cert, identity.tls.key);
  return isWhole
    ? ok(identity)
    : err(refusal("hash-mismatch", "the agent's identity is damaged; enrol it again with a new join token"));
};

const storeIdentity = (
  deps: Pick<EnrolDeps, "slots" | "crypto">,
  identity: AgentIdentity,
): Promise<Result<void, Refusal>> => deps.slots.write(identitySlot, deps.crypto.utf8(JSON.stringify(identity)));

// ---- the controller's answer ---------------------------------------------------------------------------------------

type Answer = {
  readonly certificate: string;
  readonly ca: string;
  readonly org: string;
  readonly site: string;
  readonly agent: string;
  readonly trustEnvelope: Uint8Array;
  readonly brokerPort?: number;
};

const readAnswer = (deps: EnrolDeps, body: Readonly<Record<string, unknown>>): Result<Answer, Refusal> => {
  const { certificate, ca, org, site, agent, trust, broker } = body;
  const names = [org, site, agent];
  const envelope = checkEnvelope(trust);
  if (
    typeof certificate !== "string" ||
    typeof ca !== "string" ||
    !envelope.ok ||
    !names.every((name) => typeof name === "string" && isSegment(name))
  ) {
    return err(
      refusal("schema-invalid", "the controller's enrolment answer is incomplete; is it of the same version?"),
    );
  }
  const [orgName, siteName, agentName] = names as [string, string, string];
  return ok({
    certificate,
    ca,
    org: orgName,
    site: siteName,
    agent: agentName,
    trustEnvelope: deps.crypto.utf8(JSON.stringify(envelope.value)),
    ...brokerOf(broker),
  });
};

const brokerOf = (broker: unknown): { readonly brokerPort?: number } => {
  const port = typeof broker === "object" && broker !== null && "port" in broker ? broker.port : undefined;
  return typeof port === "number" && Number.isInteger(port) && port > 0 && port < 65_536 ? { brokerPort: port } : {};
};

const identityOf = (
  deps: EnrolDeps,
  answer: Answer,
  key: string,
  reportKey: string,
): Result<AgentIdentity, Refusal> => {
  const certificate = deps.keys.certificateOf(answer.certificate);
  if (certificate === undefined || !deps.keys.isPair(answer.certificate, key)) {
    return err(refusal("signature-invalid", "the controller sent a certificate for another key"));
  }
  const { org, site, agent } = answer;
  const { notBeforeMs, notAfterMs } = certificate;
  return ok({
    org,
    site,
    agent,
    tls: { ca: answer.ca, cert: answer.certificate, key },
    reportKey,
    trust: deps.crypto.textOf(answer.trustEnvelope) ?? "",
    notBeforeMs,
    notAfterMs,
  });
};

const authorityOf = async (deps: EnrolDeps, pin: AuthorityPin): Promise<Result<string, Refusal>> => {
  if (pin.kind === "pem") return ok(pin.pem);
  const chain = await deps.http.chainOf(deps.controllerUrl, deadlineMs);
  if (!chain.ok) return explained(chain.error);
  const wanted = pin.sha256.toLowerCase().replaceAll(":", "");
  // Found by its pinned hash, then used as the only authority: a stranger's server cannot pass the handshake that follows.
  const found = chain.value.find((pem) => deps.keys.certificateOf(pem)?.fingerprint === wanted);
  if (found !== undefined) return ok(found);
  return err(
    refusal(
      "signature-invalid",
      `${deps.controllerUrl} shows no certificate with the pinned fingerprint; check address and fingerprint`,
    ),
  );
};

const post = async (
  deps: Pick<EnrolDeps, "http" | "crypto" | "controllerUrl">,
  path: string,
  tls: Partial<TlsIdentity> & Pick<TlsIdentity, "ca">,
  body: Readonly<Record<string, unknown>>,
): Promise<Result<Readonly<Record<string, unknown>>, Refusal>> => {
  const answer = await deps.http.request({
    method: "POST",
    url: new URL(path, deps.controllerUrl).href,
    headers: { "content-type": "application/json" },
    body: deps.crypto.utf8(JSON.stringify(body)),
    tls,
    bytesMax: answerBytesMax,
    deadlineMs,
  });
  if (!answer.ok) return answer;
  const { status, bytes } = answer.value;
  if (status === 401 || status === 403) return err(refusal("unauthorised", `status ${status}`));
  if (status === 409) return err(refusal("conflict", "used before"));
  if (status < 200 || status > 299) return err(refusal("unreachable", `status ${status}`));
  const text = deps.crypto.textOf(bytes);
  const parsed = text === undefined ? err(refusal("text-malformed")) : parseJson(text);
  if (!parsed.ok) return parsed;
  if (typeof parsed.value !== "object" || parsed.value === null)
    return err(refusal("schema-invalid", "the answer is not an object"));
  return ok(parsed.value as Readonly<Record<string, unknown>>);
};

const explained = (why: Refusal): Result<never, Refusal> => {
  if (why.code === "unauthorised" || why.code === "conflict") {
    return err(
      refusal(why.code, "join token refused: used, expired or for another controller; make a new one for this site"),
    );
  }
  if (why.code === "unreachable")
    return err(
      refusal(why.code, `${why.detail}; check the controller's address, and that the pinned authority is its own`),
    );
  return err(why);
};

// ---- renewal -------------------------------------------------------------------------------------------------------

export type RenewalDeps = EnrolDeps & {
  readonly clock: Clock;
  readonly timers: Timers;
  readonly random: Random;
  readonly log: Log;
  readonly onRenewed: (identity: AgentIdentity) => void;
};

/** Between half and two thirds of its life, spread over the fleet; failing, again and again, also after the end of it. */
export const renewAtMs = (identity: Pick<AgentIdentity, "notBeforeMs" | "notAfterMs">, random: Random): number => {
  const lifeMs = identity.notAfterMs - identity.notBeforeMs;
  return identity.notBeforeMs + jittered(random, lifeMs * 0.58, 0.08 / 0.58);
};

export const renewCertificate = async (
  deps: EnrolDeps,
  identity: AgentIdentity,
): Promise<Result<AgentIdentity, Refusal>> => {
  const tlsKey = deps.keys.makeTlsKey();
  const csr = createCsrPem({ ...tlsKey, encodeBase64: deps.crypto.encodeBase64 }, identity.agent);
  const answer = await post(deps, "/v1/agent/renew", identity.tls, { csr });
  if (!answer.ok) return answer;
  const { certificate } = answer.value;
  const ca = typeof answer.value["ca"] === "string" ? answer.value["ca"] : identity.tls.ca;
  const read = typeof certificate === "string" ? deps.keys.certificateOf(certificate) : undefined;
  if (typeof certificate !== "string" || read === undefined || !deps.keys.isPair(certificate, tlsKey.keyPem)) {
    return err(refusal("signature-invalid", "the controller sent a certificate for another key"));
  }
  const { notBeforeMs, notAfterMs } = read;
  const renewed: AgentIdentity = {
    ...identity,
    tls: { ca, cert: certificate, key: tlsKey.keyPem },
    notBeforeMs,
    notAfterMs,
  };
  const stored = await storeIdentity(deps, renewed);
  return stored.ok ? ok(renewed) : stored;
};

const retryMs = 10 * 60_000;
/** A clock that jumped must not leave a certificate to die: look again this often. */
const lookMs = 60_000;

/** Keeps the certificate fresh until stopped. */
export const keepRenewed = (deps: RenewalDeps, first: AgentIdentity): { readonly stop: () => void } => {
  let identity = first;
  let dueMs = renewAtMs(identity, deps.random);
  let cancel = (): void => undefined;
  let isStopped = false;
  const look = async (): Promise<void> => {
    if (deps.clock.nowMs() >= dueMs) {
      const renewed = await renewCertificate(deps, identity);
      if (renewed.ok) {
        identity = renewed.value;
        dueMs = renewAtMs(identity, deps.random);
        deps.log.info({ notAfterMs: identity.notAfterMs }, "certificate renewed");
        deps.onRenewed(identity);
      } else {
        dueMs = deps.clock.nowMs() + jittered(deps.random, retryMs, 0.5);
        deps.log.warn(
          { code: renewed.error.code, detail: renewed.error.detail, notAfterMs: identity.notAfterMs },
          "certificate not renewed",
        );
      }
    }
    if (!isStopped) cancel = deps.timers.after(lookMs, () => void look());
  };
  cancel = deps.timers.after(0, () => void look());
  return {
    stop: () => {
      isStopped = true;
      cancel();
    },
  };
};
