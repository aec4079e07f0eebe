import { describe, expect, test } from "vitest";
import { openRest, type RestConnectorConfig } from "./open.ts";
import { createFarEnd, secretsOf } from "./rest-fixture.ts";

const manifest = `manifest: 1
name: fw
about: a firewall
settings:
  zone: { about: zone of the ban, pattern: "^[a-z]{1,8}$" }
  kind: { about: kind, one_of: [ip, net], default: ip }
  size: { about: size, format: integer, default: 4 }
  deep: { about: depth, format: flag, optional: true }
  login_url: { about: where tokens are given, format: url, default: "https://login.example/" }
secrets: { api_token: { about: token } }
auth: { bearer: $secrets.api_token }
headers: { x-all: { join: [$settings.zone, $settings.kind, $settings.size, $settings.deep] } }
actions:
  block_ip:
    targets: [address]
    apply: { request: { method: POST, base: $settings.login_url, path: [bans] } }
    verify: { request: { method: GET, path: [bans] }, present: { status: 200 }, absent: { status: 404 } }
    undo: { request: { method: DELETE, path: [bans] } }
`;

const opened = (more: Partial<RestConnectorConfig>, text = manifest): string => {
  const config: RestConnectorConfig = {
    kind: "rest",
    name: "fw",
    manifest: "fw",
    base_url: "https://fw.example",
    settings: { zone: "wan" },
    secrets: { api_token: "env:TOKEN" },
    ...more,
  };
  const made = openRest(config, {
    secrets: secretsOf({ "env:TOKEN": "secret-token" }),
    clock: { nowMs: () => 0 },
    packFile: (name) => `packs/${name}.yaml`,
    readText: (path) => {
      if (path !== "packs/fw.yaml" && path !== "own.yaml") throw new Error("no such file");
      return text;
    },
    httpCalls: () => createFarEnd(() => ({})).calls,
  });
  return made.ok ? "open" : made.error;
};

describe("a site's configuration fits its manifest, or says what to correct", () => {
  test("a pack by name and a file by path", () => {
    expect(opened({})).toBe("open");
    expect(opened({ manifest: "own.yaml" })).toBe("open");
    expect(opened({ manifest: "absent" })).toContain("the manifest packs/absent.yaml cannot be read");
    expect(opened({ manifest: "../secret" })).toContain("is not the name of a pack; a path ends with .yaml");
  });

  test("errors of the manifest come with file, line and column", () => {
    expect(opened({}, manifest.replace("status: 404", "status: gone"))).toContain("packs/fw.yaml:17:");
  });

  const wrong: readonly (readonly [more: Partial<RestConnectorConfig>, error: string])[] = [
    [{ settings: {} }, "fw: settings.zone is missing: zone of the ban"],
    [{ settings: { zone: "WAN" } }, "fw: settings.zone does not match ^[a-z]{1,8}$"],
    [
      { settings: { zone: "wan", zoen: "x" } },
      "fw: settings.zoen is not known; there are zone, kind, size, deep, login_url",
    ],
    [{ settings: { zone: "wan", kind: "host" } }, "fw: settings.kind is none of ip, net"],
    [{ settings: { zone: "wan", size: 1.5 } }, "fw: settings.size is not a whole number"],
    [{ settings: { zone: "wan", deep: "yes" } }, "fw: settings.deep is not true or false"],
    [
      { settings: { zone: "wan", login_url: "http://login.example" } },
      "fw: settings.login_url is not https (http only on loopback)",
    ],
    [
      { settings: { zone: "wan", login_url: "https://login.example?x=1" } },
      "fw: settings.login_url may only be an origin and a path",
    ],
    [{ secrets: {} }, "fw: secrets.api_token is missing: token"],
    [{ secrets: { api_token: "env:TOKEN", other: "env:X" } }, "fw: secrets.other is not known; there are api_token"],
    [{ base_url: "http://fw.example" }, "fw: base_url is not https (http only on loopback)"],
    [
      { base_url: "https://user:word@fw.example" },
      "fw: base_url may only be an origin and a path, without user, ? or #",
    ],
    [{ base_url: "fw.example" }, "fw: base_url is not a URL"],
    [{ client_cert_file: "own.yaml" }, "client_cert_file and client_key_file belong together"],
  ];
  test.each(wrong)("%j", (more, error) => {
    expect(opened(more)).toContain(error);
  });

  test("loopback may be spoken to without TLS", () => {
    for (const base_url of ["http://127.0.0.1:8080", "http://localhost", "http://[::1]:1"])
      expect(opened({ base_url })).toBe("open");
    expect(opened({ base_url: "http://127.0.0.1.evil.example" })).toContain("is not https");
  });

  test("a product without an API is refused in its manifest's words", () => {
    const none =
      "manifest: 1\nname: openedr\nabout: OpenEDR\nno_api: it has no remote response; route its hosts to the firewall\n";
    expect(opened({ settings: {}, secrets: {} }, none)).toBe(
      "openedr: it has no remote response; route its hosts to the firewall",
    );
  });

  test("a client certificate is needed where it is what authenticates", () => {
    const text = manifest
      .replace("{ bearer: $secrets.api_token }", "client_certificate")
      .replace("secrets: { api_token: { about: token } }\n", "");
    expect(opened({ secrets: {} }, text)).toContain("client_cert_file and client_key_file are missing");
    expect(opened({ secrets: {}, client_cert_file: "own.yaml", client_key_file: "own.yaml" }, text)).toBe("open");
  });
});
