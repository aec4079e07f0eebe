/** Addresses and ranges as text: legal or not, and in which one spelling they go into a bundle. */
export type AddressText =
  | { readonly kind: "legal"; readonly text: string; readonly version: 4 | 6; readonly prefix?: number }
  | { readonly kind: "host-bits"; readonly text: string }
  | { readonly kind: "malformed" };

/** `203.0.113.9`, `10.0.0.0/8`, `2001:db8::/32`. A range whose address has bits behind the prefix is named with the range it lies in. */
export const readAddressText = (written: string): AddressText => {
  const [address = "", prefixText, ...rest] = written.split("/");
  if (rest.length > 0) return { kind: "malformed" };
  const groups = readIpv4(address) ?? readIpv6(address);
  if (groups === undefined) return { kind: "malformed" };
  const version = groups.length === 4 ? 4 : 6;
  const bitsPerGroup = version === 4 ? 8 : 16;
  const text = version === 4 ? groups.join(".") : ipv6Text(groups);
  if (prefixText === undefined) return { kind: "legal", text, version };
  const prefix = /^(0|[1-9][0-9]{0,2})$/.test(prefixText) ? Number(prefixText) : Number.NaN;
  if (!(prefix <= groups.length * bitsPerGroup)) return { kind: "malformed" };
  const network = groups.map((group, index) => group & groupMask(prefix - index * bitsPerGroup, bitsPerGroup));
  const networkText = `${version === 4 ? network.join(".") : ipv6Text(network)}/${prefix}`;
  const isNetwork = network.every((group, index) => group === groups[index]);
  return isNetwork ? { kind: "legal", text: networkText, version, prefix } : { kind: "host-bits", text: networkText };
};

const groupMask = (bits: number, width: number): number => {
  const kept = Math.max(0, Math.min(width, bits));
  return (2 ** kept - 1) * 2 ** (width - kept);
};

/** Leading zeros are refused: some readers take them as octal, and the two would block different addresses. */
const readIpv4 = (text: string): number[] | undefined => {
  const groups = text.split(".");
  if (groups.length !== 4 || !groups.every((group) => /^(0|[1-9][0-9]{0,2})$/.test(group))) return undefined;
  const numbers = groups.map(Number);
  return numbers.every((group) => group <= 255) ? numbers : undefined;
};

const readIpv6 = (written: string): number[] | undefined => {
  if (!/^[0-9A-Fa-f:.]{2,45}$/.test(written)) return undefined;
  let text = written;
  const tail = /(?<=:)[0-9.]*\.[0-9.]*$/.exec(written);
  if (tail !== null) {
    const v4 = readIpv4(tail[0]);
    if (v4 === undefined) return undefined;
    const [a = 0, b = 0, c = 0, d = 0] = v4;
    text = `${written.slice(0, tail.index)}${(a * 256 + b).toString(16)}:${(c * 256 + d).toString(16)}`;
  }
  const halves = text.split("::");
  if (halves.length > 2) return undefined;
  const [head = [], end = []] = halves.map((half) => (half === "" ? [] : half.split(":")));
  if (![...head, ...end].every((group) => /^[0-9A-Fa-f]{1,4}$/.test(group))) return undefined;
  const missing = 8 - head.length - end.length;
  if (halves.length === 1 ? missing !== 0 : missing < 1) return undefined;
  return [...head, ...Array.from({ length: missing }, () => "0"), ...end].map((group) => Number.parseInt(group, 16));
};

/** RFC 5952: lower case, no leading zeros, the first longest run of zeros as `::`. */
const ipv6Text = (groups: readonly number[]): string => {
  let start = -1;
  let longest = 1;
  for (let from = 0; from < 8; from += 1) {
    let length = 0;
    while (from + length < 8 && groups[from + length] === 0) length += 1;
    if (length > longest) {
      longest = length;
      start = from;
    }
  }
  const hex = groups.map((group) => group.toString(16));
  if (start < 0) return hex.join(":");
  return `${hex.slice(0, start).join(":")}::${hex.slice(start + longest).join(":")}`;
};
