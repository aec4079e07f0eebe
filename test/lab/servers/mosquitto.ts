import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { connect } from "node:tls";
import { createTestAuthority, type ServerCertificate } from "../../conformance/certificates.ts";
import { freePort, isInstalled, startProgram, withRetry } from "./program.ts";

/** A broker that lets in nobody without a certificate of its authority. */
export type Mosquitto = {
  readonly port: number;
  /** The same broker, with a certificate for another name. */
  readonly wrongNamePort: number;
  readonly ca: string;
  readonly client: ServerCertificate;
  readonly stop: () => Promise<void>;
};

/** Why there is no mosquitto; undefined where there is one. */
export const mosquittoMissing = (): string | undefined =>
  isInstalled("mosquitto", "-h") ? undefined : "mosquitto is not installed: apt-get install mosquitto";

export const startMosquitto = async (): Promise<Mosquitto> => {
  const authority = await createTestAuthority();
  const client = await authority.issue(["openc2"]);
  const folder = mkdtempSync(join(tmpdir(), "reflex-mosquitto-"));
  const write = (name: string, text: string): string => {
    const path = join(folder, name);
    writeFileSync(path, text, { mode: 0o600 });
    return path;
  };
  const cafile = write("ca.pem", authority.caPem);
  const listener = (name: string, port: number, { cert, key }: ServerCertificate): string =>
    [
      `listener ${port} 127.0.0.1`,
      `cafile ${cafile}`,
      `certfile ${write(`${name}.pem`, cert)}`,
      `keyfile ${write(`${name}.key`, key)}`,
      "require_certificate true",
      "use_identity_as_username true",
    ].join("\n");
  const good = await authority.issue(["localhost"]);
  const wrong = await authority.issue(["elsewhere.example"]);
  const answers = (port: number): Promise<boolean> =>
    new Promise((resolve) => {
      const socket = connect(
        { port, host: "127.0.0.1", servername: "localhost", ca: authority.caPem, ...client },
        () => {
          socket.destroy();
          resolve(true);
        },
      );
      socket.on("error", () => resolve(false));
    });
  try {
    return await withRetry(async () => {
      const [port, wrongNamePort] = [await freePort(), await freePort()];
      const config = write(
        "mosquitto.conf",
        // As root it would give up its rights, and then not read its own keys.
        `per_listener_settings false\nallow_anonymous false\npersistence false\nuser root\n${listener("good", port, good)}\n${listener("wrong", wrongNamePort, wrong)}\n`,
      );
      const program = await startProgram({
        program: "mosquitto",
        args: ["-c", config],
        isReady: () => answers(port),
        readyWithinMs: 15_000,
      });
      return {
        port,
        wrongNamePort,
        ca: authority.caPem,
        client,
        stop: async () => {
          await program.stop();
          rmSync(folder, { recursive: true, force: true });
        },
      };
    });
  } catch (cause) {
    rmSync(folder, { recursive: true, force: true });
    throw cause;
  }
};
