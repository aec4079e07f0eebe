import { createHttpCalls } from "@reflex/edge-agent/adapters/outbound-http";
import { secretOf } from "@reflex/edge-agent/connectors/secrets-port";
import { openWebhook, type WebhookConfig } from "@reflex/edge-agent/connectors/webhook/config";
import { ok } from "@reflex/protocol/result";
import { createFakeWebhook, webhookSecret } from "../fakes/webhook.ts";
import type { Subject } from "../subject.ts";
import { type FakePlace, subjectOfFake } from "../subject-of-fake.ts";

const connectorFor =
  (more: (url: string) => Partial<WebhookConfig>) =>
  ({ url, caPem, callTimeoutMs }: FakePlace) => {
    const made = openWebhook(
      {
        kind: "webhook",
        name: "soar",
        url: `${url}/hook`,
        secret: "env:HOOK",
        ca_file: "ca.pem",
        call_ms: callTimeoutMs,
        ...more(url),
      },
      {
        secrets: { read: () => ok(secretOf(webhookSecret)) },
        clock: { nowMs: Date.now },
        readText: () => caPem,
        httpCalls: createHttpCalls,
      },
    );
    if (!made.ok) throw new Error(made.error);
    return made.value;
  };

export const subjects: readonly Subject[] = [
  subjectOfFake({
    name: "webhook (notice)",
    action: "notify",
    target: { type: "user", value: "alice" },
    otherTarget: { type: "host", value: "laptop-7" },
    illegalTargets: [],
    fake: createFakeWebhook,
    planted: [webhookSecret],
    connector: connectorFor(() => ({})),
    notApplicable: { "illegal targets refused": "people can be told about anything" },
  }),
  subjectOfFake({
    name: "webhook (hand-off)",
    action: "isolate_host",
    target: { type: "host", value: "laptop-7" },
    otherTarget: { type: "host", value: "laptop-8" },
    illegalTargets: [
      { type: "user", value: "laptop-7" },
      { type: "address", value: "203.0.113.9" },
    ],
    fake: createFakeWebhook,
    planted: [webhookSecret],
    connector: connectorFor((url) => ({
      hand_off: ["isolate_host"],
      undo_notice: true,
      status_url: `${url}/status`,
    })),
    notApplicable: {
      "what was so before stays so": "a message says what Reflex wants; what was before is the receiver's to know",
    },
  }),
];
