import { isIP } from "node:net";
import type { Fake, FakeAnswer, FakeRequest } from "../fake.ts";
import { createEntryBook } from "./entry-book.ts";
import { readForm, readJsonObject } from "./fake-body.ts";

/*
 * OPNsense, alias utility. Made from opnsense/core AliasUtilController.php (`addAction`, `deleteAction`, `listAction`) and
 * docs.opnsense.org/development/api/core/firewall.html. What it copies on purpose: every answer about an entry is HTTP 200 with
 * the truth in `status`; upper-case IPv6 is `not_an_address`; adding to an alias that does not exist is `failed`; deleting what
 * is not there is `done`; the packet filter lists a single address without its mask; a GET lists 9,999 entries at most.
 */
export const fakeOpnsenseKey = "opn-key-0Jx7";
export const fakeOpnsenseSecret = "opn-secret-6b2f94d1c8";
export const fakeOpnsenseAlias = "reflex_block";

const rowsMax = 9_999;

export const createFakeOpnsense = ({ nowMs = () => Date.now(), hasRights = true } = {}): Fake => {
  const table = createEntryBook<string>(nowMs);
  const keyOf = (entry: string): string => `${entry.includes("/") ? "block_range" : "block_ip"} ${entry}`;

  const add = (alias: string, request: FakeRequest): FakeAnswer => {
    const address = addressOf(request);
    if (address === undefined) return { status: 200, json: { status: "failed" } };
    if (/[^0-9a-f:./_]/.test(address)) return { status: 200, json: { status: "not_an_address" } };
    if (alias !== fakeOpnsenseAlias)
      return { status: 200, json: { status: "failed", status_msg: `non existing alias ${alias}` } };
    // The packet filter takes no nonsense, and the controller does not look whether it did.
    const entry = entryOf(address);
    if (entry !== undefined) table.put(keyOf(entry), entry);
    return { status: 200, json: { status: "done" } };
  };

  const remove = (alias: string, request: FakeRequest): FakeAnswer => {
    const address = addressOf(request);
    if (address === undefined) return { status: 200, json: { status: "failed" } };
    const entry = entryOf(address);
    if (alias === fakeOpnsenseAlias && entry !== undefined) table.remove(keyOf(entry));
    return { status: 200, json: { status: "done" } };
  };

  const list = (alias: string): FakeAnswer => {
    const entries = alias === fakeOpnsenseAlias ? table.all().map(({ entry }) => entry) : [];
    const rows = entries.toSorted().map((ip) => ({ ip }));
    return {
      status: 200,
      json: { total: rows.length, rowCount: rowsMax, current: 1, rows: rows.slice(0, rowsMax) },
    };
  };

  return {
    handle: (request) => {
      const expected = Buffer.from(`${fakeOpnsenseKey}:${fakeOpnsenseSecret}`).toString("base64");
      if (request.headers["authorization"] !== `Basic ${expected}`)
        return { status: 401, json: { status: 401, message: "Authentication Failed" } };
      if (!hasRights) return { status: 403, json: { status: 403, message: "Forbidden" } };
      const [, verb, alias = ""] =
        /^\/api\/firewall\/alias_util\/(add|delete|list)\/([A-Za-z0-9_]+)$/.exec(request.path) ?? [];
      if (verb === "list") return list(alias);
      if (verb === undefined) return { status: 404, json: { errorMessage: "Endpoint not found" } };
      if (request.method !== "POST") return { status: 200, json: { status: "failed" } };
      return verb === "add" ? add(alias, request) : remove(alias, request);
    },
    present: table.keys,
    changes: table.changes,
    addSame: (entry) => table.plant(keyOf(entry), entry),
    addForeign: () => {
      table.plant(keyOf("192.0.2.77"), "192.0.2.77");
      return keyOf("192.0.2.77");
    },
  };
};

/** The controller reads a JSON body or a form. */
const addressOf = (request: FakeRequest): string | undefined => {
  const address = readJsonObject(request)?.["address"] ?? readForm(request)?.get("address");
  return typeof address === "string" ? address : undefined;
};

/** As `pfctl -T show` writes it. */
const entryOf = (address: string): string | undefined => {
  const [host = "", bits] = address.split("/");
  const family = isIP(host);
  if (family === 0) return undefined;
  const single = family === 4 ? "32" : "128";
  return bits === undefined || bits === single ? host : `${host}/${bits}`;
};
