import { readFileSync } from "node:fs";
import type { SourceConfig } from "../config.ts";
import { createFeedSource, type FeedProgress, type FeedSource } from "../listen/feed.ts";
import type { FeedClock } from "../listen/feed-clock.ts";
import { createMqttSource } from "../listen/mqtt.ts";
import { createStdinSource, stdinStream } from "../listen/stdin.ts";
import type { EndingSource } from "../listen/stream.ts";
import { createWebhookSource } from "../listen/webhook.ts";
import type { Clock, Log, Random, Source, Timers } from "../ports.ts";

export type SourceDeps = {
  readonly timers: Timers;
  readonly random: Random;
  readonly log: Log;
  readonly wall: Clock;
  readonly feedClock: FeedClock;
  readonly onProgress: (progress: FeedProgress) => void;
};
export type OpenedSource =
  | { readonly kind: "feed"; readonly source: FeedSource }
  | { readonly kind: "stdin"; readonly source: EndingSource }
  | { readonly kind: "webhook"; readonly source: ReturnType<typeof createWebhookSource> }
  | { readonly kind: "live"; readonly source: Source };

/** A secret is named by its file, so that it is in no configuration, journal or process list. */
const secretIn = (path: string): string => readFileSync(path, "utf8").trim();
const textIn = (path: string): string => readFileSync(path, "utf8");

export const createSource = (config: SourceConfig, deps: SourceDeps): OpenedSource => {
  const format = config.format ?? "auto";
  switch (config.kind) {
    case "webhook": {
      const { token_file: token, hmac_file: hmac, cert_file: cert, key_file: key } = config;
      const source = createWebhookSource({
        host: config.host ?? "127.0.0.1",
        port: config.port,
        format,
        ...(token === undefined ? {} : { bearerToken: secretIn(token) }),
        ...(hmac === undefined ? {} : { hmacKey: secretIn(hmac) }),
        ...(cert === undefined || key === undefined ? {} : { tls: { cert: textIn(cert), key: textIn(key) } }),
      });
      return { kind: "webhook", source };
    }
    case "mqtt": {
      const { username, password_file: password, ca_file: ca } = config;
      const settings = {
        name: config.topics[0] ?? "mqtt",
        url: config.url,
        topics: config.topics,
        format,
        clientId: config.client_id ?? "reflex-edge-agent",
        ...(username === undefined ? {} : { username }),
        ...(password === undefined ? {} : { password: secretIn(password) }),
        ...(ca === undefined ? {} : { tls: { ca: textIn(ca) } }),
      };
      return { kind: "live", source: createMqttSource(settings, deps) };
    }
    case "feed":
      return {
        kind: "feed",
        source: createFeedSource(config.paths, format, {
          ...deps,
          clock: deps.feedClock,
          stdin: () => stdinStream(process.stdin),
        }),
      };
    case "stdin":
      return { kind: "stdin", source: createStdinSource(process.stdin, format, deps) };
  }
};
