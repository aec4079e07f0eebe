import type { Entity } from "@reflex/protocol/entity";

const address = (value: string): Entity => ({ type: "address", value });
const network = (value: string): Entity => ({ type: "network", value });
const domain = (value: string): Entity => ({ type: "domain", value });

/** Not addresses of one sender, not addresses at all, or words meant for another program. */
export const illegalAddresses: readonly Entity[] = [
  ...[
    "0.0.0.0",
    "127.0.0.1",
    "255.255.255.255",
    "224.0.0.1",
    "::1",
    "::",
    "::ffff:127.0.0.1",
    "fe80::1",
    "203.0.113.9/24",
  ].map(address),
  ...[
    "203.0.113.09",
    "1.2.3",
    "203.0.113.9; flush ruleset",
    "203.0.113.9 }",
    "$(reboot)",
    "-f",
    "203.0.113.9\n203.0.113.10",
    "203.0.113.9/../../admin",
    '203.0.113.9"}',
  ].map(address),
  { type: "host", value: "203.0.113.9" },
];

export const illegalNetworks: readonly Entity[] = [
  "0.0.0.0/0",
  "::/0",
  "10.0.0.0/7",
  "127.0.0.0/8",
  "203.0.113.0/33",
  "203.0.113.0/24 }",
  "all",
].map(network);

export const illegalDomains: readonly Entity[] = [
  "com",
  "bad example.com",
  "bad.example\ngood.example",
  "-bad.example",
  "203.0.113.9",
  "",
].map(domain);

/** For messages: what is illegal may be unprintable. */
export const illegalText = ({ type, value }: Entity): string => `${type} ${JSON.stringify(value)}`;
