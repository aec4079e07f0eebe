/** A manifest with everything in it, for tests to break. */
export const whole = `manifest: 1
name: fw
about: a firewall
settings: { zone: { about: zone, default: wan }, login_url: { about: origin, format: url, default: "https://login.example" } }
secrets: { api_token: { about: token } }
auth: { bearer: $secrets.api_token }
headers: { x-zone: $settings.zone }
actions:
  block_ip:
    targets: [address]
    resolve: { request: { method: GET, path: [hosts] }, items: /hosts, id: /id }
    capture: { request: { method: GET, path: [bans] }, keep: { enabled: /enabled, members: "/members/*" } }
    apply:
      request: { method: POST, base: $settings.login_url, path: [bans], json: { ip: $target.value, was: $captured.enabled } }
      done: { status: 201 }
    verify:
      request: { method: GET, path: [bans, $target.value] }
      present: { where: { /ip: $target.value } }
      absent: { status: 404 }
    undo:
      request: { method: DELETE, path: [bans, $resolved.id] }
      gone: { status: 404 }
    list: { request: { method: GET, path: [bans] }, items: /bans, all_ours: true, id: /ip }
`;

/** Replaces a part of the whole; the error must stand where the change was made. */
export const wrong: readonly (readonly [written: string, instead: string, error: string])[] = [
  ["", "", "fw.yaml:1:1: the file holds no manifest; begin with manifest: 1"],
  [
    "manifest: 1",
    "manifest: 2",
    'fw.yaml:1:11: "2" is not the version of the language; write a whole number from 1 to 1',
  ],
  ["name: fw", "nmae: fw", 'fw.yaml:2:1: "nmae" is not a key of a manifest; write "name"'],
  [
    "about: a firewall",
    "description: a firewall",
    'fw.yaml:3:1: "description" is not a key of a manifest; write "about"',
  ],
  ["block_ip:", "blok_ip:", 'fw.yaml:9:3: "blok_ip" is not an action; write "block_ip"'],
  ["targets: [address]", "targets: [host]", "block_ip is not done to a host; write targets: [address]"],
  ["targets: [address]", "targets: [adress]", '"adress" is not a kind of target; write "address"'],
  ["$target.value, was", "$target.valeu, was", "fw.yaml:14:85: there is no $target.valeu here; write $target.value"],
  ["$target.value, was", "$comand.id, was", "there is no $comand.id here; write $command.id"],
  ["$captured.enabled", "$captured.enabld", "there is no $captured.enabld here; write $captured.enabled"],
  [
    "$captured.enabled",
    "$read.enabled",
    "there is no $read.enabled here; write read: { request: …, keep: … } beside the request",
  ],
  [
    "$captured.enabled",
    "$found.id",
    "there is no $found.id here; write find: { request: …, items: …, id: … } beside the request",
  ],
  ["$captured.enabled", "$settings.zon", "there is no $settings.zon here; write $settings.zone"],
  [
    "$captured.enabled",
    "$secrets.api_token",
    "a secret stands in auth alone: anywhere else it could be kept or shown; write auth: { bearer: $secrets.x }",
  ],
  ["$captured.enabled", "$secrets.other", "a secret stands in auth alone"],
  ["$captured.enabled", "$Target.value", '"$Target.value" is not a reference'],
  [
    "$captured.enabled",
    '"ban of $target.value!"',
    'a reference stands inside a text; values are never spliced into text; write { join: ["ban of ", $target.value, "!"] }',
  ],
  [
    "$captured.enabled",
    "'{{ target.value }}'",
    "a reference stands inside a text; values are never spliced into text; write { join: [$target.value] }",
  ],
  ["$captured.enabled", "007", '007 could be read as 7; write 7, or "007" in quotes'],
  ["$captured.enabled", "{ numbered: [1] }", "numbered stands in a field of form; write form: { Field: { … } }"],
  ["$captured.enabled", "{ quoted: $target.value }", "a quoted value says what it must match and where it stands"],
  [
    "$captured.enabled",
    `{ quoted: $target.value, matching: "^.*$", as: "a:'%'" }`,
    `the pattern lets "'" through, which could end the quoted text; name the characters`,
  ],
  [
    "$captured.enabled",
    `{ quoted: $target.value, matching: "[a-z]+", as: "a:'%'" }`,
    '"[a-z]+" does not say what a whole text looks like; write "^(?:…)$"',
  ],
  [
    "$captured.enabled",
    `{ quoted: $target.value, matching: "^[a-z]+$", as: "a:''" }`,
    "as has not exactly one % for the value",
  ],
  ["path: [bans], json", "path: /api/v2/bans, json", "a path is a list of segments; write [api, v2, bans]"],
  [
    "path: [bans], json",
    "path: [api/v2, bans], json",
    '"api/v2" is more than one segment; write api, v2 as entries of their own',
  ],
  ["path: [bans], json", 'path: ["..", bans], json', '".." is not a segment of a path'],
  ["path: [bans], json", "path: [bans], body", '"body" is not a key of a request; write json:, form:, xml: or ndjson:'],
  ["path: [bans], json", "path: [bans], form: { a: 1 }, json", "a request has one body; keep json or form"],
  ["method: POST", "method: post", '"post" is not a method; write POST'],
  [
    "base: $settings.login_url",
    "base: $settings.zone",
    "base is another origin, and this is none; write https://host, or $settings.x where settings has x: { format: url }",
  ],
  ["base: $settings.login_url", "base: $target.value", "base is another origin, and this is none"],
  ["base: $settings.login_url", "base: 'http://fw.example'", "base is another origin, and this is none"],
  [
    "path: [bans], json",
    "headers: { Authorization: x }, path: [bans], json",
    "credentials are not written into requests; write auth:",
  ],
  [
    "path: [bans], json",
    "headers: { Host: x }, path: [bans], json",
    "the header host follows from the request; remove it",
  ],
  ["method: POST, base", "method: GET, base", "a GET request has no body"],
  ["status: 201", "status: fine", "a status is a whole number from 200 to 599; write 200"],
  ["done: { status: 201 }", "done: { code: 201 }", '"code" is not a key of a clause about an answer; write "status"'],
  ["done: { status: 201 }", "done: { only: true }", "only is about the entries of a list; write items:"],
  [
    "{ /ip: $target.value }",
    '{ "$.result[0].ip": $target.value }',
    '"$.result[0].ip" is not a JSON pointer; write "/result/0/ip"',
  ],
  ["{ /ip: $target.value }", "{ ip: $target.value }", '"ip" is not a JSON pointer; write "/ip"'],
  ["{ /ip: $target.value }", "{ /a~b: $target.value }", "is not a JSON pointer; write ~0 for ~ and ~1 for / in a name"],
  ["{ /ip: $target.value }", "{ /ip: { strats: a } }", '"strats" is not a matcher; write "starts"'],
  [
    "      absent: { status: 404 }\n",
    "",
    "fw.yaml:17:7: verify does not say which answer means that it is not in force; an error is no such answer; write absent: { status: 404 }",
  ],
  ["absent: { status: 404 }", "absnt: { status: 404 }", '"absnt" is not a key of verify; write "absent"'],
  [
    "    undo:\n      request: { method: DELETE, path: [bans, $resolved.id] }\n      gone: { status: 404 }\n",
    "",
    'an action has no "undo"; write undo: { request: …, done: …, gone: … }; what cannot be undone is no action',
  ],
  [
    "undo:\n      request: { method: DELETE, path: [bans, $resolved.id] }\n      gone: { status: 404 }\n",
    "undo: none\n",
    "what cannot be undone is no action but a proposal to a human",
  ],
  [
    "    resolve: { request: { method: GET, path: [hosts] }, items: /hosts, id: /id }\n",
    "",
    "there is no $resolved.id here; write resolve: into this action",
  ],
  [
    "all_ours: true, ",
    "",
    "the list would take what other people made for ours; write where: with the mark of our entries, or all_ours: true",
  ],
  [
    "items: /bans, all_ours",
    "items: /bans, where: { /ip: $target.value }, all_ours",
    "there is no $target.value in list, which is not about one target",
  ],
  [
    "$captured.enabled",
    "$captured.members",
    "$captured.members is a whole list; writing it back loses what somebody else wrote since it was read; write guarded: { etag: true } with read:",
  ],
  [
    "$captured.enabled",
    "{ add: $target.value, to: $captured.members }",
    "this reads a list, changes it and writes all of it: an entry that somebody else adds in between would be lost; use a request that adds or removes one entry",
  ],
  [
    "$captured.enabled",
    '{ join: [$captured.enabled, " ", $target.value] }',
    "$captured.enabled is read, and what is made of it is written back: what somebody else writes in between would be lost",
  ],
  [
    "done: { status: 201 }",
    "guarded: { etag: true }",
    "guarded compares with what was read, and nothing is read; write read:",
  ],
  [
    "done: { status: 201 }",
    "read: { request: { method: GET, path: [bans] }, keep: { version: /v } }\n      guarded: { revision: $read.version, lost: { status: 409 } }",
    "the request does not send $read.version, so the product cannot compare it",
  ],
  [
    "done: { status: 201 }",
    "unless: { $captured.enabled: true }",
    "apply leaves alone what was so before, and undo would free it; write the same unless: into undo",
  ],
  [
    "done: { status: 201 }",
    "keep: { id: /id }",
    '"keep" is not a key of apply; undo data is kept before acting: write capture:',
  ],
  [
    "auth: { bearer: $secrets.api_token }",
    "auth: { baerer: $secrets.api_token }",
    '"baerer" is not the one way to authenticate; write "bearer"',
  ],
  [
    "auth: { bearer: $secrets.api_token }",
    "auth: { bearer: $secrets.api_tokn }",
    "there is no $secrets.api_tokn in auth; write $secrets.api_token",
  ],
  [
    "auth: { bearer: $secrets.api_token }",
    "auth: none",
    "nothing uses $secrets.api_token; remove api_token from secrets",
  ],
  ["auth: { bearer: $secrets.api_token }\n", "", "the manifest does not say how to authenticate; write auth:"],
  ["x-zone: $settings.zone", "x-zone: $target.value", "there is no $target.value in headers of every request"],
  [
    "secrets: { api_token: { about: token } }",
    "secrets: { api_token: { about: token, default: x } }",
    "a secret has no default",
  ],
];
