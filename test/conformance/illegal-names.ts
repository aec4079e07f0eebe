import type { Entity } from "@reflex/protocol/entity";

/** Words meant for a query language, a path or another list of ids; none of them is a name. */
const notNames: readonly string[] = [
  "*",
  "",
  " ",
  "' or '1'='1",
  '" or "1"="1',
  "a' or startswith(computerDnsName,'",
  "a'],hostname:!['a",
  "one,two",
  "../agents",
  "one/../two",
  "one\ntwo",
  "one%27",
  "a?limit=1",
];

/** `known` is a host that is there; `twice` names two of them. */
export const illegalHosts = (known: string, twice: string): readonly Entity[] => [
  ...[twice, "no-such-host", known.slice(0, -1), `${known}-2`, `${known}' or '1'='1`, ...notNames].map(
    (value): Entity => ({ type: "host", value }),
  ),
  { type: "user", value: known },
];

/** `known` is a user who is there; `others` are names of two, of nobody, or of parts of names. */
export const illegalUsers = (known: string, others: readonly string[]): readonly Entity[] => [
  ...[...others, `no.${known}`, `${known}' or '1'='1`, `${known}" or profile.login pr "`, ...notNames].map(
    (value): Entity => ({ type: "user", value }),
  ),
  { type: "host", value: known },
];
