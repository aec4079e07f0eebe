import { isSegment } from "@reflex/protocol/ids";

/** Who a client certificate speaks for, from its one URI name; topic and route access follow from it. */
export type Identity =
  | { readonly kind: "agent"; readonly org: string; readonly site: string; readonly agent: string }
  | { readonly kind: "controller"; readonly org: string; readonly name: string };

export const identityUri = (identity: Identity): string =>
  identity.kind === "agent"
    ? `reflex://${identity.org}/s/${identity.site}/a/${identity.agent}`
    : `reflex://${identity.org}/c/${identity.name}`;

/** Reads what identityUri wrote; undefined for anything else. */
export const parseIdentityUri = (uri: string): Identity | undefined => {
  const agent = /^reflex:\/\/([^/]+)\/s\/([^/]+)\/a\/([^/]+)$/.exec(uri);
  const controller = /^reflex:\/\/([^/]+)\/c\/([^/]+)$/.exec(uri);
  const parts = (agent ?? controller)?.slice(1) ?? [];
  if (!parts.every(isSegment)) return undefined;
  const [org, second, third] = parts as [string, string, string];
  if (agent !== null) return { kind: "agent", org, site: second, agent: third };
  return controller === null ? undefined : { kind: "controller", org, name: second };
};

/**
 * From `subjectaltname` of Node's peer certificate. Exactly one URI: with two, a reader that takes the first and one that takes the
 * last would see two agents. Node quotes names with special characters, and a quoted one is none of ours.
 */
export const identityOfAltName = (subjectAltName: string | undefined): Identity | undefined => {
  const names = (subjectAltName ?? "").split(", ");
  const uris = names.filter((name) => name.startsWith("URI:"));
  return uris.length === 1 && names.length === 1 ? parseIdentityUri((uris[0] ?? "").slice("URI:".length)) : undefined;
};
