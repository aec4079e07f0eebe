import { type Bundle, defaultSettings } from "@reflex/protocol/bundle";
import type { RefusalCode } from "@reflex/protocol/refusal";
import { firstPrevious, Token, type TokenDigests } from "@reflex/protocol/token";
import type { Weights } from "@reflex/protocol/weights";
import { Errors } from "typebox/value";
import { type CompiledBundle, compileBundle } from "./compile.ts";
import { decide } from "./decide.ts";
import { differences } from "./differences.ts";
import { engine } from "./engine.ts";
import { chainHash, type Sha256Hex } from "./token.ts";

export type ReplayFinding = {
  readonly code: Extract<
    RefusalCode,
    | "token-altered"
    | "chain-broken"
    | "replay-differs"
    | "engine-unknown"
    | "schema-invalid"
    | "bundle-invalid"
    | "json-malformed"
  >;
  /** JSON pointer into the token. */
  readonly path: string;
  readonly stored: unknown;
  readonly recomputed: unknown;
};
export type ReplayReport = { readonly same: boolean; readonly findings: readonly ReplayFinding[] };

export type ReplayAgainst = {
  /** The whole bundle the slice was cut from: proves that nothing left out of the slice would have changed the decision. */
  readonly bundle?: Bundle;
  readonly weights?: Weights;
  /** Hash of the token before this one in the agent's chain. */
  readonly previous?: string;
};

/** More findings than this say nothing new. */
const findingsMax = 200;

/**
 * Checks a token from within itself: shape, digests, chain hash, and the decision made again from its slice. Given as text
 * it must also be byte for byte what Reflex writes, so that spelling, spaces and doubled keys cannot hide anything.
 */
export const replayToken = (token: unknown, sha256Hex: Sha256Hex, against: ReplayAgainst = {}): ReplayReport => {
  const findings: ReplayFinding[] = [];
  const parsed = typeof token === "string" ? parseToken(token, findings) : token;
  if (parsed === undefined) return report(findings);
  for (const error of Errors(Token, parsed))
    findings.push({
      code: "schema-invalid",
      path: error.instancePath,
      stored: valueAt(parsed, error.instancePath),
      recomputed: error.message,
    });
  if (!hasSections(parsed)) return report(findings);
  checkDigests(parsed, sha256Hex, against, findings);
  if (findings.some(({ code }) => code === "schema-invalid")) return report(findings);
  if (parsed.header.engine !== engine) {
    findings.push({ code: "engine-unknown", path: "/header/engine", stored: parsed.header.engine, recomputed: engine });
    return report(findings);
  }
  recompute(parsed, compileBundle(sliceAsBundle(parsed), sliceAsWeights(parsed)), findings);
  if (against.bundle !== undefined && against.weights !== undefined)
    recompute(parsed, compileBundle(against.bundle, against.weights), findings);
  return report(findings);
};

const report = (findings: readonly ReplayFinding[]): ReplayReport => ({
  same: findings.length === 0,
  findings: findings.slice(0, findingsMax),
});

const parseToken = (text: string, findings: ReplayFinding[]): unknown => {
  let parsed: unknown;
  try {
    parsed = JSON.parse(text);
  } catch {
    findings.push({ code: "json-malformed", path: "", stored: text.slice(0, 64), recomputed: "one JSON value" });
    return undefined;
  }
  const canonical = JSON.stringify(parsed);
  if (canonical !== text) {
    let at = 0;
    while (at < text.length && text.charCodeAt(at) === canonical.charCodeAt(at)) at += 1;
    findings.push({
      code: "token-altered",
      path: "",
      stored: `byte ${at}: ${text.slice(at, at + 32)}`,
      recomputed: `byte ${at}: ${canonical.slice(at, at + 32)}`,
    });
  }
  return parsed;
};

const sections = ["header", "detection", "context", "slice", "decision"] as const;

const hasSections = (value: unknown): value is Token =>
  typeof value === "object" &&
  value !== null &&
  [...sections, "digests"].every((name) => {
    const section: unknown = (value as Record<string, unknown>)[name];
    return typeof section === "object" && section !== null;
  });

/**
 * Names the part that was altered. Where a section and its digest disagree, the chain hash says which of the two is the
 * one that was sealed.
 */
const checkDigests = (token: Token, sha256Hex: Sha256Hex, against: ReplayAgainst, findings: ReplayFinding[]): void => {
  const digests = Object.fromEntries(
    sections.map((name) => [name, sha256Hex(JSON.stringify(token[name]))]),
  ) as TokenDigests;
  const altered = (path: string, stored: unknown, recomputed: unknown): void => {
    findings.push({ code: "token-altered", path, stored, recomputed });
  };
  const sealedAsStored = chainHash(token.previous, token.digests, sha256Hex) === token.hash;
  for (const name of sections) {
    if (digests[name] === token.digests[name]) continue;
    const rest = { ...token.digests, [name]: digests[name] };
    const digestAltered = !sealedAsStored && chainHash(token.previous, rest, sha256Hex) === token.hash;
    altered(digestAltered ? `/digests/${name}` : `/${name}`, token.digests[name], digests[name]);
  }
  const hash = chainHash(token.previous, digests, sha256Hex);
  if (hash !== token.hash && sections.every((name) => digests[name] === token.digests[name]))
    altered(
      against.previous !== undefined && against.previous !== token.previous ? "/previous" : "/hash",
      token.hash,
      hash,
    );
  const expected = against.previous ?? (token.header.sequence === 1 ? firstPrevious : undefined);
  if (expected !== undefined && token.previous !== expected)
    findings.push({ code: "chain-broken", path: "/previous", stored: token.previous, recomputed: expected });
};

const sliceAsBundle = ({ header, slice }: Token): Bundle => ({
  v: 1,
  kind: "bundle",
  aud: { org: header.org, sites: ["*"] },
  version: Math.max(1, header.bundle.version),
  issued_at: header.decided_at,
  engine: header.engine,
  changelog: "",
  policies: slice.policies,
  cases: [],
  lists: slice.lists,
  // What the inventory said is in the context; a decision never looks anywhere else.
  inventory: { assets: [], users: [], subnets: [] },
  never_touch: slice.never_touch,
  routing: slice.routing,
  settings: defaultSettings,
});

const sliceAsWeights = ({ header, slice }: Token): Weights => ({
  v: 1,
  kind: "weights",
  aud: { org: header.org, sites: ["*"] },
  issued_at: header.decided_at,
  ...slice.weights,
});

const recompute = (token: Token, compiled: ReturnType<typeof compileBundle>, findings: ReplayFinding[]): void => {
  if (!compiled.ok) {
    findings.push({ code: "bundle-invalid", path: "/slice", stored: undefined, recomputed: compiled.error.detail });
    return;
  }
  const { decision, limitsRead } = decideAgain(token, compiled.value);
  const differs = (path: string, stored: unknown, recomputed: unknown): void => {
    if (findings.length < findingsMax) findings.push({ code: "replay-differs", path, stored, recomputed });
  };
  differences("/decision", token.decision, decision, differs);
  differences("/context/limits", token.context.limits, limitsRead, differs);
};

const decideAgain = (token: Token, compiled: CompiledBundle): ReturnType<typeof decide> => {
  const { limits, ...context } = token.context;
  return decide({
    detection: token.detection,
    context,
    limits: { used: (key) => (Object.hasOwn(limits, key) ? limits[key] : undefined) },
    compiled,
    site: token.header.site,
    nowMs: Date.parse(token.header.decided_at),
    decisionId: token.decision.decision_id,
  });
};

const valueAt = (value: unknown, pointer: string): unknown =>
  pointer
    .split("/")
    .slice(1)
    .reduce<unknown>(
      (inner, key) =>
        typeof inner === "object" && inner !== null ? (inner as Record<string, unknown>)[key] : undefined,
      value,
    );
