const widthMax = 120;

/** JSON as the house's formatter lays it out: members on lines of their own, a list of plain values on one line if it fits. */
export const jsonText = (value: unknown): string => `${layOut(value, 0, 0)}\n`;

/** `used`: characters of the line that are not the value: indentation and name before it, the comma behind it. */
const layOut = (value: unknown, depth: number, used: number): string => {
  if (typeof value !== "object" || value === null) return JSON.stringify(value);
  const indent = "  ".repeat(depth + 1);
  if (Array.isArray(value)) {
    const line = `[${value.map((item) => JSON.stringify(item)).join(", ")}]`;
    const isPlain = value.every((item) => typeof item !== "object" || item === null);
    if (isPlain && used + line.length <= widthMax) return line;
    return wrap(
      "[",
      value.map((item, index) => layOut(item, depth + 1, indent.length + commaAfter(index, value))),
      "]",
      depth,
    );
  }
  const members = Object.entries(value).filter(([, member]) => member !== undefined);
  if (members.length === 0) return "{}";
  const lines = members.map(([name, member], index) => {
    const start = `${JSON.stringify(name)}: `;
    return start + layOut(member, depth + 1, indent.length + start.length + commaAfter(index, members));
  });
  return wrap("{", lines, "}", depth);
};

const commaAfter = (index: number, all: readonly unknown[]): number => (index < all.length - 1 ? 1 : 0);

const wrap = (open: string, lines: readonly string[], close: string, depth: number): string => {
  const indent = "  ".repeat(depth);
  return `${open}\n${lines.map((line) => `${indent}  ${line}`).join(",\n")}\n${indent}${close}`;
};
