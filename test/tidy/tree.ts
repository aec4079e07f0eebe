// Which files the rules of the house look at, and what those files import.
import { readdirSync, readFileSync } from "node:fs";
import { dirname, join, posix } from "node:path";
import { fileURLToPath } from "node:url";

export const root = dirname(dirname(dirname(fileURLToPath(import.meta.url))));

export const packageFolders = ["protocol", "policies", "edge-agent", "controller", "installers", "test"] as const;

export type SourceFile = { readonly path: string; readonly text: string };
export type Import = { readonly from: string; readonly to: string; readonly line: number };

const skippedFolders = new Set(["node_modules", "dist", "build", "coverage", ".git"]);

/** Every file below the folder, as a path from the root with forward slashes. */
export const listFiles = (folder: string): string[] =>
  readdirSync(join(root, folder), { withFileTypes: true }).flatMap((entry) => {
    const path = posix.join(folder, entry.name);
    if (entry.isDirectory()) return skippedFolders.has(entry.name) ? [] : listFiles(path);
    return entry.isFile() ? [path] : [];
  });

export const readSource = (path: string): SourceFile => ({ path, text: readFileSync(join(root, path), "utf8") });

export const isCode = (path: string): boolean => /\.(?:ts|tsx|mts|mjs|js|jsx)$/.test(path);
export const isTest = (path: string): boolean => path.startsWith("test/") || /\.test\.tsx?$/.test(path);
export const isMain = (path: string): boolean =>
  posix.basename(path) === "main.ts" || posix.basename(path) === "main.tsx";

export const sourceFiles: readonly SourceFile[] = packageFolders
  .flatMap((folder) => listFiles(folder))
  .filter(isCode)
  .map(readSource);

/** Comments become spaces, so that what they say is no breach and line numbers stay. Strings are kept. */
export const withoutComments = (text: string): string =>
  text.replace(
    /("(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*'|`(?:\\.|[^`\\])*`)|\/\*[\s\S]*?\*\/|(?<=^|[\s;,{}()])\/\/[^\n]*/g,
    (whole, string: string | undefined) => string ?? whole.replace(/[^\n]/g, " "),
  );

const importPattern =
  /(?:^|[\s;}])(?:import|export)\s+(?:type\s+)?(?:[\w$*{}\s,]+?\s+from\s+)?["']([^"'\n]+)["']|\b(?:import|require)\s*\(\s*["']([^"'\n]+)["']/g;

/**
 * What a file imports, in one spelling: a file of ours is `controller/store/feedback.ts` whether it was written as a relative
 * path or as `@reflex/controller/store/feedback`; anything else is as written.
 */
export const importsOf = ({ path, text }: SourceFile): Import[] => {
  const code = withoutComments(text);
  return [...code.matchAll(importPattern)].map((match) => ({
    from: path,
    to: resolveImport(path, match[1] ?? match[2] ?? ""),
    line: code.slice(0, match.index + match[0].length).split("\n").length,
  }));
};

const resolveImport = (path: string, specifier: string): string => {
  if (specifier.startsWith(".")) return posix.normalize(posix.join(posix.dirname(path), specifier));
  if (specifier.startsWith("@reflex/")) return `${specifier.slice("@reflex/".length)}.ts`;
  return specifier;
};

export const lineOf = (text: string, index: number): number => text.slice(0, index).split("\n").length;
