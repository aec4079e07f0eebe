import { type Refusal, refusal } from "@reflex/protocol/refusal";
import { err, ok, type Result } from "@reflex/protocol/result";
import type { HttpClient } from "./http-port.ts";
import type { SyncOverHttps } from "./link-port.ts";
import type { TlsIdentity } from "./mqtt-link.ts";

/** One head and 64 kill states. */
const syncBytesMax = 1024 * 1024;

export type HttpsLinkDeps = {
  readonly baseUrl: string;
  readonly identity: () => TlsIdentity | undefined;
  readonly http: HttpClient;
};

/** The same answer as over MQTT when the broker is gone: kill states, head, acknowledgement. */
export const createHttpsLink =
  ({ baseUrl, identity, http }: HttpsLinkDeps): SyncOverHttps =>
  async (request): Promise<Result<Uint8Array, Refusal>> => {
    const tls = identity();
    if (tls === undefined) return err(refusal("unauthorised", "no certificate; enrol the agent with a join token"));
    const url = new URL("/v1/agent/sync", baseUrl);
    const answer = await http.request({
      method: "POST",
      url: url.href,
      headers: { "content-type": "application/json" },
      body: new TextEncoder().encode(JSON.stringify(request)),
      tls,
      bytesMax: syncBytesMax,
      deadlineMs: 10_000,
    });
    if (!answer.ok) return answer;
    if (answer.value.status === 200) return ok(answer.value.bytes);
    return err(
      refusal(
        answer.value.status === 401 || answer.value.status === 403 ? "unauthorised" : "unreachable",
        `status ${answer.value.status}`,
      ),
    );
  };
