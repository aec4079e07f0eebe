import { chmodSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { inspect } from "node:util";
import fc from "fast-check";
import { afterAll, describe, expect, test } from "vitest";
import { secretOf } from "../connectors/secrets-port.ts";
import { createSecrets } from "./secrets.ts";

const folder = mkdtempSync(join(tmpdir(), "reflex-secrets-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const write = (name: string, text: string, mode = 0o600): string => {
  const path = join(folder, name);
  writeFileSync(path, text);
  chmodSync(path, mode);
  return path;
};
const revealed = (ref: string, env: Readonly<Record<string, string>> = {}): string | undefined => {
  const read = createSecrets(env).read(ref);
  return read.ok ? read.value.reveal() : undefined;
};
const refused = (ref: string, env: Readonly<Record<string, string>> = {}): string => {
  const read = createSecrets(env).read(ref);
  return read.ok ? "" : read.error.detail;
};

describe("a secret is read where its reference says", () => {
  test("from the environment, a file and a systemd credential, without the newline editors add", () => {
    expect(revealed("env:TOKEN", { TOKEN: "a b" })).toBe("a b");
    expect(revealed(`file:${write("one", "s3cret\n")}`)).toBe("s3cret");
    expect(revealed(`file:${write("two", "s3cret\r\n")}`)).toBe("s3cret");
    expect(revealed(`file:${write("three", "s3cret\n\n")}`)).toBe("s3cret\n");
    write("fw-token", "from systemd");
    expect(revealed("credential:fw-token", { CREDENTIALS_DIRECTORY: folder })).toBe("from systemd");
  });

  test("a rotated secret is the new one at the next use", () => {
    const path = write("rotated", "old");
    const secrets = createSecrets({});
    const before = secrets.read(`file:${path}`);
    write("rotated", "new");
    const after = secrets.read(`file:${path}`);
    expect([before.ok && before.value.reveal(), after.ok && after.value.reveal()]).toEqual(["old", "new"]);
  });

  test.skipIf(process.platform === "win32")(
    "a file that other users may open is refused; its group may read it",
    () => {
      expect(refused(`file:${write("open", "x", 0o644)}`)).toContain("chmod 600");
      expect(refused(`file:${write("written", "x", 0o620)}`)).toContain("chmod 600");
      expect(revealed(`file:${write("group", "x", 0o640)}`)).toBe("x");
    },
  );

  test("what is missing or empty is said by its reference", () => {
    expect(refused("env:ABSENT")).toContain("env:ABSENT");
    expect(refused(`file:${join(folder, "absent")}`)).toContain("ENOENT");
    expect(refused(`file:${write("empty", "\n")}`)).toContain("empty");
    expect(refused("credential:fw-token")).toContain("LoadCredential=fw-token");
  });

  test("a credential cannot climb out of its folder", () => {
    for (const name of ["..", ".", "../passwd", "a/b", ""]) {
      expect(revealed(`credential:${name}`, { CREDENTIALS_DIRECTORY: folder })).toBeUndefined();
    }
    expect(revealed("file:relative")).toBeUndefined();
  });

  test("a secret written in place of its reference is not repeated", () => {
    fc.assert(
      fc.property(fc.string({ minLength: 8 }), (text) => !refused(text).includes(text)),
      { numRuns: 300 },
    );
    expect(refused("env:hunter2-is-not-a-name!")).not.toContain("hunter2");
  });
});

test("a secret shows itself to nobody but who reveals it", () => {
  fc.assert(
    fc.property(
      fc.string({ minLength: 6 }).filter((text) => !"[secret] {}\"'credential".includes(text)),
      (text) => {
        const secret = secretOf(text);
        const seen = [
          String(secret),
          `${secret}`,
          JSON.stringify({ secret }),
          inspect(secret),
          inspect({ deep: { secret } }, { depth: 9, showHidden: true }),
          Object.values({ ...secret }).join(),
          JSON.stringify(structuredClone(JSON.parse(JSON.stringify([secret])))),
        ];
        return secret.reveal() === text && seen.every((one) => !one.includes(text));
      },
    ),
    { numRuns: 300 },
  );
});
