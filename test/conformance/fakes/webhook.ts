import { createHmac, timingSafeEqual } from "node:crypto";
import type { Fake, FakeAnswer, FakeChange, FakeRequest } from "../fake.ts";

/**
 * A SOAR that takes signed webhooks, from the specification at standardwebhooks.com (1.0: signature over id, timestamp and body,
 * timestamps at most five minutes off, each id processed once), with a page that says what is in force.
 */
export const webhookSecret = `whsec_${Buffer.alloc(32, 5).toString("base64")}`;

export const createFakeWebhook = (): Fake => {
  const seen = new Set<string>();
  const inForce = new Map<string, string>();
  const changes: FakeChange[] = [];

  const receive = (request: FakeRequest): FakeAnswer => {
    const id = request.headers["webhook-id"] ?? "";
    if (seen.has(id)) return { status: 200, json: { seen: true } };
    const { type, data } = JSON.parse(request.text) as Message;
    // People are told each time; a host is cut off once.
    const entry = `${data.action} ${data.target.value}${data.action === "notify" ? `, told as ${id}` : ""}`;
    seen.add(id);
    if (type === "reflex.command.undo") {
      if (inForce.delete(data.command_id)) changes.push({ verb: "undo", key: entry });
    } else {
      inForce.set(data.command_id, entry);
      changes.push({ verb: "apply", key: entry });
    }
    return { status: 202 };
  };

  return {
    handle: (request) => {
      const signed = request.method === "GET" ? request.query.toString() : request.text;
      if (!isSigned(request, signed)) return { status: 401 };
      if (request.method === "POST" && request.path === "/hook") return receive(request);
      if (request.method === "GET" && request.path === "/status") {
        const asked = `${request.query.get("action")} ${request.query.get("target")}`;
        return { status: 200, json: { in_force: [...inForce.values()].includes(asked) } };
      }
      return { status: 404 };
    },
    present: () => [...inForce.values()],
    changes: () => changes,
    addForeign: () => {
      const entry = "isolate_host somebody-elses";
      inForce.set("somebody else", entry);
      return entry;
    },
  };
};

type Message = {
  readonly type: string;
  readonly data: {
    readonly command_id: string;
    readonly action: string;
    readonly target: { readonly value: string };
  };
};

const toleranceSeconds = 300;

const isSigned = ({ headers }: FakeRequest, body: string): boolean => {
  const timestamp = Number(headers["webhook-timestamp"]);
  if (!(Math.abs(Date.now() / 1_000 - timestamp) <= toleranceSeconds)) return false;
  const key = Buffer.from(webhookSecret.slice("whsec_".length), "base64");
  const wanted = createHmac("sha256", key).update(`${headers["webhook-id"]}.${timestamp}.${body}`).digest();
  const shown = Buffer.from((headers["webhook-signature"] ?? "").replace(/^v1,/, ""), "base64");
  return shown.length === wanted.length && timingSafeEqual(shown, wanted);
};
