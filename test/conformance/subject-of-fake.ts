import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Connector } from "@reflex/edge-agent/connectors/contract";
import type { Fake } from "./fake.ts";
import { handlerOf, startFakeServer } from "./fake-server.ts";
import type { OpenOptions, Subject } from "./subject.ts";

/** Where the fake listens, for whoever builds the connector. */
export type FakePlace = OpenOptions & {
  /** `https://localhost:<port>` */
  readonly url: string;
  /** To be trusted besides the public authorities: as text, and as a file. */
  readonly caPem: string;
  readonly caFile: string;
  /** Empty, and gone afterwards: state folder, secret files. Kept between two connectors of one case. */
  readonly folder: string;
};

export type FakedSubject = Omit<Subject, "open"> & {
  readonly fake: () => Fake;
  /** A connector that is not started yet. */
  readonly connector: (place: FakePlace) => Connector | Promise<Connector>;
  /** Secrets that never leave the connector: keys that sign. Those that the fake is shown it notes by itself. */
  readonly planted?: readonly string[];
  /** Puts in force at the fake, as somebody else, exactly what we are about to do to `target`. */
  readonly addSame?: (fake: Fake) => void;
};

/** A subject whose target is a fake behind TLS, with every fault the kit knows. */
export const subjectOfFake = ({
  fake: createFake,
  connector,
  addSame,
  planted,
  ...subject
}: FakedSubject): Subject => ({
  ...subject,
  open: async (options) => {
    const fake = createFake();
    const server = await startFakeServer(handlerOf(fake));
    const folder = mkdtempSync(join(tmpdir(), "reflex-subject-"));
    const caFile = join(folder, "ca.pem");
    writeFileSync(caFile, server.caPem);
    const { addForeign } = fake;
    return {
      connector: async () => {
        const made = await connector({ ...options, url: server.url, caPem: server.caPem, caFile, folder });
        const started = await made.start();
        if (!started.ok) throw new Error(`it does not start: ${started.error.code} ${started.error.detail}`);
        return made;
      },
      present: async () => fake.present(),
      changes: async () => fake.changes(),
      faults: server.faults,
      log: server.log,
      secrets: () => [...(planted ?? []), ...server.secrets()],
      ...(addForeign === undefined ? {} : { addForeign: async () => addForeign() }),
      ...(addSame === undefined ? {} : { addSame: async () => addSame(fake) }),
      close: async () => {
        await server.close();
        rmSync(folder, { recursive: true, force: true });
      },
    };
  },
});
