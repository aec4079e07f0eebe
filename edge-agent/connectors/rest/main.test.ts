import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, describe, expect, test } from "vitest";

const here = dirname(fileURLToPath(import.meta.url));
const folder = mkdtempSync(join(tmpdir(), "reflex-manifest-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const check = (...args: readonly string[]) => {
  const { status, stdout } = spawnSync(process.execPath, [join(here, "main.ts"), ...args], { encoding: "utf8" });
  return { status, lines: stdout.trimEnd().split("\n") };
};

describe("npm run check:manifest", () => {
  test("says file, line, column, what is wrong and what to write, and fails", () => {
    const file = join(folder, "bad.yaml");
    writeFileSync(file, "manifest: 1\nname: bad\nabuot: bad\nno_api: none\n");
    const { status, lines } = check(file, join(folder, "absent.yaml"));
    expect(status).toBe(1);
    expect(lines).toContain(`${file}:3:1: "abuot" is not a key of a manifest; write "about"`);
    expect(lines.some((line) => line.startsWith(`${join(folder, "absent.yaml")}:1:1: the file cannot be read`))).toBe(
      true,
    );
  });

  test("tells what a good one can do", () => {
    const file = join(here, "..", "..", "packs", "fortigate.yaml");
    expect(check(file)).toEqual({ status: 0, lines: [`${file}: fortigate can block_ip`] });
  });

  test("prints the schema", () => {
    const { status, lines } = check("--schema");
    expect(status).toBe(0);
    expect(JSON.parse(lines.join("\n"))).toMatchObject({ title: "Reflex REST manifest" });
  });
});
