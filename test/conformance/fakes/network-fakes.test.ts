import { describe, expect, test } from "vitest";
import type { Fake, FakeRequest } from "../fake.ts";
import { createFakeEc2, fakePrefixList } from "./aws-ec2.ts";
import { createFakeIam } from "./aws-iam.ts";
import { createFakeCloudflare, fakeCloudflareAccount, fakeCloudflareToken } from "./cloudflare.ts";
import { createFakeCrowdsec, fakeCrowdsecMachine, fakeCrowdsecPassword } from "./crowdsec.ts";
import { createFakeFortigate, fakeFortigateToken } from "./fortigate.ts";
import { createFakeOpnsense, fakeOpnsenseAlias, fakeOpnsenseKey } from "./opnsense.ts";
import { createFakePanOs, fakePanOsKey, fakePanOsTag } from "./pan-os.ts";
import { parseXml } from "./xml-element.ts";

const request = (line: string, headers: Readonly<Record<string, string>>, body?: unknown): FakeRequest => {
  const [method = "", target = ""] = line.split(" ");
  const url = new URL(target, "https://fake.example");
  const isForm = body instanceof URLSearchParams;
  const type = isForm ? "application/x-www-form-urlencoded" : "application/json";
  return {
    method,
    path: url.pathname,
    query: url.searchParams,
    headers: { host: url.host, "user-agent": "reflex/1", "content-type": type, ...headers },
    text: isForm ? body.toString() : body === undefined ? "" : JSON.stringify(body),
  };
};
const bearer = (token: string) => ({ authorization: `Bearer ${token}` });
const basic = (pair: string) => ({ authorization: `Basic ${Buffer.from(pair).toString("base64")}` });
const panForm = (type: string, cmd: string) => new URLSearchParams({ type, vsys: "vsys1", cmd });
const register = (ip: string, seconds: number): string =>
  `<uid-message><type>update</type><payload><register><entry ip="${ip}"><tag><member timeout="${seconds}">${fakePanOsTag}</member></tag></entry></register></payload></uid-message>`;
const aws = { "x-amz-date": "20261122T230000Z" };
const awsNowMs = Date.parse("2026-11-22T23:00:00Z");
const awsForm = (action: string, version: string, more: object = {}) =>
  new URLSearchParams({ Action: action, Version: version, ...more });
const signed = (key: string) => ({
  ...aws,
  authorization: `AWS4-HMAC-SHA256 Credential=${key}/20261122/eu-central-1/ec2/aws4_request, SignedHeaders=host;x-amz-date, Signature=${"0".repeat(64)}`,
});
const rules = `/client/v4/accounts/${fakeCloudflareAccount}/firewall/access_rules/rules`;
const newFakes: Readonly<Record<string, () => Fake>> = {
  "pan-os": createFakePanOs,
  fortigate: createFakeFortigate,
  opnsense: createFakeOpnsense,
  cloudflare: createFakeCloudflare,
  crowdsec: createFakeCrowdsec,
  "aws-ec2": () => createFakeEc2({ nowMs: () => awsNowMs }),
  "aws-iam": () => createFakeIam({ nowMs: () => awsNowMs }),
};

describe("wrong credentials are refused, and change nothing", () => {
  const bans = "/api/v2/monitor/user/banned/add_users";
  const change = awsForm("ModifyManagedPrefixList", "2016-11-15", {
    PrefixListId: fakePrefixList,
    CurrentVersion: "1",
    "AddEntry.1.Cidr": "203.0.113.9/32",
  });
  const deny = awsForm("UpdateAccessKey", "2010-05-08", {
    UserName: "alice",
    AccessKeyId: "AKIAALICE00000000001",
    Status: "Inactive",
  });
  const ban = { ip_addresses: ["203.0.113.9"], expiry: 60 };
  const rule = { mode: "block", configuration: { target: "ip", value: "203.0.113.9" } };
  const add = `POST /api/firewall/alias_util/add/${fakeOpnsenseAlias}`;
  test.each([
    ["pan-os", request("POST /api/", { "x-pan-key": "wrong" }, panForm("user-id", register("203.0.113.9", 60))), 403],
    ["pan-os", request("POST /api/", {}, panForm("user-id", register("203.0.113.9", 60))), 403],
    ["fortigate", request(`POST ${bans}`, bearer("wrong"), ban), 401],
    ["fortigate", request(`POST ${bans}?access_token=${fakeFortigateToken}`, {}, ban), 401],
    ["opnsense", request(add, basic(`${fakeOpnsenseKey}:wrong`), { address: "203.0.113.9" }), 401],
    ["cloudflare", request(`POST ${rules}`, bearer("wrong"), rule), 403],
    ["crowdsec", request("POST /v1/watchers/login", {}, { machine_id: fakeCrowdsecMachine, password: "wrong" }), 401],
    ["crowdsec", request("POST /v1/alerts", bearer("wrong"), []), 401],
    ["crowdsec", request("GET /v1/decisions", bearer("wrong")), 403],
    ["aws-ec2", request("POST /", aws, change), 403],
    ["aws-ec2", request("POST /", signed("AKIASOMEBODYELSE0001"), change), 401],
    ["aws-ec2", request("POST /", signed("AKIDEXAMPLEREFLEX001"), change), 401],
    ["aws-iam", request("POST /", signed("AKIDEXAMPLEREFLEX001"), deny), 403],
  ])("%s", (name, wrong, status) => {
    const fake = newFakes[name]?.();
    expect(fake?.handle(wrong).status).toBe(status);
    expect([fake?.present(), fake?.changes()]).toEqual([[], []]);
  });

  test("an account without the right to write may read and no more", () => {
    const read = createFakeFortigate({ canWrite: false });
    expect(read.handle(request(`POST ${bans}`, bearer(fakeFortigateToken), ban)).status).toBe(403);
    const rulesOnly = createFakeCloudflare({ canWrite: false });
    expect(rulesOnly.handle(request(`GET ${rules}`, bearer(fakeCloudflareToken))).status).toBe(200);
    expect(rulesOnly.handle(request(`POST ${rules}`, bearer(fakeCloudflareToken), rule)).status).toBe(403);
    const tags = createFakePanOs({ hasUserIdRole: false });
    const tagging = request(
      "POST /api/",
      { "x-pan-key": fakePanOsKey },
      panForm("user-id", register("203.0.113.9", 60)),
    );
    expect(tags.handle(tagging).status).toBe(403);
    expect([...read.present(), ...rulesOnly.present(), ...tags.present()]).toEqual([]);
  });

  test("a login whose agent is not name/version is refused by CrowdSec", () => {
    const login = { machine_id: fakeCrowdsecMachine, password: fakeCrowdsecPassword };
    const fake = createFakeCrowdsec();
    expect(fake.handle(request("POST /v1/watchers/login", {}, login)).status).toBe(200);
    expect(fake.handle(request("POST /v1/watchers/login", { "user-agent": "reflex" }, login)).status).toBe(401);
  });
});

describe("what a target ends by itself is gone when its own clock says so", () => {
  test.each([
    [
      "pan-os",
      (nowMs: () => number) => createFakePanOs({ nowMs }),
      request("POST /api/", { "x-pan-key": fakePanOsKey }, panForm("user-id", register("203.0.113.9", 60))),
    ],
    [
      "fortigate",
      (nowMs: () => number) => createFakeFortigate({ nowMs }),
      request("POST /api/v2/monitor/user/banned/add_users", bearer(fakeFortigateToken), {
        ip_addresses: ["203.0.113.9"],
        expiry: 60,
      }),
    ],
  ] as const)("%s", (_, create, apply) => {
    let nowMs = 1_000_000;
    const fake = create(() => nowMs);
    expect(fake.handle(apply).status).toBe(200);
    nowMs += 59_999;
    expect(fake.present()).toEqual(["block_ip 203.0.113.9"]);
    nowMs += 1;
    expect(fake.present()).toEqual([]);
    expect(fake.changes().map(({ verb }) => verb)).toEqual(["apply", "undo"]);
  });
});

test("FortiGate: whoever writes a whole address group back loses another's member; banning loses nobody's", () => {
  const fake = createFakeFortigate();
  const group = "/api/v2/cmdb/firewall/addrgrp/reflex";
  const say = (line: string, body?: unknown) => fake.handle(request(line, bearer(fakeFortigateToken), body));
  const membersSeen = (): { name: string }[] =>
    (say(`GET ${group}`).json as { results: [{ member: { name: string }[] }] }).results[0].member.map(({ name }) => ({
      name,
    }));
  const [one, other] = [membersSeen(), membersSeen()];
  say(`PUT ${group}`, { member: [...one, { name: "203.0.113.9" }] });
  say(`PUT ${group}`, { member: [...other, { name: "203.0.113.10" }] });
  expect(fake.groupMembers()).toEqual(["203.0.113.10"]);

  for (const address of ["203.0.113.9", "203.0.113.10"])
    say("POST /api/v2/monitor/user/banned/add_users", { ip_addresses: [address], expiry: 60 });
  expect(fake.present()).toEqual(["block_ip 203.0.113.9", "block_ip 203.0.113.10"]);
});

test.each(["", "<a>", "<a></b>", "<a/><b/>", "<!DOCTYPE a><a/>", "<a b=c/>", "text"])(
  "%j is not taken for XML",
  (text) => {
    expect(parseXml(text)).toBeUndefined();
  },
);
