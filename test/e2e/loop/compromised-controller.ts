// A controller whose database somebody else writes to: what it serves and announces was never checked by it.
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { openDatabase } from "@reflex/controller/store/database";

export type Intruder = {
  /** Puts these bytes in the place of the site's released bundle and has the controller sign a head that announces them. */
  readonly offer: (bytes: Uint8Array, announcedVersion: number) => Promise<string>;
  readonly close: () => Promise<void>;
};

export const openIntruder = (controllerData: string, site: string): Intruder => {
  const folder = join(controllerData, "postgres");
  const password = readFileSync(join(folder, "password"), "utf8").trim();
  // Fourth line of PostgreSQL's own lock file.
  const port = readFileSync(join(folder, "cluster/postmaster.pid"), "utf8").split("\n")[3];
  const database = openDatabase(`postgres://reflex:${password}@127.0.0.1:${port}/postgres`, 2);
  return {
    offer: async (bytes, announcedVersion) => {
      const hash = createHash("sha256").update(bytes).digest("hex");
      await database.runScript(`
        insert into releases (hash, kind, version, sites, status, changelog, envelope, stored_by)
        values ('${hash}', 'bundle', ${announcedVersion}, array['${site}'], 'released', '', decode('${Buffer.from(bytes).toString("base64")}', 'base64'), 'intruder');
        update sites set bundle_hash = '${hash}' where site = '${site}'`);
      await database.notify("reflex_change", "release");
      return hash;
    },
    close: database.close,
  };
};
