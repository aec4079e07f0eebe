import { oneLine } from "./rfc5424.ts";

/** ArcSight Common Event Format, version 0 (CEF implementation standard, "Character encoding"). */
export type CefEvent = {
  readonly vendor: string;
  readonly product: string;
  readonly version: string;
  readonly signatureId: string;
  readonly name: string;
  /** 0 to 10. */
  readonly severity: number;
  /** Keys are ours and fixed; values may be anything. */
  readonly extension: Readonly<Record<string, string>>;
};

export const formatCef = (event: CefEvent): string => {
  const header = [event.vendor, event.product, event.version, event.signatureId, event.name, String(event.severity)];
  const extension = Object.entries(event.extension).map(([key, value]) => `${key}=${extensionValue(value)}`);
  return `CEF:0|${header.map(headerValue).join("|")}|${extension.join(" ")}`;
};

/** `\` and `|` are escaped; a header has one line. */
const headerValue = (text: string): string => oneLine(text).replace(/[\\|]/g, (mark) => `\\${mark}`);

/** `\` and `=` are escaped, line ends written as `\n` and `\r`; a pipe needs nothing here. */
const extensionValue = (text: string): string => {
  const escaped = text
    .replace(/[\\=]/g, (mark) => `\\${mark}`)
    .replace(/\n/g, "\\n")
    .replace(/\r/g, "\\r");
  return oneLine(escaped);
};
