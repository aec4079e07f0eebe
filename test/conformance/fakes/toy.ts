import type { Fake, FakeAnswer, FakeChange } from "../fake.ts";

/**
 * A blocklist appliance that does not exist, as small as they come: `POST /token` gives a bearer token, `PUT|GET|DELETE
 * /blocks/<address>` and `GET /blocks` do what they say. The example for authors, and what the kit tests itself on.
 */
export type ToyFake = Fake & {
  readonly add: (address: string, owner: string) => void;
};

export const toyPassword = "toy-password";

export const createFakeToy = (): ToyFake => {
  /** Address to whoever blocked it. */
  const blocks = new Map<string, string>();
  const changes: FakeChange[] = [];
  let tokenSerial = 0;
  let oldestToken = 1;

  const isAuthorized = (authorization: string | undefined): boolean => {
    const serial = Number(/^Bearer toy-(\d+)$/.exec(authorization ?? "")?.[1] ?? "0");
    return serial >= oldestToken && serial <= tokenSerial;
  };
  const note = (verb: FakeChange["verb"], address: string): void => {
    changes.push({ verb, key: `block_ip ${address}` });
  };

  const handle: Fake["handle"] = ({ method, path, headers, text }): FakeAnswer => {
    if (method === "POST" && path === "/token") {
      if (text !== JSON.stringify({ password: toyPassword })) return { status: 401, json: { error: "wrong password" } };
      tokenSerial += 1;
      return { status: 200, json: { token: `toy-${tokenSerial}` } };
    }
    if (!isAuthorized(headers["authorization"])) return { status: 401, json: { error: "token expired" } };
    if (method === "GET" && path === "/blocks")
      return { status: 200, json: [...blocks].map(([address, owner]) => ({ address, owner })) };
    const address = decodeURIComponent(/^\/blocks\/([^/]+)$/.exec(path)?.[1] ?? "");
    if (!/^\d{1,3}(\.\d{1,3}){3}$/.test(address)) return { status: 400, json: { error: "not an address" } };
    const owner = blocks.get(address);
    switch (method) {
      case "GET":
        return owner === undefined
          ? { status: 404, json: { error: "not blocked" } }
          : { status: 200, json: { address, owner } };
      case "PUT":
        if (owner === undefined) {
          blocks.set(address, headers["x-owner"] ?? "");
          note("apply", address);
        }
        return { status: 200, json: { address } };
      case "DELETE":
        if (!blocks.delete(address)) return { status: 404, json: { error: "not blocked" } };
        note("undo", address);
        return { status: 200, json: {} };
      default:
        return { status: 405, json: { error: "no such method" } };
    }
  };

  return {
    handle,
    present: () => [...blocks.keys()].map((address) => `block_ip ${address}`),
    changes: () => changes,
    expireTokens: () => {
      oldestToken = tokenSerial + 1;
    },
    addForeign: () => {
      blocks.set("192.0.2.77", "somebody");
      return "block_ip 192.0.2.77";
    },
    add: (address, owner) => void blocks.set(address, owner),
  };
};
