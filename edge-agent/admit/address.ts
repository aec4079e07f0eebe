/** An IPv4 address is 4 bytes, an IPv6 address 16; an IPv4-mapped IPv6 address is the IPv4 address it maps. */
export type AddressBytes = readonly number[];
export type Net = { readonly bytes: AddressBytes; readonly prefixBits: number };

/** The one spelling of an address (RFC 5952), so that equal addresses are equal strings; undefined if it is not legal. */
export const canonicalAddress = (text: string): string | undefined => {
  const bytes = parseAddress(text);
  if (bytes === undefined) return undefined;
  // The strict IPv4 spelling is the only one there is.
  return text.includes(":") ? addressText(bytes) : text;
};

/** Strict: four decimal numbers without leading zeros, or IPv6 without zone. What another reader could take for another address is refused. */
export const parseAddress = (text: string): AddressBytes | undefined => {
  if (text.length > addressLengthMax) return undefined;
  return text.includes(":") ? parseIpv6(text) : parseIpv4(text);
};

/** `10.0.0.0/8`, or a single address. */
export const parseNet = (text: string): Net | undefined => {
  const slash = text.indexOf("/");
  const bytes = parseAddress(slash < 0 ? text : text.slice(0, slash));
  if (bytes === undefined) return undefined;
  if (slash < 0) return { bytes, prefixBits: bytes.length * 8 };
  const prefix = text.slice(slash + 1);
  if (!/^(?:0|[1-9]\d{0,2})$/.test(prefix)) return undefined;
  // ::ffff:10.0.0.0/104 speaks of IPv6 bits; nobody writes it, and reading it as /104 of 32 bits would be wrong.
  return Number(prefix) <= bytes.length * 8 ? { bytes, prefixBits: Number(prefix) } : undefined;
};

export const isInNet = (address: AddressBytes, { bytes, prefixBits }: Net): boolean => {
  if (address.length !== bytes.length) return false;
  const whole = prefixBits >> 3;
  for (let at = 0; at < whole; at += 1) if (address[at] !== bytes[at]) return false;
  const rest = prefixBits & 7;
  return rest === 0 || ((address[whole] ?? 0) ^ (bytes[whole] ?? 0)) >> (8 - rest) === 0;
};

/** `10.1.2.3/8` and `10.0.0.0/8` are one network, written the second way. */
export const netText = ({ bytes, prefixBits }: Net): string => {
  const masked = bytes.map((byte, at) => byte & (0xff00 >> Math.min(8, Math.max(0, prefixBits - at * 8))) & 0xff);
  return `${addressText(masked)}/${prefixBits}`;
};

/** Unspecified, loopback, multicast and broadcast addresses name no single machine, so nothing can be done to one. */
export const namesOneMachine = (address: AddressBytes): boolean => !nobodysNets.some((net) => isInNet(address, net));

/** Throws on text that is no network: whoever reads settings has checked them with parseNet. */
export const netsOf = (texts: readonly string[]): readonly Net[] =>
  texts.map((text) => {
    const net = parseNet(text);
    if (net === undefined) throw new Error(`not a network: ${text}`);
    return net;
  });

/** Longest legal spelling: IPv6 with an IPv4 tail. */
const addressLengthMax = 45;

/** Digit by digit: this runs several times for each record, and a split with a pattern costs ten times as much. */
const parseIpv4 = (text: string): AddressBytes | undefined => {
  const bytes: number[] = [];
  let value = 0;
  let digits = 0;
  for (let at = 0; at <= text.length; at += 1) {
    const code = at === text.length ? dot : text.charCodeAt(at);
    if (code === dot) {
      if (digits === 0 || bytes.length === 4) return undefined;
      bytes.push(value);
      value = 0;
      digits = 0;
    } else if (code >= 0x30 && code <= 0x39) {
      // A leading zero means octal to some readers and decimal to others.
      if (digits > 0 && value === 0) return undefined;
      value = value * 10 + code - 0x30;
      digits += 1;
      if (value > 255) return undefined;
    } else {
      return undefined;
    }
  }
  return bytes.length === 4 ? bytes : undefined;
};
const dot = 0x2e;

const parseIpv6 = (text: string): AddressBytes | undefined => {
  const halves = text.split("::");
  if (halves.length > 2) return undefined;
  const head = groupsOf(halves[0] ?? "", halves.length === 1);
  const tail = halves.length === 2 ? groupsOf(halves[1] ?? "", true) : [];
  if (head === undefined || tail === undefined) return undefined;
  const missing = 8 - head.length - tail.length;
  if (halves.length === 1 ? missing !== 0 : missing < 1) return undefined;
  const groups = [...head, ...Array<number>(missing).fill(0), ...tail];
  const bytes = groups.flatMap((group) => [group >> 8, group & 0xff]);
  return isMapped(bytes) ? bytes.slice(12) : bytes;
};

const groupsOf = (text: string, mayEndInIpv4: boolean): number[] | undefined => {
  if (text === "") return [];
  const groups: number[] = [];
  const parts = text.split(":");
  for (const [at, part] of parts.entries()) {
    if (mayEndInIpv4 && at === parts.length - 1 && part.includes(".")) {
      const bytes = parseIpv4(part);
      if (bytes === undefined) return undefined;
      groups.push(((bytes[0] ?? 0) << 8) | (bytes[1] ?? 0), ((bytes[2] ?? 0) << 8) | (bytes[3] ?? 0));
    } else if (/^[0-9a-fA-F]{1,4}$/.test(part)) {
      groups.push(Number.parseInt(part, 16));
    } else {
      return undefined;
    }
  }
  return groups;
};

const isMapped = (bytes: readonly number[]): boolean =>
  bytes[10] === 0xff && bytes[11] === 0xff && bytes.slice(0, 10).every((byte) => byte === 0);

const addressText = (bytes: AddressBytes): string => {
  if (bytes.length === 4) return bytes.join(".");
  const groups = Array.from({ length: 8 }, (_, at) => ((bytes[2 * at] ?? 0) << 8) | (bytes[2 * at + 1] ?? 0));
  const zeros = longestZeroRun(groups);
  const hex = groups.map((group) => group.toString(16));
  if (zeros.length < 2) return hex.join(":");
  return `${hex.slice(0, zeros.start).join(":")}::${hex.slice(zeros.start + zeros.length).join(":")}`;
};

/** RFC 5952 §4.2.3: the longest run of zero groups is shortened, the first of equals. */
const longestZeroRun = (groups: readonly number[]): { readonly start: number; readonly length: number } => {
  let longest = { start: 0, length: 0 };
  for (let start = 0; start < groups.length; start += 1) {
    let length = 0;
    while (groups[start + length] === 0) length += 1;
    if (length > longest.length) longest = { start, length };
  }
  return longest;
};

const nobodysNets = netsOf(["0.0.0.0/8", "127.0.0.0/8", "224.0.0.0/4", "255.255.255.255", "::", "::1", "ff00::/8"]);

/** RFC 1918, RFC 6598, link-local and RFC 4193: what Suricata's HOME_NET covers by default, and the same for IPv6. */
export const defaultHomeNets = netsOf([
  "10.0.0.0/8",
  "172.16.0.0/12",
  "192.168.0.0/16",
  "100.64.0.0/10",
  "169.254.0.0/16",
  "fc00::/7",
  "fe80::/10",
]);
