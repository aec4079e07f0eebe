import { readdirSync } from "node:fs";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import type { Subject } from "./subject.ts";

/** Subjects of one file: `export const subjects: readonly Subject[]`. */
export const subjectsIn = async (file: string): Promise<readonly Subject[]> => {
  const { subjects } = (await import(pathToFileURL(file).href)) as { readonly subjects?: readonly Subject[] };
  if (subjects === undefined) throw new Error(`${file} must say: export const subjects: readonly Subject[] = [...]`);
  return subjects;
};

/** Subjects of every file of a folder, in the order of their names. */
export const findSubjects = async (folder: string): Promise<readonly Subject[]> => {
  const files = readdirSync(folder).filter((file) => file.endsWith(".ts"));
  const found = await Promise.all(files.sort().map((file) => subjectsIn(join(folder, file))));
  return found.flat();
};
