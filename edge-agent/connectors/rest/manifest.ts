import type { Position } from "@reflex/policies/language/policy-error";
import type { ActionName } from "@reflex/protocol/action";
import type { EntityType } from "@reflex/protocol/entity";
import type { Pointer } from "./pointer.ts";
import type { Reference, Value } from "./value.ts";

/** A manifest, read and checked. MANIFEST.md says what each part means. */
export type Manifest = {
  readonly name: string;
  readonly about: string;
  readonly docs: readonly string[];
  readonly needs: readonly string[];
  readonly settings: Readonly<Record<string, SettingRule>>;
  readonly secrets: Readonly<Record<string, { readonly about: string; readonly optional: boolean }>>;
  readonly auth: Auth;
  readonly rate?: { readonly perSecond: number; readonly burst: number; readonly atOnce?: number };
  readonly headers: Named;
  readonly answer: AnswerFormat;
  /** Where the product says in words what was wrong. */
  readonly message: readonly Pointer[];
  readonly actions: Readonly<Partial<Record<ActionName, Action>>>;
  /** The product cannot be spoken to: why, and what to use instead. */
  readonly noApi?: string;
  /** The product speaks gRPC: its requests are calls of this proto file. */
  readonly grpc?: { readonly proto: string };
};

export type SettingRule = {
  readonly about: string;
  readonly default?: string | number | boolean;
  readonly pattern?: RegExp;
  readonly oneOf?: readonly string[];
  readonly format?: "url" | "integer" | "flag";
  readonly optional: boolean;
};

export type AnswerFormat = "json" | "xml" | "none";
export type Named = readonly (readonly [name: string, value: Value])[];

export type RequestTemplate = {
  readonly at: Position;
  readonly method: string;
  /** Another origin than the site's base URL: a setting with `format: url`, or a fixed one. */
  readonly base?: Value;
  readonly path: readonly Value[];
  readonly query: Named;
  readonly headers: Named;
  readonly body?: Body;
  readonly answer?: AnswerFormat;
  /** In calls: where each message of the answer holds a JSON list as text. */
  readonly rows?: Pointer;
};
export type Body =
  | { readonly kind: "json"; readonly value: Value }
  | { readonly kind: "ndjson"; readonly value: Value }
  | { readonly kind: "form"; readonly fields: Named }
  | { readonly kind: "xml"; readonly tree: Value };

export type Conditions = readonly (readonly [pointer: Pointer, matcher: Matcher])[];
export type Matcher =
  | { readonly kind: "equals"; readonly value: Value }
  | { readonly kind: "starts" | "ends" | "contains" | "address" | "same_name"; readonly value: Value }
  | { readonly kind: "one_of"; readonly matchers: readonly Matcher[] }
  | { readonly kind: "exactly"; readonly list: Value }
  | { readonly kind: "at_least"; readonly number: number }
  | { readonly kind: "not"; readonly matcher: Matcher }
  | { readonly kind: "missing"; readonly isMissing: boolean };

export type Clause = {
  readonly at: Position;
  /** Undefined: any of 200 to 299. */
  readonly status?: readonly number[];
  readonly where: Conditions;
  readonly items?: Pointer;
  readonly only: boolean;
  readonly first: boolean;
  readonly empty: boolean;
  readonly none?: Conditions;
};
/** One of them holds. */
export type Clauses = readonly Clause[];

export type Pages =
  | { readonly kind: "page"; readonly name: string; readonly from: number; readonly total: Pointer }
  | { readonly kind: "cursor"; readonly pointer: Pointer; readonly place: "query" | "form"; readonly name: string }
  | { readonly kind: "next"; readonly pointer: Pointer }
  | { readonly kind: "link" };

export type Keep = Readonly<Record<string, Pointer | { readonly when: Clause }>>;

/** A request whose answer is a list of things, all pages of it. */
export type Listing = {
  readonly request: RequestTemplate;
  readonly pages?: Pages;
  readonly answered?: Clauses;
  readonly items: Pointer;
  readonly where: Conditions;
};

export type Unless = readonly (readonly [reference: Reference, matcher: Matcher])[];

export type Description = {
  readonly label?: Pointer;
  readonly also: readonly (readonly [type: EntityType, pointer: Pointer])[];
  readonly groups: readonly Pointer[];
};
export type Resolve = Listing &
  Description & {
    /** `target`: the target's value is its own id there; the entry only shows whose it is. */
    readonly id: Pointer | "target";
    readonly then: readonly (Description & {
      readonly request: RequestTemplate;
      readonly pages?: Pages;
      readonly answered?: Clauses;
      readonly item?: Pointer;
    })[];
  };

export type ReadFirst = { readonly request: RequestTemplate; readonly answered?: Clauses; readonly keep: Keep };

/** How the product itself keeps two writers of one list apart. */
export type Guarded =
  | { readonly kind: "etag" }
  | { readonly kind: "revision"; readonly revision: Reference; readonly lost: Clauses }
  | { readonly kind: "alone"; readonly why: string };

/** A request that changes something, with what may come before and after it. */
export type Change = {
  readonly at: Position;
  readonly unless?: Unless;
  readonly find?: Listing & { readonly id: Pointer; readonly keep: Keep };
  readonly read?: ReadFirst;
  readonly guarded?: Guarded;
  readonly request: RequestTemplate;
  readonly done: Clauses;
  /** Apply: it is there already. Undo: it is not there any more. */
  readonly already: Clauses;
  readonly conflict: Clauses;
  readonly refused: Clauses;
  readonly retry: Clauses;
  readonly unknown: Clauses;
  readonly after: readonly { readonly request: RequestTemplate; readonly done: Clauses }[];
};

export type Verify = {
  readonly request: RequestTemplate;
  readonly pages?: Pages;
  readonly answered?: Clauses;
  readonly present: Clauses;
  /** Undefined: an answer whose list has no such entry. */
  readonly absent?: Clauses;
};

export type ActionList = Listing & { readonly id: Pointer; readonly idAs: "text" | "address" | "network" };

export type Accepts = {
  readonly family?: 4 | 6;
  readonly prefixBits?: readonly number[];
  readonly pattern?: RegExp;
};

export type Action = {
  readonly targets: readonly EntityType[];
  readonly nativeTtl: boolean;
  /** Alternatives; none: whatever is legal. */
  readonly accepts: readonly Accepts[];
  readonly resolve?: Resolve;
  readonly capture?: ReadFirst;
  readonly apply: Change;
  /** Undefined: at most once. */
  readonly verify?: Verify;
  readonly verifyNoneBecause?: string;
  /** Undefined: nothing stays that could be taken back. */
  readonly undo?: Change;
  readonly list?: ActionList;
};

export type Auth =
  | { readonly kind: "none" | "client_certificate" }
  | {
      readonly kind: "header";
      readonly headers: readonly { readonly name: string; readonly prefix: string; readonly value: Value }[];
    }
  | { readonly kind: "basic"; readonly user: Value; readonly password: Value }
  | {
      readonly kind: "oauth2";
      readonly tokenUrl: { readonly base?: Value; readonly path: readonly Value[] };
      readonly clientId: Value;
      readonly clientSecret: Value;
      readonly style: "body" | "basic";
      readonly fields: Named;
    }
  | {
      readonly kind: "login";
      readonly request: RequestTemplate;
      readonly basic?: { readonly user: Value; readonly password: Value };
      readonly token: Pointer;
      readonly expiresSeconds: number;
      readonly header: { readonly name: string; readonly prefix: string };
    }
  | {
      readonly kind: "sigv4";
      readonly service: Value;
      readonly region: Value;
      readonly accessKey: Value;
      readonly secretKey: Value;
      readonly sessionToken?: Value;
    };
