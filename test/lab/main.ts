import { writeSync } from "node:fs";
import { join } from "node:path";
import { findSubjects } from "../conformance/find-subjects.ts";
import type { Subject } from "../conformance/subject.ts";
import { failuresOf, nameOf, runAll, secondTriesOf, tableOf } from "../conformance/table.ts";
import { stopShared } from "./servers/shared.ts";

/**
 * `npm run test:lab [-- word...]`: every connector through every case, in front of real servers where they can be had and of
 * fakes where not; prints the table, and exits with 1 when a case fails. Words choose subjects by name.
 */
const words = process.argv.slice(2);
const folders = ["subjects", "../conformance/subjects"].map((folder) => join(import.meta.dirname, folder));
const found = (await Promise.all(folders.map(findSubjects))).flat();
const isChosen = (subject: Subject): boolean =>
  words.length === 0 || words.some((word) => nameOf(subject).toLowerCase().includes(word.toLowerCase()));
const subjects = found.filter(isChosen);
if (subjects.length === 0) {
  console.error(`no subject is called ${words.join(" or ")}; there are: ${found.map(nameOf).join(", ")}`);
  process.exit(66);
}

const rows = await runAll(
  subjects,
  (subject, name, result) => {
    if (result.kind === "fail") console.log(`FAIL  ${nameOf(subject)}: ${name}`);
  },
  ({ subject, results, tookMs }) =>
    console.log(`${nameOf(subject)}: ${results.size} cases in ${(tookMs / 1_000).toFixed(1)} s`),
);
await stopShared();
const failures = failuresOf(rows);
const text = [
  "",
  tableOf(rows),
  ...secondTriesOf(rows).map((one) => `passed at the second try only  ${one}\n`),
  ...failures.map((failure) => `FAIL  ${failure}\n`),
  failures.length === 0 ? "every connector keeps the contract" : `${failures.length} cases fail`,
  "",
].join("\n");
// Synchronous: what is piped is not cut off by the exit.
writeSync(1, text);
process.exit(failures.length === 0 ? 0 : 1);
