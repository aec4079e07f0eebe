/** 1-based, columns in UTF-16 units as editors count them. */
export type Position = { readonly line: number; readonly column: number };

/** What is wrong with a file, where, and what to write instead. */
export type PolicyError = Position & { readonly file: string; readonly message: string; readonly fix: string };

/** `domain/x.yaml:4:10: "confidance" is not a field; write "confidence"`: editors and CI make the place clickable. */
export const formatPolicyError = ({ file, line, column, message, fix }: PolicyError): string =>
  `${file}:${line}:${column}: ${message}${fix === "" ? "" : `; ${fix}`}`;

export type Problems = {
  readonly report: (at: Position, message: string, fix: string) => undefined;
  readonly errors: () => readonly PolicyError[];
};

/** One broken file must not flood a terminal or a review; the rest shows once the first are put right. */
export const errorsPerFileMax = 100;

/** Collects every error of a file, so that one run tells an author everything. In the order of the text. */
export const createProblems = (file: string): Problems => {
  const found: PolicyError[] = [];
  return {
    report: (at, message, fix) => {
      if (found.length < errorsPerFileMax) found.push({ file, line: at.line, column: at.column, message, fix });
      return undefined;
    },
    errors: () => found.toSorted((a, b) => a.line - b.line || a.column - b.column),
  };
};
