import { err, ok, type Result } from "@reflex/protocol/result";
import { XMLParser } from "fast-xml-parser";
import type { HttpCallAnswer } from "../http-call.ts";
import type { AnswerFormat } from "./manifest.ts";

/** An answer whose body was understood; `content` is undefined where there is none. */
export type Answer = {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly content: unknown;
  readonly isXml: boolean;
};

/** Answers of security products nest about 10 deep; more exhausts the stack of whoever walks them. */
const depthMax = 48;

/** The error says why the body cannot be read; what it says is unknown then, whatever the status. */
export const readAnswer = (answer: HttpCallAnswer, format: AnswerFormat): Result<Answer, string> => {
  const { status, headers, bytes } = answer;
  const isXml = format === "xml";
  if (format === "none" || bytes.length === 0) return ok({ status, headers, content: undefined, isXml });
  const text = textOf(bytes);
  if (text === undefined) return err("the answer is not UTF-8");
  const content = isXml ? readXml(text) : readJson(text);
  if (content.ok) return ok({ status, headers, content: content.value, isXml });
  // Errors often come as HTML from a proxy in front; their status still counts.
  return status >= 400 ? ok({ status, headers, content: undefined, isXml }) : content;
};

const utf8 = new TextDecoder("utf-8", { fatal: true });
const textOf = (bytes: Uint8Array): string | undefined => {
  try {
    return utf8.decode(bytes);
  } catch {
    return undefined;
  }
};

const readJson = (text: string): Result<unknown, string> => {
  if (text.trim() === "") return ok(undefined);
  if (isDeep(text)) return err(`the answer nests deeper than ${depthMax}`);
  try {
    return ok(JSON.parse(text));
  } catch {
    return err("the answer is not JSON");
  }
};

/** Brackets open at once, outside of texts. */
const isDeep = (text: string): boolean => {
  let depth = 0;
  let isInText = false;
  for (let at = 0; at < text.length; at += 1) {
    const code = text.charCodeAt(at);
    if (isInText) {
      if (code === 0x5c) at += 1;
      else if (code === 0x22) isInText = false;
    } else if (code === 0x22) isInText = true;
    else if (code === 0x5b || code === 0x7b) {
      depth += 1;
      if (depth > depthMax) return true;
    } else if (code === 0x5d || code === 0x7d) depth -= 1;
  }
  return false;
};

const xmlParser = new XMLParser({
  ignoreAttributes: false,
  attributeNamePrefix: "@",
  textNodeName: "#text",
  // "007" and "1e3" are what they look like.
  parseTagValue: false,
  parseAttributeValue: false,
  ignoreDeclaration: true,
  ignorePiTags: true,
  maxNestedTags: depthMax,
  // The five entities of XML itself; a document that defines more is not read at all.
  processEntities: true,
});

const readXml = (text: string): Result<unknown, string> => {
  if (/<!(?:DOCTYPE|ENTITY)/i.test(text)) return err("the answer defines entities, and is not read");
  try {
    const content: unknown = xmlParser.parse(text, true);
    return ok(content);
  } catch {
    return err("the answer is not XML that can be read");
  }
};
