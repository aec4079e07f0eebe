import { isIP } from "node:net";
import type { Fake, FakeAnswer, FakeRequest } from "../fake.ts";
import { createEntryBook } from "./entry-book.ts";
import { readForm } from "./fake-body.ts";
import { childrenAt, escapeXml, parseXml, type XmlElement } from "./xml-element.ts";

/*
 * PAN-OS 10.x, XML API: tags on registered addresses, which dynamic address groups match. Made from:
 * - api-lab.paloaltonetworks.com/registered-ip.html (register, unregister, `timeout` of a member in seconds, ranges since 10.0)
 *   and registered-user.html (32 tags of 127 characters, timeout 0 to 2,592,000).
 * - docs.paloaltonetworks.com, PAN-OS XML API error codes (400, 403, 16, 17, 18) and API request types.
 * - "already exists, ignore" and "does not exist, ignore unreg" inside `<response status="error">` with HTTP 200, and the shape
 *   of `show object registered-ip`: PaloAltoNetworks/minemeld-core dag.py and the answers recorded in public clients.
 * Not known from documents: whether registering again renews a running timeout. The fake leaves it alone, the worse case.
 */
export const fakePanOsKey = "LUFRPT1fakeKeyOfAnAdministrator=";
export const fakePanOsTag = "reflex-block";

const timeoutSecondsMax = 2_592_000;

type Registered = { readonly ip: string; readonly tag: string };

export const createFakePanOs = ({ nowMs = () => Date.now(), vsys = "vsys1", hasUserIdRole = true } = {}): Fake => {
  const registered = createEntryBook<Registered>(nowMs);
  const keyOf = (ip: string, tag: string): string =>
    tag === fakePanOsTag ? `${ip.includes("/") ? "block_range" : "block_ip"} ${ip}` : `tag ${tag} ${ip}`;

  const update = (message: XmlElement): FakeAnswer => {
    const wrong: { verb: string; ip: string; message: string }[] = [];
    for (const verb of ["unregister", "register"] as const) {
      for (const entry of childrenAt(message, "payload", verb, "entry")) {
        const ip = entry.attributes["ip"] ?? "";
        const members = childrenAt(entry, "tag", "member");
        if (!isRegistrable(ip) || members.length === 0) {
          wrong.push({ verb, ip, message: "Invalid ip address" });
          continue;
        }
        for (const member of members) {
          const fault = verb === "register" ? register(ip, member) : unregister(ip, member);
          if (fault !== undefined) wrong.push({ verb, ip, message: fault });
        }
      }
    }
    const block = (verb: string): string =>
      `<${verb}>${wrong
        .filter((one) => one.verb === verb)
        .map((one) => `<entry ip="${escapeXml(one.ip)}" message="${escapeXml(one.message)}"/>`)
        .join("")}</${verb}>`;
    const response = `<uid-response><version>2.0</version><payload>${block("unregister")}${block("register")}</payload></uid-response>`;
    return wrong.length === 0
      ? xml(200, `<response status="success"><result>${response}</result></response>`)
      : xml(200, `<response status="error"><msg><line>${response}</line></msg></response>`);
  };

  const register = (ip: string, { text: tag, attributes }: XmlElement): string | undefined => {
    const seconds = Number(attributes["timeout"] ?? "0");
    if (!isTag(tag)) return `invalid tag ${tag}`;
    if (!Number.isInteger(seconds) || seconds < 0 || seconds > timeoutSecondsMax) return "invalid timeout";
    if (registered.get(keyOf(ip, tag)) !== undefined) return `tag ${tag} already exists, ignore`;
    registered.put(keyOf(ip, tag), { ip, tag }, seconds === 0 ? undefined : nowMs() + seconds * 1_000);
    return undefined;
  };

  const unregister = (ip: string, { text: tag }: XmlElement): string | undefined =>
    registered.remove(keyOf(ip, tag)) ? undefined : `tag ${tag} does not exist, ignore unreg`;

  const show = (by: XmlElement): FakeAnswer => {
    const tag = by.name === "tag" ? childrenAt(by, "entry")[0]?.attributes["name"] : undefined;
    const ip = by.name === "ip" ? by.text.trim() : undefined;
    const hits = registered
      .all()
      .filter(({ entry }) => (tag ?? entry.tag) === entry.tag && (ip ?? entry.ip) === entry.ip);
    const tagsByIp = Map.groupBy(hits, ({ entry }) => entry.ip);
    const entries = [...tagsByIp].map(
      ([of, tags]) =>
        `<entry ip="${escapeXml(of)}" from_agent="0" persistent="0"><tag>${tags
          .map(({ entry }) => `<member>${escapeXml(entry.tag)}</member>`)
          .join("")}</tag></entry>`,
    );
    return xml(
      200,
      `<response status="success"><result>${entries.join("")}<count>${entries.length}</count></result></response>`,
    );
  };

  const operate = (command: XmlElement): FakeAnswer => {
    const [by] = childrenAt(command, "object", "registered-ip")[0]?.children ?? [];
    const isKnown = command.name === "show" && by !== undefined && ["all", "ip", "tag"].includes(by.name);
    return isKnown ? show(by) : fault(200, "17", "Invalid command");
  };

  return {
    handle: (request) => {
      const given = parametersOf(request);
      if (!/^\/api\/?$/.test(request.path)) return { status: 404, text: "Not Found" };
      if ((request.headers["x-pan-key"] ?? given.get("key")) !== fakePanOsKey)
        return xml(
          403,
          `<response status = 'error' code = '403'><result><msg>Invalid Credential</msg></result></response>`,
        );
      if (given.has("vsys") && given.get("vsys") !== vsys) return fault(200, "17", "Invalid vsys");
      const command = parseXml(given.get("cmd") ?? "");
      if (command === undefined) return fault(200, "18", "Malformed command");
      switch (given.get("type")) {
        case "op":
          return operate(command);
        case "user-id":
          if (!hasUserIdRole) return fault(403, "16", "Unauthorized request");
          return command.name === "uid-message" && childrenAt(command, "type")[0]?.text === "update"
            ? update(command)
            : fault(200, "17", "Invalid command");
        default:
          return fault(400, "400", "Bad request");
      }
    },
    present: registered.keys,
    changes: registered.changes,
    // The firewall's own log forwarding puts tags on addresses as well; one of them on the same list.
    addSame: (ip) => registered.plant(keyOf(ip, fakePanOsTag), { ip, tag: fakePanOsTag }),
    addForeign: () => {
      registered.plant(keyOf("192.0.2.77", "threat-log"), { ip: "192.0.2.77", tag: "threat-log" });
      return keyOf("192.0.2.77", "threat-log");
    },
  };
};

const xml = (status: number, text: string): FakeAnswer => ({
  status,
  headers: { "content-type": "application/xml; charset=UTF-8" },
  text,
});
const fault = (status: number, code: string, message: string): FakeAnswer =>
  xml(status, `<response status="error" code="${code}"><msg><line>${message}</line></msg></response>`);

const parametersOf = (request: FakeRequest): URLSearchParams => {
  const given = new URLSearchParams(request.query);
  for (const [name, value] of readForm(request) ?? []) given.set(name, value);
  return given;
};

const isTag = (tag: string): boolean => /^[^'"]{1,127}$/.test(tag) && !/ {2}/.test(tag);

/** A host, or since 10.0 a network. */
const isRegistrable = (ip: string): boolean => {
  const [host = "", bits] = ip.split("/");
  const family = isIP(host);
  if (family === 0) return false;
  return bits === undefined || (/^\d{1,3}$/.test(bits) && Number(bits) <= (family === 4 ? 32 : 128));
};
