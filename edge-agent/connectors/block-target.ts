import type { Entity } from "@reflex/protocol/entity";
import { type Refusal, refusal } from "@reflex/protocol/refusal";
import { err, ok, type Result } from "@reflex/protocol/result";
import { isInNet, netsOf, netText, parseAddress, parseNet } from "../admit/address.ts";

/** What may be put on a block list, in its one spelling: never the text as it came. */
export type BlockTarget = { readonly text: string; readonly family: 4 | 6; readonly prefixBits: number };

/** Blocking these cuts the machine off from itself or is no single sender. Never-touch covers the rest, by policy. */
const neverBlocked = netsOf(["0.0.0.0/8", "127.0.0.0/8", "224.0.0.0/3", "::/128", "::1/128", "fe80::/10", "ff00::/8"]);

/** Shorter prefixes are not a range of an attacker but a part of the internet. */
const prefixBitsMin = { 4: 8, 6: 19 } as const;

/** An address for `block_ip`, a network for `block_range`. */
export const readBlockTarget = (target: Pick<Entity, "type" | "value">): Result<BlockTarget, Refusal> => {
  const isRange = target.type === "network";
  if (!isRange && target.type !== "address")
    return err(refusal("target-unresolved", `a ${target.type} cannot be put on an address list`));
  const net = isRange ? parseNet(target.value) : addressAsNet(target.value);
  if (net === undefined) return err(refusal("entity-malformed", isRange ? "not a network" : "not an address"));
  const family = net.bytes.length === 4 ? 4 : 6;
  if (net.prefixBits < prefixBitsMin[family]) {
    return err(
      refusal("target-unresolved", `a /${net.prefixBits} is too much to block; /${prefixBitsMin[family]} at most`),
    );
  }
  const isForbidden = neverBlocked.some((never) => isInNet(net.bytes, never) || isInNet(never.bytes, net));
  if (isForbidden)
    return err(refusal("never-touch", `${target.value} is loopback, unspecified, link-local or multicast`));
  const canonical = netText(net);
  return ok({
    text: isRange ? canonical : canonical.slice(0, canonical.indexOf("/")),
    family,
    prefixBits: net.prefixBits,
  });
};

const addressAsNet = (value: string) => {
  const bytes = parseAddress(value);
  return bytes === undefined ? undefined : { bytes, prefixBits: bytes.length * 8 };
};

const label = /^(?!-)[a-z0-9_-]{1,63}(?<!-)$/;

/** A domain name as block lists write it: lower case, ASCII (punycode), no final dot, at least two labels. */
export const readBlockDomain = (target: Pick<Entity, "type" | "value">): Result<string, Refusal> => {
  if (target.type !== "domain")
    return err(refusal("target-unresolved", `a ${target.type} cannot be put on a domain list`));
  const name = target.value.toLowerCase().replace(/\.$/, "");
  const labels = name.split(".");
  const isName =
    name.length <= 253 &&
    labels.length >= 2 &&
    labels.every((one) => label.test(one)) &&
    !/^[0-9]+$/.test(labels.at(-1) ?? "");
  return isName ? ok(name) : err(refusal("entity-malformed", "not a domain name of at least two labels"));
};
