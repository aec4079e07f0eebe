import type { Entity, EntityRole, EntityType } from "@reflex/protocol/entity";
import { entitiesMax, entityValueLengthMax } from "@reflex/protocol/limits";
import { canonicalAddress, namesOneMachine, netText, parseAddress, parseNet } from "../address.ts";
import { readText } from "./reading.ts";

export type EntityList = {
  /** Adds what `value` names, canonical and once per role. A value that names nothing legal is left out and noted in a tag. */
  readonly add: (type: EntityType, value: unknown, role?: EntityRole) => void;
  /** For fields that may hold a name or an address. */
  readonly addMachine: (value: unknown, role?: EntityRole) => void;
  readonly entities: readonly Entity[];
  readonly tags: () => readonly string[];
};

export const createEntityList = (): EntityList => {
  const entities: Entity[] = [];
  let isMalformed = false;
  let isCut = false;

  const add = (type: EntityType, value: unknown, role?: EntityRole): void => {
    if (value === undefined || value === null || value === "" || value === "-") return;
    const canonical = canonicalEntityValue(type, value);
    if (canonical === undefined) {
      isMalformed = true;
      return;
    }
    if (type === "address" && !isTargetAddress(canonical)) return;
    if (entities.some((entity) => entity.type === type && entity.value === canonical && entity.role === role)) return;
    if (entities.length >= entitiesMax) {
      isCut = true;
      return;
    }
    entities.push({ type, value: canonical, ...(role === undefined ? {} : { role }) });
  };

  const addMachine = (value: unknown, role?: EntityRole): void => add(machineType(value), value, role);

  return {
    add,
    addMachine,
    entities,
    tags: () => [...(isMalformed ? ["entity:malformed"] : []), ...(isCut ? ["entities:cut"] : [])],
  };
};

/** A dotted number or a colon can only be meant as an address: a bad one must not pass as a host name. */
export const machineType = (value: unknown): "address" | "host" =>
  typeof value === "string" && (value.includes(":") || /^[\d.]+$/.test(value)) ? "address" : "host";

/** The one spelling under which an entity is looked up, counted and blocked; undefined if the value is not legal for its type. */
export const canonicalEntityValue = (type: EntityType, value: unknown): string | undefined => {
  if (typeof value !== "string" || value.length > entityValueLengthMax) return undefined;
  const text = readText(value, entityValueLengthMax);
  // An invisible character in a name is an attempt to make two names look like one.
  if (text === undefined || text !== value.trim()) return undefined;
  switch (type) {
    case "address":
      return canonicalAddress(text);
    case "network": {
      const net = parseNet(text);
      return net === undefined ? undefined : netText(net);
    }
    case "host":
      return dnsName(text);
    case "domain": {
      const name = dnsName(text);
      return name?.includes(".") === true ? name : undefined;
    }
    case "user":
      return text.length <= userLengthMax && userPattern.test(text) ? text.toLowerCase() : undefined;
    case "file":
      return /^[0-9a-fA-F]{64}$/.test(text) ? text.toLowerCase() : undefined;
    case "key":
      return /^[!-~]{1,256}$/.test(text) ? text : undefined;
    case "process":
      return text;
  }
};

const isTargetAddress = (canonical: string): boolean => {
  const bytes = parseAddress(canonical);
  return bytes !== undefined && namesOneMachine(bytes);
};

/** Longest user principal name Active Directory stores. */
const userLengthMax = 256;
/** `user`, `domain\user`, `user@domain`: what directories forbid in names is refused, so it never reaches a query. */
const userPattern = /^(?:[^\\/"[\]:|<>+=;,?*()@]+\\)?[^\\/"[\]:|<>+=;,?*()@]+(?:@[a-zA-Z0-9.-]+)?$/;
const namePattern = /^[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?(?:\.[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?)*$/;

const dnsName = (text: string): string | undefined => {
  const name = text.toLowerCase().replace(/\.$/, "");
  return name.length <= 253 && namePattern.test(name) && !/^[\d.]+$/.test(name) ? name : undefined;
};
