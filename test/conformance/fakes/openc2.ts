import type { Fake, FakeAnswer } from "../fake.ts";
import { type ConsumerFlaw, createOpenC2Consumer, type OpenC2Consumer } from "../openc2-consumer.ts";

/**
 * The HTTPS front of an OpenC2 consumer, from the Specification for Transfer of OpenC2 Messages via HTTPS 1.1
 * (docs.oasis-open.org/openc2/open-impl-https/v1.1): one path, POST alone, content type and request id as §3.2–3.4 demand.
 */
export type OpenC2Fake = Fake & { readonly consumer: OpenC2Consumer };

export const openC2Token = "openc2-planted-token";
const contentType = "application/openc2+json;version=1.0";

export const createFakeOpenC2 = (flaw?: ConsumerFlaw): OpenC2Fake => {
  const consumer = createOpenC2Consumer(flaw);
  const handle: Fake["handle"] = ({ method, path, headers, text }): FakeAnswer => {
    if (path !== "/.well-known/openc2") return { status: 404, text: "no such path" };
    if (method !== "POST") return { status: 405, text: "POST alone" };
    if (headers["authorization"] !== `Bearer ${openC2Token}`) return { status: 401, text: "who are you" };
    if (headers["content-type"] !== contentType || headers["accept"] !== contentType)
      return { status: 415, text: "another content type" };
    const answered = consumer.handle(text);
    const requestId = answered?.requestId ?? headers["x-request-id"];
    if (answered === undefined || requestId === undefined) return { status: 400, text: "not an OpenC2 message" };
    return {
      status: answered.status,
      headers: { "content-type": contentType, "x-request-id": requestId },
      text: answered.text,
    };
  };
  return {
    consumer,
    handle,
    present: consumer.present,
    changes: consumer.changes,
    addForeign: () => {
      consumer.addRule({ ipv4_net: "192.0.2.77/32" });
      return "block_ip 192.0.2.77";
    },
  };
};
