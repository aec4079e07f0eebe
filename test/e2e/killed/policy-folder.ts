import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";

export type PolicyFolder = {
  readonly connector: string;
  /** Lease of a usual block, and of one for a critical detection. */
  readonly ttlSeconds: number;
  readonly criticalTtlSeconds: number;
};

/** A policy repository of its own: what is certain is blocked, everything else is left to people. */
export const writePolicyFolder = (
  folder: string,
  { connector, ttlSeconds, criticalTtlSeconds }: PolicyFolder,
): void => {
  const files: Readonly<Record<string, string>> = {
    "settings.yaml":
      "freshness: 1h\nlease: 24h\n# The circuit is not what is tested here.\nactions_per_minute_max: 10000\nhistory: 1h\nmode: enforce\n",
    "routing.yaml": `- { action: block_ip, connector: ${connector} }\n`,
    "never-touch.yaml": "- { type: address, value: 198.51.100.1, why: The gateway of the test. }\n",
    "policies/action/block-confirmed.yaml": `policy: action/block-confirmed
match: { confidence: { gte: 0.9 }, severity: high }
do: { action: block_ip, target: attacker.address, ttl: ${ttlSeconds}s }
why: The detection is certain.
cases:
  - name: at 0.9 it is blocked
    detection: { confidence: 0.9, severity: high, entities: [attacker.address 203.0.113.9] }
    expect: { verdict: act, actions: [block_ip address 203.0.113.9] }
  - name: below it is not
    detection: { confidence: 0.89, severity: high, entities: [attacker.address 203.0.113.9] }
    expect: hold
`,
    "policies/action/block-critical.yaml": `policy: action/block-critical
match: { confidence: { gte: 0.9 }, severity: critical }
do: { action: block_ip, target: attacker.address, ttl: ${criticalTtlSeconds}s }
why: The detection is certain and critical.
cases:
  - name: at 0.9 it is blocked
    detection: { confidence: 0.9, severity: critical, entities: [attacker.address 203.0.113.9] }
    expect: { verdict: act, actions: [block_ip address 203.0.113.9] }
  - name: below it is not
    detection: { confidence: 0.89, severity: critical, entities: [attacker.address 203.0.113.9] }
    expect: hold
`,
  };
  for (const [path, text] of Object.entries(files)) {
    mkdirSync(join(folder, path, ".."), { recursive: true });
    writeFileSync(join(folder, path), text);
  }
};
