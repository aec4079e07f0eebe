/** Calls `differs` for each place where two JSON values differ, by JSON pointer (RFC 6901), in the order of the keys. */
export const differences = (
  path: string,
  stored: unknown,
  recomputed: unknown,
  differs: (path: string, stored: unknown, recomputed: unknown) => void,
): void => {
  if (Object.is(stored, recomputed)) return;
  if (!isContainer(stored) || !isContainer(recomputed) || Array.isArray(stored) !== Array.isArray(recomputed)) {
    differs(path, stored, recomputed);
    return;
  }
  const keys = [...new Set([...Object.keys(stored), ...Object.keys(recomputed)])];
  for (const key of keys) {
    const escaped = key.replaceAll("~", "~0").replaceAll("/", "~1");
    // Own keys only: `__proto__` and its kin in a token are data.
    differences(`${path}/${escaped}`, ownValue(stored, key), ownValue(recomputed, key), differs);
  }
};

type Container = Readonly<Record<string, unknown>>;
const isContainer = (value: unknown): value is Container => typeof value === "object" && value !== null;
const ownValue = (container: Container, key: string): unknown =>
  Object.hasOwn(container, key) ? container[key] : undefined;
