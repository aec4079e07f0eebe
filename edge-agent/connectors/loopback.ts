/** A host as in a URL (IPv6 with or without brackets) that never leaves this machine, so that plain text is nobody else's to read. */
export const isLoopback = (host: string): boolean =>
  ["localhost", "::1", "[::1]"].includes(host.toLowerCase()) || /^127\.\d{1,3}\.\d{1,3}\.\d{1,3}$/.test(host);
