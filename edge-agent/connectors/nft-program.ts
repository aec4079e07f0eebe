import { spawn } from "node:child_process";
import { type Refusal, refusal } from "@reflex/protocol/refusal";
import { err, ok, type Result } from "@reflex/protocol/result";

/**
 * Runs `nft` with JSON in and out, without a shell. Values are members of a JSON document, never text spliced into a script. The
 * document is one argument: nft reads "-f -" by opening /dev/stdin, which fails on the sockets that Node gives a child.
 */
export type NftProgram = {
  /** One transaction: all of the commands or none. Refused with the kernel's own words. */
  readonly change: (commands: readonly NftCommand[]) => Promise<Result<void, NftFailure>>;
  readonly list: (what: readonly string[]) => Promise<Result<readonly NftObject[], NftFailure>>;
};

export type NftCommand = { readonly [verb in "add" | "delete" | "flush"]?: Readonly<Record<string, unknown>> };
export type NftObject = Readonly<Record<string, Readonly<Record<string, unknown>> | undefined>>;

/** `missing`: the kernel knows no such table, set or element. `unknown`: no answer, so the change may have been made. */
export type NftFailure = { readonly kind: "missing" | "refused" | "unknown" | "unusable"; readonly refusal: Refusal };

/** Name of a network namespace as iproute2 allows it; it becomes one argument of `ip netns exec`. */
const netnsName = /^[A-Za-z0-9_][A-Za-z0-9_.-]{0,63}$/;

/** nft answers in about 3 ms; one that takes longer than this hangs on the kernel's lock. */
const answerMsMax = 4_000;
/** A list of 65 536 elements is about 8 MB of JSON. */
const outputBytesMax = 64 * 1024 * 1024;

export const createNftProgram = (netns?: string): NftProgram => {
  if (netns !== undefined && !netnsName.test(netns)) throw new Error("not a name of a network namespace");
  const [program = "nft", ...before] = netns === undefined ? ["nft"] : ["ip", "netns", "exec", netns, "nft"];

  const run = (args: readonly string[]): Promise<Result<string, NftFailure>> =>
    new Promise((resolve) => {
      const child = spawn(program, [...before, ...args], {
        stdio: ["ignore", "pipe", "pipe"],
        timeout: answerMsMax,
        killSignal: "SIGKILL",
        // Debian keeps nft where a service's PATH may not look; messages are read, so they stay English.
        env: { PATH: `${process.env["PATH"] ?? ""}:/usr/sbin:/sbin`, LC_ALL: "C" },
      });
      const output: Buffer[] = [];
      let outputBytes = 0;
      let complaint = "";
      child.stdout.on("data", (part: Buffer) => {
        outputBytes += part.length;
        if (outputBytes > outputBytesMax) child.kill("SIGKILL");
        else output.push(part);
      });
      child.stderr.setEncoding("utf8").on("data", (part: string) => {
        complaint = (complaint + part).slice(0, 2_000);
      });
      child.on("error", (cause) =>
        resolve(err(unusable(`${program} cannot be run (${cause.message}): apt install nftables iproute2`))),
      );
      child.on("close", (code, signal) => {
        if (code === 0) resolve(ok(Buffer.concat(output).toString("utf8")));
        else if (code === null)
          resolve(
            err({ kind: "unknown", refusal: refusal("connector-timeout", `nft ended by ${signal ?? "nobody"}`) }),
          );
        else resolve(err(failureOf(complaint.trim())));
      });
    });

  return {
    change: async (commands) => {
      const done = await run(["-j", JSON.stringify({ nftables: commands })]);
      return done.ok ? ok(undefined) : done;
    },
    list: async (what) => {
      const listed = await run(["-j", "list", ...what]);
      return listed.ok ? ok((JSON.parse(listed.value) as { nftables: NftObject[] }).nftables) : listed;
    },
  };
};

const unusable = (detail: string): NftFailure => ({ kind: "unusable", refusal: refusal("connector-failed", detail) });

const failureOf = (complaint: string): NftFailure => {
  const firstLine = complaint.split("\n")[0] ?? "";
  if (/Operation not permitted|must be root/i.test(complaint)) {
    return unusable(`nft may not change the firewall: run as root or give the service CAP_NET_ADMIN (${firstLine})`);
  }
  if (/Cannot open network namespace/i.test(complaint))
    return unusable(`the network namespace does not exist (${firstLine})`);
  if (/No such file or directory/i.test(complaint))
    return { kind: "missing", refusal: refusal("not-found", firstLine) };
  return { kind: "refused", refusal: refusal("connector-refused", firstLine) };
};
