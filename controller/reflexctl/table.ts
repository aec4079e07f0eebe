/** Columns as wide as their widest cell; the last one as long as it is. */
export const tableText = (head: readonly string[], rows: readonly (readonly string[])[]): string => {
  const all = [head, ...rows];
  const widths = head.map((_, column) => Math.max(...all.map((row) => (row[column] ?? "").length)));
  const line = (row: readonly string[]): string =>
    row
      .map((cell, column) => (column === row.length - 1 ? cell : cell.padEnd(widths[column] ?? 0)))
      .join("  ")
      .trimEnd();
  return all.map(line).join("\n");
};

/** Control characters of a hostile detection must not move the reader's cursor. */
export const plain = (text: string): string => text.replace(/\p{Cc}/gu, "?");
