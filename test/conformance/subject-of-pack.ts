import { readFileSync, writeFileSync } from "node:fs";
import { basename, join } from "node:path";
import { fileURLToPath } from "node:url";
import { createHttpCalls } from "@reflex/edge-agent/adapters/outbound-http";
import { createSecrets } from "@reflex/edge-agent/adapters/secrets";
import type { Connector } from "@reflex/edge-agent/connectors/contract";
import { parseManifest } from "@reflex/edge-agent/connectors/rest/parse-manifest";
import { createRest } from "@reflex/edge-agent/connectors/rest/rest";
import type { Fake } from "./fake.ts";
import type { Subject } from "./subject.ts";
import { type FakedSubject, type FakePlace, subjectOfFake } from "./subject-of-fake.ts";

type Settings = Readonly<Record<string, string | number | boolean>>;

export type PackSubject<F extends Fake> = Omit<FakedSubject, "name" | "fake" | "connector" | "addSame"> & {
  /** Name of a file in edge-agent/packs, without its ending, or the path of a `.yaml` file. */
  readonly pack: string;
  readonly name?: string;
  readonly fake: () => F;
  readonly settings?: Settings | ((place: FakePlace) => Settings);
  /** What the fake takes for good, by the names of the manifest. */
  readonly secrets: Readonly<Record<string, string>>;
  /** `target` as the far end knows it, where that is not its value. */
  readonly sameId?: string;
  readonly addSame?: (fake: F) => void;
};

/** A pack in front of its fake, through the same reader, engine, transport and secret files as on a site. */
export const subjectOfPack = <F extends Fake>(subject: PackSubject<F>): Subject => {
  const { pack, fake: createFake, settings = {}, secrets, sameId, addSame, ...rest } = subject;
  const id = sameId ?? rest.target.value;
  return subjectOfFake({
    ...rest,
    name: rest.name ?? basename(pack, ".yaml"),
    connector: (place) =>
      packConnector({
        pack,
        place,
        settings: typeof settings === "function" ? settings(place) : settings,
        secrets,
      }),
    fake: createFake,
    planted: Object.values(secrets),
    ...(addSame === undefined && createFake().addSame === undefined
      ? {}
      : { addSame: (opened: Fake) => (addSame === undefined ? opened.addSame?.(id) : addSame(opened as F)) }),
  });
};

export type PackConnector = {
  readonly pack: string;
  readonly place: Pick<FakePlace, "url" | "caPem" | "folder">;
  readonly settings: Settings;
  readonly secrets: Readonly<Record<string, string>>;
};

/** Not started yet. */
export const packConnector = ({ pack, place, settings, secrets }: PackConnector): Connector => {
  const secretRefs = Object.entries(secrets).map(([name, text]) => [name, secretFile(place.folder, name, text)]);
  const site = { baseUrl: place.url, settings, secrets: Object.fromEntries(secretRefs) };
  const manifest = readPack(pack);
  const built = createRest(
    { name: manifest.name, manifest, site },
    {
      calls: createHttpCalls({ ca: place.caPem }),
      secrets: createSecrets({}),
      clock: { nowMs: () => Date.now() },
      // A fake lags by reads, not by time.
      pause: (ms) => new Promise((resolve) => setTimeout(resolve, ms / 10)),
    },
  );
  if (!built.ok) throw new Error(`${pack}: ${built.error.detail}`);
  return built.value;
};

const packs = new URL("../../edge-agent/packs/", import.meta.url);

const readPack = (pack: string) => {
  const file = pack.endsWith(".yaml") ? pack : fileURLToPath(new URL(`${pack}.yaml`, packs));
  const manifest = parseManifest(file, readFileSync(file, "utf8"));
  if (manifest.ok) return manifest.value;
  const [first] = manifest.error;
  throw new Error(`${first?.file}:${first?.line}:${first?.column} ${first?.message}; ${first?.fix}`);
};

/** Opened anew by each life of the connector, as on a site. */
const secretFile = (folder: string, name: string, text: string): string => {
  const path = join(folder, `${name}.secret`);
  writeFileSync(path, `${text}\n`, { mode: 0o600 });
  return `file:${path}`;
};
