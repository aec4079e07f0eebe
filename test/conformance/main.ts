import { existsSync } from "node:fs";
import { resolve } from "node:path";
import { subjectsIn } from "./find-subjects.ts";
import { failuresOf, nameOf, runAll } from "./table.ts";

/** `npm run test:connector -- <subject file>...`: the kit for the author of a connector, case by case. */
const files = process.argv.slice(2);
if (files.length === 0) {
  console.error("usage: npm run test:connector -- test/conformance/subjects/toy.ts");
  console.error("a subject file exports `subjects`; test/conformance/README.md shows how to write one in an hour");
  process.exit(64);
}
const missing = files.find((file) => !existsSync(file));
if (missing !== undefined) {
  console.error(`there is no file ${missing}`);
  process.exit(66);
}
const subjects = (await Promise.all(files.map((file) => subjectsIn(resolve(file))))).flat();
const rows = await runAll(subjects, (subject, name, result) => {
  const word = result.kind === "fail" ? "FAIL" : result.kind;
  const why = "reason" in result ? `: ${result.reason}` : "";
  console.log(`${nameOf(subject)}  ${name.padEnd(28)}  ${word}${why}`);
});
const failures = failuresOf(rows);
for (const failure of failures) console.log(`\n${failure}`);
console.log(`\n${failures.length === 0 ? "it keeps the contract" : `${failures.length} cases fail`}`);
process.exit(failures.length === 0 ? 0 : 1);
