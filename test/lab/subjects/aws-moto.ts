import { randomInt } from "node:crypto";
import { illegalAddresses, illegalNetworks } from "../../conformance/illegal-targets.ts";
import type { Subject } from "../../conformance/subject.ts";
import { type Moto, motoMissing, startMoto } from "../servers/moto.ts";
import { startedOnce } from "../servers/shared.ts";
import { type RealTarget, subjectOfServer } from "../subject-of-server.ts";

/** One moto for all, an AWS account for each case. moto checks no signatures: the fakes made from the documents do. */
const server = startedOnce(startMoto);

type Ask = (action: string, form: Readonly<Record<string, string>>) => Promise<string>;

const region = "us-east-1";
const ec2Version = "2016-11-15";
const iamVersion = "2010-05-08";

const accountOf = async (): Promise<{ readonly moto: Moto; readonly account: string }> => ({
  moto: await server(),
  account: String(randomInt(100_000_000_000, 999_999_999_999)),
});

const secrets = { access_key: "AKIAREFLEXLAB0000001", secret_key: "only-in-the-lab-and-never-checked" };
const base = {
  secrets,
  hasTokens: false,
  close: async () => {},
} as const;

const every = (xml: string, element: string): readonly string[] =>
  [...xml.matchAll(new RegExp(`<${element}>([^<]*)</${element}>`, "g"))].map(([, text]) => text ?? "");
const one = (xml: string, element: string): string => {
  const found = every(xml, element)[0];
  if (found === undefined) throw new Error(`moto's answer has no ${element}: ${xml.slice(0, 300)}`);
  return found;
};

const ec2Of = async (): Promise<{ readonly ask: Ask; readonly moto: Moto; readonly account: string }> => {
  const { moto, account } = await accountOf();
  return { moto, account, ask: (Action, form) => moto.ask("ec2", { Version: ec2Version, Action, ...form }, account) };
};

const startPrefixList = async (foreign: string): Promise<RealTarget> => {
  const { ask, moto, account } = await ec2Of();
  const list = one(
    await ask("CreateManagedPrefixList", { PrefixListName: "blocked", MaxEntries: "100", AddressFamily: "IPv4" }),
    "prefixListId",
  );
  const version = async (): Promise<string> =>
    one(await ask("DescribeManagedPrefixLists", { "PrefixListId.1": list }), "version");
  return {
    ...base,
    baseUrl: moto.url,
    headers: { "x-moto-account-id": account },
    settings: { region, prefix_list: list },
    present: async () =>
      every(await ask("GetManagedPrefixListEntries", { PrefixListId: list, MaxResults: "100" }), "cidr").map(
        (cidr) => `prefix list ${cidr}`,
      ),
    addForeign: async () => {
      await ask("ModifyManagedPrefixList", {
        PrefixListId: list,
        CurrentVersion: await version(),
        "AddEntry.1.Cidr": foreign,
        "AddEntry.1.Description": "by hand",
      });
      return `prefix list ${foreign}`;
    },
    isChange: ({ text }) => text.includes("Action=Modify"),
  };
};

const startInstances = async (): Promise<RealTarget> => {
  const { ask, moto, account } = await ec2Of();
  const vpc = one(await ask("DescribeVpcs", {}), "vpcId");
  const group = async (name: string): Promise<string> =>
    one(await ask("CreateSecurityGroup", { GroupName: name, GroupDescription: name, VpcId: vpc }), "groupId");
  const [quarantine, office, usual] = [await group("quarantine"), await group("office"), await group("usual")];
  const run = async (name: string): Promise<string> =>
    one(
      await ask("RunInstances", {
        ImageId: "ami-12c6146b",
        MinCount: "1",
        MaxCount: "1",
        "SecurityGroupId.1": usual,
        "TagSpecification.1.ResourceType": "instance",
        "TagSpecification.1.Tag.1.Key": "Name",
        "TagSpecification.1.Tag.1.Value": name,
      }),
      "instanceId",
    );
  const instances: string[] = [];
  for (const name of ["web-1", "web-2", "batch", "batch", "office"]) instances.push(await run(name));
  const put = (id: string, into: string) => ask("ModifyInstanceAttribute", { InstanceId: id, "GroupId.1": into });
  return {
    ...base,
    baseUrl: moto.url,
    headers: { "x-moto-account-id": account },
    settings: { region, prefix_list: "pl-00000000", quarantine_group: quarantine },
    present: async () => {
      const asked = instances.map((id) => ask("DescribeInstanceAttribute", { InstanceId: id, Attribute: "groupSet" }));
      const groups = await Promise.all(asked);
      return instances.flatMap((id, at) => [
        ...(groups[at]?.includes(quarantine) ? [`isolate_host ${id}`] : []),
        ...(groups[at]?.includes(office) ? [`office ${id}`] : []),
      ]);
    },
    // Whoever is in the quarantine group was put there by Reflex; somebody else uses a group of their own.
    addForeign: async () => {
      await put(instances[4] ?? "", office);
      return `office ${instances[4]}`;
    },
    addSame: async () => void (await put(instances[0] ?? "", quarantine)),
    isChange: ({ text }) => text.includes("Action=Modify"),
  };
};

const startUsers = async (): Promise<RealTarget> => {
  const { moto, account } = await accountOf();
  const ask: Ask = (Action, form) => moto.ask("iam", { Version: iamVersion, Action, ...form }, account);
  for (const UserName of ["alice", "bob", "mallory"]) await ask("CreateUser", { UserName });
  const deny = (UserName: string) =>
    ask("PutUserPolicy", {
      UserName,
      PolicyName: "reflex-deny",
      PolicyDocument: '{"Version":"2012-10-17","Statement":[{"Effect":"Deny","Action":"*","Resource":"*"}]}',
    });
  return {
    ...base,
    baseUrl: moto.url,
    headers: { "x-moto-account-id": account },
    settings: { region },
    present: async () => {
      const users = ["alice", "bob", "mallory"];
      const policies = await Promise.all(users.map((UserName) => ask("ListUserPolicies", { UserName })));
      return users.filter((_, at) => policies[at]?.includes("reflex-deny")).map((user) => `disable_user ${user}`);
    },
    addForeign: async () => {
      await deny("mallory");
      return "disable_user mallory";
    },
    addSame: async () => void (await deny("alice")),
    isChange: ({ text }) => /Action=(?:Put|Delete)/.test(text),
  };
};

const anyVersion =
  "moto takes any version of a prefix list for the current one; aws-ec2's fake, made from the documents, does not";

export const subjects: readonly Subject[] = [
  subjectOfServer({
    name: "aws-ec2 (moto)",
    pack: "aws-ec2",
    missing: motoMissing,
    action: "block_ip",
    target: { type: "address", value: "203.0.113.9" },
    otherTarget: { type: "address", value: "203.0.113.10" },
    illegalTargets: [...illegalAddresses, { type: "address", value: "2001:db8::9" }],
    notApplicable: { "many at once": anyVersion },
    start: () => startPrefixList("192.0.2.77/32"),
  }),
  subjectOfServer({
    name: "aws-ec2 (moto)",
    pack: "aws-ec2",
    missing: motoMissing,
    action: "block_range",
    target: { type: "network", value: "203.0.113.0/24" },
    otherTarget: { type: "network", value: "198.51.100.0/25" },
    illegalTargets: [...illegalNetworks, { type: "network", value: "2001:db8::/32" }],
    notApplicable: { "many at once": anyVersion },
    start: () => startPrefixList("192.0.2.0/25"),
  }),
  subjectOfServer({
    name: "aws-ec2 (moto)",
    pack: "aws-ec2",
    missing: motoMissing,
    action: "isolate_host",
    target: { type: "host", value: "web-1" },
    otherTarget: { type: "host", value: "web-2" },
    illegalTargets: ["batch", "nobody", "web-?", "*", "web-1\nweb-2"].map((value) => ({ type: "host", value })),
    start: startInstances,
  }),
  subjectOfServer({
    name: "aws-iam (moto)",
    pack: "aws-iam",
    missing: motoMissing,
    action: "disable_user",
    target: { type: "user", value: "alice" },
    otherTarget: { type: "user", value: "bob" },
    illegalTargets: ["nobody", "alice&UserName=bob", "a/b", "al*"].map((value) => ({ type: "user", value })),
    start: startUsers,
  }),
];
