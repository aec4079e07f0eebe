import { isIP } from "node:net";
import type { Fake, FakeAnswer, FakeRequest } from "../fake.ts";
import { checkSignature, numbered } from "./aws-signature.ts";
import { createChangeWatch } from "./change-watch.ts";
import { escapeXml } from "./xml-element.ts";

/*
 * AWS EC2 query API, version 2016-11-15. Made from docs.aws.amazon.com/AWSEC2/latest/APIReference (DescribeManagedPrefixLists,
 * GetManagedPrefixListEntries, ModifyManagedPrefixList with CurrentVersion, DescribeInstances, DescribeInstanceAttribute,
 * ModifyInstanceAttribute with GroupId.N, error codes), and answers compared with moto 5.2.5 for their element names. Unlike moto
 * it checks signatures, versions, rights, unknown lists and groups, and pages entries by 100 at most.
 * PrefixListVersionMismatch, IncorrectState and InvalidRequest (adding what the list has already): terraform-provider-aws, which
 * works around each of them.
 */
export const fakeEc2Region = "eu-central-1";
export const fakePrefixList = "pl-0a1b2c3d4e5f60718";
export const fakePrefixList6 = "pl-0a1b2c3d4e5f60719";
export const fakeQuarantineGroup = "sg-0ffffffffffffff01";
export const fakeInstances = [
  {
    id: "i-0aaaaaaaaaaaaaaa1",
    name: "web-1",
    address: "10.0.1.11",
    groups: ["sg-0000000000000web1", "sg-0000000000000ssh1"],
  },
  { id: "i-0aaaaaaaaaaaaaaa2", name: "web-2", address: "10.0.1.12", groups: ["sg-0000000000000web1"] },
  // Two machines of one name: nobody may be cut off by that name.
  { id: "i-0aaaaaaaaaaaaaaa3", name: "batch", address: "10.0.1.13", groups: ["sg-0000000000000web1"] },
  { id: "i-0aaaaaaaaaaaaaaa4", name: "batch", address: "10.0.1.14", groups: ["sg-0000000000000web1"] },
] as const;

export type FakeEc2 = Fake & {
  readonly groupsOf: (instanceId: string) => readonly string[];
  readonly bumpVersion: () => void;
};

type PrefixList = { readonly family: 4 | 6; version: number; entries: { cidr: string; description: string }[] };

const entriesPerPageMax = 100;

export const createFakeEc2 = ({
  nowMs = () => Date.now(),
  denied = [] as readonly string[],
  listSizeMax = 1_000,
} = {}): FakeEc2 => {
  const lists = new Map<string, PrefixList>([
    [fakePrefixList, { family: 4, version: 1, entries: [] }],
    [fakePrefixList6, { family: 6, version: 1, entries: [] }],
  ]);
  const groups = new Map<string, readonly string[]>(fakeInstances.map(({ id, groups: own }) => [id, own]));
  const knownGroups = new Set<string>([fakeQuarantineGroup, ...fakeInstances.flatMap(({ groups: own }) => own)]);

  const present = (): readonly string[] => [
    ...[...lists.values()].flatMap(({ entries }) => entries.map(({ cidr }) => keyOf(cidr))),
    ...[...groups]
      .filter(([, own]) => own.length === 1 && own[0] === fakeQuarantineGroup)
      .map(([id]) => `isolate_host ${id}`),
  ];
  const watch = createChangeWatch(present);

  const describeLists = (form: URLSearchParams): FakeAnswer => {
    const ids = numbered(form, "PrefixListId");
    const unknown = ids.find((id) => !lists.has(id));
    if (unknown !== undefined)
      return refuse(400, "InvalidPrefixListID.NotFound", `The prefix list ID '${unknown}' does not exist`);
    const items = (ids.length === 0 ? [...lists.keys()] : ids).map((id) => listXml(id));
    return answer(
      "DescribeManagedPrefixLists",
      `<prefixListSet>${items.map((item) => `<item>${item}</item>`).join("")}</prefixListSet>`,
    );
  };

  const listXml = (id: string, state = "modify-complete"): string => {
    const list = lists.get(id);
    return `<prefixListId>${id}</prefixListId><addressFamily>IPv${list?.family}</addressFamily><state>${state}</state><prefixListArn>arn:aws:ec2:${fakeEc2Region}:123456789012:prefix-list/${id}</prefixListArn><prefixListName>reflex</prefixListName><maxEntries>${listSizeMax}</maxEntries><version>${list?.version}</version><ownerId>123456789012</ownerId>`;
  };

  const readEntries = (form: URLSearchParams): FakeAnswer => {
    const list = lists.get(form.get("PrefixListId") ?? "");
    if (list === undefined) return refuse(400, "InvalidPrefixListID.NotFound", "The prefix list ID does not exist");
    const size = Math.min(Number(form.get("MaxResults") ?? entriesPerPageMax), entriesPerPageMax);
    const from = Number(form.get("NextToken") ?? "0");
    if (!Number.isInteger(from)) return refuse(400, "InvalidNextToken", "The token is not valid");
    const shown = list.entries.slice(from, from + size);
    const items = shown.map(
      ({ cidr, description }) =>
        `<item><cidr>${cidr}</cidr><description>${escapeXml(description)}</description></item>`,
    );
    const next = from + size < list.entries.length ? `<nextToken>${from + size}</nextToken>` : "";
    return answer("GetManagedPrefixListEntries", `<entrySet>${items.join("")}</entrySet>${next}`);
  };

  const modifyList = (form: URLSearchParams): FakeAnswer => {
    const id = form.get("PrefixListId") ?? "";
    const list = lists.get(id);
    if (list === undefined)
      return refuse(400, "InvalidPrefixListID.NotFound", `The prefix list ID '${id}' does not exist`);
    const add = entriesOf(form, "AddEntry");
    const remove = entriesOf(form, "RemoveEntry").map(({ cidr }) => cidr);
    if (form.get("CurrentVersion") === null)
      return refuse(400, "MissingParameter", "The request must contain the parameter CurrentVersion");
    if (Number(form.get("CurrentVersion")) !== list.version)
      return refuse(400, "PrefixListVersionMismatch", "The prefix list has the incorrect version number");
    const wrong = add.find(({ cidr, description }) => !isCidr(cidr, list.family) || description.length > 255);
    if (wrong !== undefined)
      return refuse(400, "InvalidParameterValue", `Value (${wrong.cidr}) for parameter cidr is invalid`);
    const has = (cidr: string): boolean => list.entries.some((entry) => entry.cidr === cidr);
    if (remove.some((cidr) => !has(cidr))) return refuse(400, "InvalidRequest", "The request received was invalid.");
    if (add.some(({ cidr }) => has(cidr))) return refuse(400, "InvalidRequest", "The request received was invalid.");
    const entries = [...list.entries.filter(({ cidr }) => !remove.includes(cidr)), ...add];
    if (entries.length > listSizeMax)
      return refuse(
        400,
        "PrefixListMaxEntriesExceeded",
        "You've reached the maximum number of entries for the prefix list",
      );
    list.entries = entries;
    list.version += 1;
    return answer("ModifyManagedPrefixList", `<prefixList>${listXml(id, "modify-in-progress")}</prefixList>`);
  };

  const describeInstances = (form: URLSearchParams): FakeAnswer => {
    const ids = numbered(form, "InstanceId");
    const unknown = ids.find((id) => !groups.has(id));
    if (unknown !== undefined)
      return refuse(400, "InvalidInstanceID.NotFound", `The instance ID '${unknown}' does not exist`);
    let hits = fakeInstances.filter(({ id }) => ids.length === 0 || ids.includes(id));
    for (let at = 1; form.has(`Filter.${at}.Name`); at += 1) {
      const values = numbered(form, `Filter.${at}.Value`).map(wildcard);
      const read = filters[form.get(`Filter.${at}.Name`) ?? ""];
      if (read === undefined) return refuse(400, "InvalidParameterValue", "The filter is invalid");
      hits = hits.filter((instance) => read(instance, groups).some((text) => values.some((value) => value.test(text))));
    }
    const items = hits.map(
      ({ id, name, address }) =>
        `<item><reservationId>r-${id.slice(2)}</reservationId><ownerId>123456789012</ownerId><groupSet/><instancesSet><item><instanceId>${id}</instanceId><instanceState><code>16</code><name>running</name></instanceState><privateDnsName>${privateName(address)}</privateDnsName><privateIpAddress>${address}</privateIpAddress><vpcId>vpc-01</vpcId><groupSet>${groupItems(id)}</groupSet><tagSet><item><key>Name</key><value>${name}</value></item></tagSet></item></instancesSet></item>`,
    );
    return answer("DescribeInstances", `<reservationSet>${items.join("")}</reservationSet>`);
  };

  const groupItems = (id: string): string =>
    (groups.get(id) ?? [])
      .map((group) => `<item><groupId>${group}</groupId><groupName>${group}</groupName></item>`)
      .join("");

  const describeAttribute = (form: URLSearchParams): FakeAnswer => {
    const id = form.get("InstanceId") ?? "";
    if (!groups.has(id)) return refuse(400, "InvalidInstanceID.NotFound", `The instance ID '${id}' does not exist`);
    if (form.get("Attribute") !== "groupSet") return refuse(400, "InvalidParameterValue", "The attribute is invalid");
    return answer("DescribeInstanceAttribute", `<instanceId>${id}</instanceId><groupSet>${groupItems(id)}</groupSet>`);
  };

  const modifyAttribute = (form: URLSearchParams): FakeAnswer => {
    const id = form.get("InstanceId") ?? "";
    if (!groups.has(id)) return refuse(400, "InvalidInstanceID.NotFound", `The instance ID '${id}' does not exist`);
    const wanted = numbered(form, "GroupId");
    if (wanted.length === 0) return refuse(400, "InvalidParameterCombination", "No attributes specified.");
    const unknown = wanted.find((group) => !knownGroups.has(group));
    if (unknown !== undefined)
      return refuse(400, "InvalidGroup.NotFound", `The security group '${unknown}' does not exist`);
    groups.set(id, wanted);
    return answer("ModifyInstanceAttribute", "<return>true</return>");
  };

  /** An entry by hand, or a machine cut off by hand. */
  const byHand = (id: string): void => {
    const list = lists.get(fakePrefixList);
    if (groups.has(id)) groups.set(id, [fakeQuarantineGroup]);
    else if (list !== undefined) {
      list.entries.push({ cidr: id.includes("/") ? id : `${id}/32`, description: "blocked by hand, ticket 4711" });
      list.version += 1;
    }
    watch.accept();
  };

  const operations: Readonly<Record<string, (form: URLSearchParams) => FakeAnswer>> = {
    DescribeManagedPrefixLists: describeLists,
    GetManagedPrefixListEntries: readEntries,
    ModifyManagedPrefixList: modifyList,
    DescribeInstances: describeInstances,
    DescribeInstanceAttribute: describeAttribute,
    ModifyInstanceAttribute: modifyAttribute,
  };

  const route = (request: FakeRequest): FakeAnswer => {
    switch (checkSignature(request, { region: fakeEc2Region, service: "ec2", nowMs: nowMs() })) {
      case "missing":
        return refuse(403, "MissingAuthenticationToken", "Request is missing Authentication Token");
      case "expired":
        return refuse(400, "RequestExpired", "Request has expired.");
      case "unknown-key":
      case "mismatch":
        return refuse(401, "AuthFailure", "AWS was not able to validate the provided access credentials");
      default:
    }
    const form = new URLSearchParams(request.text);
    const name = form.get("Action") ?? "";
    const operation = operations[name];
    if (form.get("Version") !== "2016-11-15" || operation === undefined)
      return refuse(400, "InvalidAction", `The action ${name} is not valid for this web service.`);
    if (denied.includes(name))
      return refuse(403, "UnauthorizedOperation", "You are not authorized to perform this operation.");
    return operation(form);
  };

  return {
    handle: (request) => {
      const given = route(request);
      watch.look();
      return given;
    },
    present,
    changes: watch.changes,
    addSame: byHand,
    addForeign: () => {
      byHand("192.0.2.77");
      return "block_ip 192.0.2.77";
    },
    groupsOf: (id) => groups.get(id) ?? [],
    bumpVersion: () => {
      for (const list of lists.values()) list.version += 1;
    },
  };
};

type Instance = (typeof fakeInstances)[number];
const privateName = (address: string): string => `ip-${address.replaceAll(".", "-")}.${fakeEc2Region}.compute.internal`;
type GroupsById = ReadonlyMap<string, readonly string[]>;
const filters: Readonly<Record<string, (instance: Instance, groups: GroupsById) => readonly string[]>> = {
  "tag:Name": ({ name }) => [name],
  "instance-state-name": () => ["running"],
  "private-dns-name": ({ address }) => [privateName(address)],
  "private-ip-address": ({ address }) => [address],
  "instance.group-id": ({ id }, groups) => groups.get(id) ?? [],
};
/** `*` and `?` in a filter stand for anything, as at AWS: a trap for whoever passes names through. */
const wildcard = (value: string): RegExp =>
  new RegExp(
    `^${value
      .replace(/[.+^$(){}|[\]\\]/g, "\\$&")
      .replaceAll("*", ".*")
      .replaceAll("?", ".")}$`,
  );

const keyOf = (cidr: string): string => {
  const single = cidr.replace(/\/32$/, "").replace(/^([^/]*:[^/]*)\/128$/, "$1");
  return `${single.includes("/") ? "block_range" : "block_ip"} ${single}`;
};
const isCidr = (cidr: string, family: 4 | 6): boolean => {
  const [host = "", bits = ""] = cidr.split("/");
  return isIP(host) === family && /^\d{1,3}$/.test(bits) && Number(bits) <= (family === 4 ? 32 : 128);
};
const entriesOf = (form: URLSearchParams, name: string): { cidr: string; description: string }[] => {
  const entries: { cidr: string; description: string }[] = [];
  for (let at = 1; form.has(`${name}.${at}.Cidr`); at += 1)
    entries.push({
      cidr: form.get(`${name}.${at}.Cidr`) ?? "",
      description: form.get(`${name}.${at}.Description`) ?? "",
    });
  return entries;
};

const xml = (status: number, text: string): FakeAnswer => ({
  status,
  headers: { "content-type": "text/xml;charset=UTF-8" },
  text: `<?xml version="1.0" encoding="UTF-8"?>\n${text}`,
});
const answer = (name: string, content: string): FakeAnswer =>
  xml(
    200,
    `<${name}Response xmlns="http://ec2.amazonaws.com/doc/2016-11-15/"><requestId>59dbff89-35bd-4eac-99ed</requestId>${content}</${name}Response>`,
  );
const refuse = (status: number, code: string, message: string): FakeAnswer =>
  xml(
    status,
    `<Response><Errors><Error><Code>${code}</Code><Message>${escapeXml(message)}</Message></Error></Errors><RequestID>59dbff89-35bd-4eac-99ed</RequestID></Response>`,
  );
