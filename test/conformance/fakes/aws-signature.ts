import { createHash, createHmac, timingSafeEqual } from "node:crypto";
import type { FakeRequest } from "../fake.ts";

/*
 * Signature Version 4 as AWS checks it, written from docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html
 * and not from the code that signs, so that both cannot be wrong in the same way.
 */
export const fakeAwsAccessKey = "AKIDEXAMPLEREFLEX001";
export const fakeAwsSecretKey = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";

export type SignatureFault = "missing" | "unknown-key" | "mismatch" | "expired";

const skewMsMax = 300_000;

export const checkSignature = (
  request: FakeRequest,
  { region, service, nowMs }: { readonly region: string; readonly service: string; readonly nowMs: number },
): SignatureFault | undefined => {
  const authorization = request.headers["authorization"] ?? "";
  const parts = /^AWS4-HMAC-SHA256 Credential=([^,]+),\s*SignedHeaders=([^,]+),\s*Signature=([0-9a-f]{64})$/.exec(
    authorization,
  );
  const time = request.headers["x-amz-date"];
  if (parts === null || time === undefined) return "missing";
  const [, credential = "", signedHeaders = "", signature = ""] = parts;
  const [key, day = "", ...scope] = credential.split("/");
  if (key !== fakeAwsAccessKey) return "unknown-key";
  const isScoped = scope.join("/") === `${region}/${service}/aws4_request` && time.startsWith(day);
  const names = signedHeaders.split(";");
  if (!isScoped || !names.includes("host") || !names.includes("x-amz-date")) return "mismatch";
  const iso = time.replace(/^(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)Z$/, "$1-$2-$3T$4:$5:$6Z");
  if (!(Math.abs(Date.parse(iso) - nowMs) <= skewMsMax)) return "expired";

  const canonical = [
    request.method,
    request.path,
    [...request.query]
      .map(([name, value]) => `${encoded(name)}=${encoded(value)}`)
      .toSorted()
      .join("&"),
    ...names.map((name) => `${name}:${(request.headers[name] ?? "").trim().replace(/\s+/g, " ")}`),
    "",
    signedHeaders,
    sha256(request.text),
  ].join("\n");
  const toSign = ["AWS4-HMAC-SHA256", time, `${day}/${scope.join("/")}`, sha256(canonical)].join("\n");
  const signingKey = [day, region, service, "aws4_request"].reduce<string | Buffer>(hmac, `AWS4${fakeAwsSecretKey}`);
  const isMatch = timingSafeEqual(hmac(signingKey, toSign), Buffer.from(signature, "hex"));
  return isMatch ? undefined : "mismatch";
};

const sha256 = (text: string): string => createHash("sha256").update(text).digest("hex");
const hmac = (key: string | Buffer, text: string): Buffer => createHmac("sha256", key).update(text).digest();
/** RFC 3986, unlike encodeURIComponent. */
const encoded = (text: string): string =>
  encodeURIComponent(text).replace(/[!'()*]/g, (char) => `%${char.charCodeAt(0).toString(16).toUpperCase()}`);

/** `Name.1=a&Name.2=b` in order. */
export const numbered = (form: URLSearchParams, name: string): readonly string[] => {
  const values: string[] = [];
  for (let at = 1; form.has(`${name}.${at}`); at += 1) values.push(form.get(`${name}.${at}`) ?? "");
  return values;
};
