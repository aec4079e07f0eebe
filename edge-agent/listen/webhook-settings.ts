/** Who may send, and how. */
export type WebhookSettings = {
  /** Address to bind; anything but loopback demands a token or an HMAC key. */
  readonly host: string;
  /** 0 = any free port. */
  readonly port: number;
  readonly format: string;
  /** `authorization: Bearer <token>`. */
  readonly bearerToken?: string;
  /** `x-reflex-signature: sha256=<hex>`, HMAC-SHA256 over the body as sent. With a token as well, both are demanded. */
  readonly hmacKey?: string;
  readonly tls?: { readonly key: string; readonly cert: string; readonly clientCa?: string };
};

/** One request: some full-size records, or a thousand usual ones. */
export const webhookBodyBytesMax = 4 * 1024 * 1024;
/** Records of one request; more come in more requests, so that nobody waits long for an answer. */
export const webhookRecordsMax = 1_000;
/** JSON deflates about 10:1; more is built to unfold in memory. */
export const inflateRatioMax = 100;
/** Requests being answered; 64 x 4 MB is the most that can be held for them. */
export const webhookRequestsMax = 64;
/** A body that comes slower than this is holding a place, not sending. */
export const webhookRequestTimeoutMs = 30_000;
/** Told to senders when the agent cannot take records now. */
export const retryAfterSeconds = 5;

const secretLengthMin = 16;

/** What is wrong with the settings, in one sentence; undefined if they may be used. */
export const webhookSettingsFault = ({ host, bearerToken, hmacKey }: WebhookSettings): string | undefined => {
  for (const secret of [bearerToken, hmacKey]) {
    if (secret !== undefined && secret.length < secretLengthMin) {
      return `webhook secrets have at least ${secretLengthMin} characters`;
    }
  }
  if (bearerToken !== undefined || hmacKey !== undefined || isLoopback(host)) return undefined;
  return "a webhook that is reachable from other machines needs a bearer token or an HMAC key";
};

/** Not `localhost`: what that resolves to is decided elsewhere. */
const isLoopback = (host: string): boolean => host === "::1" || /^127(?:\.\d{1,3}){3}$/.test(host);
