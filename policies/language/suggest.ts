/** Longer names are not typos of ours, and comparing costs their product. */
const comparedLengthMax = 64;

/** Edits (insert, drop, change, swap two neighbours) that turn one word into the other. */
export const editDistance = (from: string, to: string): number => {
  let before: number[] = [];
  let last = Array.from({ length: to.length + 1 }, (_, index) => index);
  for (let row = 1; row <= from.length; row += 1) {
    const current = [row];
    for (let column = 1; column <= to.length; column += 1) {
      const same = from[row - 1] === to[column - 1];
      let least = Math.min(
        (last[column] ?? 0) + 1,
        (current[column - 1] ?? 0) + 1,
        (last[column - 1] ?? 0) + (same ? 0 : 1),
      );
      if (row > 1 && column > 1 && from[row - 1] === to[column - 2] && from[row - 2] === to[column - 1]) {
        least = Math.min(least, (before[column - 2] ?? 0) + 1);
      }
      current.push(least);
    }
    before = last;
    last = current;
  }
  return last[to.length] ?? 0;
};

const plain = (name: string): string => name.toLowerCase().replace(/[\s_.-]+/g, "");

/** The name that was probably meant; undefined when none is near. Case, dots, dashes and underscores cost nothing. */
export const nearestName = (written: string, names: readonly string[]): string | undefined => {
  if (written.length === 0 || written.length > comparedLengthMax) return undefined;
  const wanted = plain(written);
  if (wanted.length === 0) return undefined;
  let nearest: string | undefined;
  let least = Math.max(1, Math.floor(wanted.length / 3)) + 1;
  for (const name of names) {
    const distance = editDistance(wanted, plain(name));
    if (distance < least) {
      least = distance;
      nearest = name;
    }
  }
  return nearest;
};

const listedMax = 12;

export const listed = (names: readonly string[]): string =>
  names.length <= listedMax ? names.join(", ") : `${names.slice(0, listedMax).join(", ")}, …`;

/** The fix for a wrong name: the nearest one, or all there are. */
export const writeInstead = (written: string, names: readonly string[]): string => {
  const nearest = nearestName(written, names);
  return nearest === undefined ? `write one of: ${listed(names)}` : `write ${JSON.stringify(nearest)}`;
};
