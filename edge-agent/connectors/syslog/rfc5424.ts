/** One syslog message (RFC 5424) on one line; whatever the values say, they cannot end it or add to it. */
export type SyslogMessage = {
  /** 0 to 23 (RFC 5424 6.2.1). */
  readonly facility: number;
  /** 0 emergency to 7 debug. */
  readonly severity: number;
  readonly atMs: number;
  readonly hostname: string;
  readonly appName: string;
  readonly procId: string;
  readonly msgId: string;
  readonly data?: StructuredData;
  readonly text?: string;
};

export type StructuredData = {
  /** Names and the id are ours and fixed; values may be anything. */
  readonly id: string;
  readonly values: Readonly<Record<string, string>>;
};

export const formatSyslog = (message: SyslogMessage): string => {
  const header = [
    `<${message.facility * 8 + message.severity}>1`,
    new Date(message.atMs).toISOString(),
    printable(message.hostname, 255),
    printable(message.appName, 48),
    printable(message.procId, 128),
    printable(message.msgId, 32),
    message.data === undefined ? "-" : structured(message.data),
  ].join(" ");
  // No byte order mark before the text (6.4 has one): readers that look for "CEF:" at its start would not find it.
  return message.text === undefined ? header : `${header} ${oneLine(message.text)}`;
};

/** RFC 5425 4.3 and RFC 6587 3.4.1: the length in bytes, so that no byte of a message can end it. */
export const frame = (message: string): Buffer => {
  const bytes = Buffer.from(message, "utf8");
  return Buffer.concat([Buffer.from(`${bytes.length} `, "latin1"), bytes]);
};

/**
 * Control characters, and the two separators that some readers take for line ends, become a visible sign: collectors write
 * messages to files of lines.
 */
export const oneLine = (text: string): string => text.toWellFormed().replace(/[\p{Cc}\u2028\u2029]/gu, "\ufffd");

/** 6.2: visible ASCII without spaces, `-` for nothing. */
const printable = (text: string, lengthMax: number): string =>
  text.replace(/[^\x21-\x7e]/g, "_").slice(0, lengthMax) || "-";

/** 6.3.3: `"`, `\` and `]` are escaped. */
const structured = ({ id, values }: StructuredData): string => {
  const params = Object.entries(values).map(
    ([name, value]) => ` ${name}="${oneLine(value).replace(/["\\\]]/g, (mark) => `\\${mark}`)}"`,
  );
  return `[${id}${params.join("")}]`;
};
