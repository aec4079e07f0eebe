import { createHash, createHmac, timingSafeEqual } from "node:crypto";
import type { IncomingHttpHeaders } from "node:http";
import type { WebhookSettings } from "./webhook-settings.ts";

export type WebhookAuth = {
  /** Before a byte of the body is read. */
  readonly headersAllow: (headers: IncomingHttpHeaders) => boolean;
  /** Over the body as sent, before it is unpacked or parsed. */
  readonly bodyAllows: (headers: IncomingHttpHeaders, body: Uint8Array) => boolean;
};

export const createWebhookAuth = ({
  bearerToken,
  hmacKey,
}: Pick<WebhookSettings, "bearerToken" | "hmacKey">): WebhookAuth => ({
  headersAllow: ({ authorization = "", ...headers }) => {
    const hasToken = bearerToken === undefined || equalSecrets(authorization, `Bearer ${bearerToken}`);
    return hasToken && (hmacKey === undefined || typeof headers[signatureHeader] === "string");
  },
  bodyAllows: (headers, body) =>
    hmacKey === undefined ||
    equalSecrets(
      String(headers[signatureHeader]).toLowerCase(),
      `sha256=${createHmac("sha256", hmacKey).update(body).digest("hex")}`,
    ),
});

const signatureHeader = "x-reflex-signature";

/** Takes as long for any guess: what is compared are digests, of one length whatever was sent. */
const equalSecrets = (given: string, expected: string): boolean => timingSafeEqual(digest(given), digest(expected));
const digest = (text: string): Buffer => createHash("sha256").update(text).digest();
