import type { Fake, FakeAnswer, FakeRequest } from "../fake.ts";
import { checkSignature } from "./aws-signature.ts";
import { createChangeWatch } from "./change-watch.ts";
import { escapeXml } from "./xml-element.ts";

/*
 * AWS IAM query API, version 2010-05-08. Made from docs.aws.amazon.com/IAM/latest/APIReference (GetUser, ListGroupsForUser,
 * PutUserPolicy, GetUserPolicy, DeleteUserPolicy, GetAccessKeyLastUsed, ListAccessKeys, UpdateAccessKey, common errors), and
 * answers compared with moto 5.2.5. Unlike moto it checks signatures and rights.
 */
export const fakeIamPolicy = "reflex-deny";
export const fakeIamUsers = [
  { name: "alice", groups: ["developers"], keys: ["AKIAALICE00000000001", "AKIAALICE00000000002"] },
  { name: "bob", groups: ["developers", "break-glass"], keys: ["AKIABOB0000000000001"] },
] as const;

export type FakeIam = Fake & { readonly keyStatus: (keyId: string) => string | undefined };

export const createFakeIam = ({ nowMs = () => Date.now(), denied = [] as readonly string[] } = {}): FakeIam => {
  const policies = new Map<string, string>();
  const keyStatus = new Map<string, string>(
    fakeIamUsers.flatMap(({ keys }) => keys.map((key) => [key, "Active"] as const)),
  );

  const present = (): readonly string[] => [
    ...[...policies.keys()].map((place) => {
      const [user, name] = place.split("|");
      return name === fakeIamPolicy ? `disable_user ${user}` : `policy ${name} of ${user}`;
    }),
    ...[...keyStatus].filter(([, status]) => status === "Inactive").map(([key]) => `disable_key ${key}`),
  ];
  const watch = createChangeWatch(present);

  const ofUser = (form: URLSearchParams, then: (user: (typeof fakeIamUsers)[number]) => FakeAnswer): FakeAnswer => {
    const name = form.get("UserName") ?? "";
    const user = fakeIamUsers.find((one) => one.name === name);
    return user === undefined ? noSuchEntity(`The user with name ${name} cannot be found.`) : then(user);
  };
  const policyOf = (form: URLSearchParams): string => `${form.get("UserName")}|${form.get("PolicyName")}`;

  const operations: Readonly<Record<string, (form: URLSearchParams) => FakeAnswer>> = {
    GetUser: (form) =>
      ofUser(form, ({ name }) =>
        answer(
          "GetUser",
          `<User><Path>/</Path><UserName>${name}</UserName><UserId>AIDA${name.toUpperCase()}</UserId><Arn>arn:aws:iam::123456789012:user/${name}</Arn><CreateDate>2024-01-01T00:00:00Z</CreateDate></User>`,
        ),
      ),
    ListGroupsForUser: (form) =>
      ofUser(form, ({ groups }) =>
        answer(
          "ListGroupsForUser",
          `<Groups>${groups.map((group) => `<member><Path>/</Path><GroupName>${group}</GroupName></member>`).join("")}</Groups><IsTruncated>false</IsTruncated>`,
        ),
      ),
    PutUserPolicy: (form) =>
      ofUser(form, () => {
        const document = form.get("PolicyDocument") ?? "";
        if (!isPolicyName(form.get("PolicyName")))
          return refuse(400, "ValidationError", "1 validation error detected: policyName");
        if (!isPolicy(document)) return refuse(400, "MalformedPolicyDocument", "Syntax errors in policy.");
        policies.set(policyOf(form), document);
        return answer("PutUserPolicy");
      }),
    GetUserPolicy: (form) =>
      ofUser(form, ({ name }) => {
        const document = policies.get(policyOf(form));
        if (document === undefined)
          return noSuchEntity(`The user policy with name ${form.get("PolicyName")} cannot be found.`);
        const content = `<UserName>${name}</UserName><PolicyName>${form.get("PolicyName")}</PolicyName><PolicyDocument>${encodeURIComponent(document)}</PolicyDocument>`;
        return answer("GetUserPolicy", content);
      }),
    DeleteUserPolicy: (form) =>
      ofUser(form, () =>
        policies.delete(policyOf(form))
          ? answer("DeleteUserPolicy")
          : noSuchEntity(`The user policy with name ${form.get("PolicyName")} cannot be found.`),
      ),
    GetAccessKeyLastUsed: (form) => {
      const id = form.get("AccessKeyId") ?? "";
      const owner = fakeIamUsers.find(({ keys }) => keys.some((key) => key === id));
      // AWS answers AccessDenied for keys of other accounts and for keys that nobody has.
      if (owner === undefined)
        return refuse(403, "AccessDenied", "User is not authorized to perform: iam:GetAccessKeyLastUsed");
      return answer(
        "GetAccessKeyLastUsed",
        `<UserName>${owner.name}</UserName><AccessKeyLastUsed><Region>N/A</Region><ServiceName>N/A</ServiceName></AccessKeyLastUsed>`,
      );
    },
    ListAccessKeys: (form) =>
      ofUser(form, ({ name, keys }) => {
        const members = keys.map(
          (key) =>
            `<member><UserName>${name}</UserName><AccessKeyId>${key}</AccessKeyId><Status>${keyStatus.get(key)}</Status><CreateDate>2024-01-01T00:00:00Z</CreateDate></member>`,
        );
        return answer(
          "ListAccessKeys",
          `<UserName>${name}</UserName><AccessKeyMetadata>${members.join("")}</AccessKeyMetadata><IsTruncated>false</IsTruncated>`,
        );
      }),
    UpdateAccessKey: (form) =>
      ofUser(form, ({ keys }) => {
        const id = form.get("AccessKeyId") ?? "";
        const status = form.get("Status") ?? "";
        if (!keys.some((key) => key === id)) return noSuchEntity(`The Access Key with id ${id} cannot be found.`);
        if (status !== "Active" && status !== "Inactive")
          return refuse(400, "ValidationError", "1 validation error detected: status");
        keyStatus.set(id, status);
        return answer("UpdateAccessKey");
      }),
  };

  const route = (request: FakeRequest): FakeAnswer => {
    switch (checkSignature(request, { region: "us-east-1", service: "iam", nowMs: nowMs() })) {
      case "missing":
        return refuse(403, "MissingAuthenticationToken", "Request is missing Authentication Token");
      case "unknown-key":
        return refuse(403, "InvalidClientTokenId", "The security token included in the request is invalid.");
      case "mismatch":
        return refuse(
          403,
          "SignatureDoesNotMatch",
          "The request signature we calculated does not match the signature you provided.",
        );
      case "expired":
        return refuse(403, "SignatureDoesNotMatch", "Signature expired");
      default:
    }
    const form = new URLSearchParams(request.text);
    const name = form.get("Action") ?? "";
    const operation = operations[name];
    if (form.get("Version") !== "2010-05-08" || operation === undefined)
      return refuse(400, "InvalidAction", `Could not find operation ${name} for version ${form.get("Version")}`);
    if (denied.includes(name)) return refuse(403, "AccessDenied", `User is not authorized to perform: iam:${name}`);
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
    addSame: (id) => {
      if (keyStatus.has(id)) keyStatus.set(id, "Inactive");
      else policies.set(`${id}|${fakeIamPolicy}`, '{"Version":"2012-10-17","Statement":[]}');
      watch.accept();
    },
    addForeign: () => {
      policies.set("alice|require-mfa", '{"Version":"2012-10-17","Statement":[]}');
      watch.accept();
      return "policy require-mfa of alice";
    },
    keyStatus: (id) => keyStatus.get(id),
  };
};

const isPolicyName = (name: string | null): boolean => name !== null && /^[\w+=,.@-]{1,128}$/.test(name);
const isPolicy = (document: string): boolean => {
  try {
    const policy = JSON.parse(document) as { Version?: unknown; Statement?: unknown };
    return policy.Version === "2012-10-17" && Array.isArray(policy.Statement);
  } catch {
    return false;
  }
};

const xml = (status: number, text: string): FakeAnswer => ({ status, headers: { "content-type": "text/xml" }, text });
const answer = (name: string, result?: string): FakeAnswer =>
  xml(
    200,
    `<${name}Response xmlns="https://iam.amazonaws.com/doc/2010-05-08/">${result === undefined ? "" : `<${name}Result>${result}</${name}Result>`}<ResponseMetadata><RequestId>7a62c49f-347e-4fc4-9331</RequestId></ResponseMetadata></${name}Response>`,
  );
const refuse = (status: number, code: string, message: string): FakeAnswer =>
  xml(
    status,
    `<ErrorResponse xmlns="https://iam.amazonaws.com/doc/2010-05-08/"><Error><Type>Sender</Type><Code>${code}</Code><Message>${escapeXml(message)}</Message></Error><RequestId>7a62c49f-347e-4fc4-9331</RequestId></ErrorResponse>`,
  );
const noSuchEntity = (message: string): FakeAnswer => refuse(404, "NoSuchEntity", message);
