/**
 * A target system that cannot run here, made from its public documents: the part of its API that a connector uses, with its
 * state, its checks of arguments and rights, and its answers. Pure: a request in, an answer out; `fake-server.ts` puts it on a
 * socket with TLS and adds the faults. Its file names the documents it was made from.
 */
export type Fake = {
  /** Changes its state before it returns, as if the answer were already on its way. */
  readonly handle: (request: FakeRequest) => FakeAnswer;
  /** What is enforced now, as `<action> <id>`. */
  readonly present: () => readonly string[];
  /** Each real change of what is enforced, in order; asking for what is there already is none. */
  readonly changes: () => readonly FakeChange[];
  /** Every access token issued so far is refused from now on; absent where credentials never expire. */
  readonly expireTokens?: () => void;
  /** Somebody else puts an entry in force beside ours, in the very list that ours live in; returns its `<action> <id>`. */
  readonly addForeign?: () => string;
  /** Somebody else does to this target what we are about to do; the target as the far end knows it. */
  readonly addSame?: (id: string) => void;
};

export type FakeRequest = {
  readonly method: string;
  readonly path: string;
  readonly query: URLSearchParams;
  /** Names in lower case. */
  readonly headers: Readonly<Record<string, string>>;
  readonly text: string;
};

export type FakeAnswer = {
  readonly status: number;
  readonly headers?: Readonly<Record<string, string>>;
  readonly json?: unknown;
  readonly text?: string;
};

export type FakeChange = { readonly verb: "apply" | "undo"; readonly key: string };
