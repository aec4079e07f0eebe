import { existsSync, readFileSync } from "node:fs";
import type { Trust } from "@reflex/protocol/trust";
import { acceptTrust } from "./release/accept-trust.ts";
import type { OpenDeps } from "./release/open-message.ts";
import type { SigningKey } from "./release/signing-key.ts";
import type { ReleaseStore } from "./store/release-store.ts";

/** The newest trust document: what is stored, followed step by step, and then the file given at start if it is the next one. */
export type TrustInForce = { readonly trust: Trust; readonly envelope: string };

export const loadTrust = async (
  deps: OpenDeps,
  org: string,
  store: Pick<ReleaseStore, "trusts" | "storeTrust">,
  file: string | undefined,
): Promise<TrustInForce> => {
  let inForce: TrustInForce | undefined;
  for (const { version, envelope } of await store.trusts()) {
    const accepted = acceptTrust(deps, org, Buffer.from(envelope), inForce?.trust);
    if (!accepted.ok)
      throw new Error(
        `the stored trust document ${version} is not valid: ${accepted.error.code} ${accepted.error.detail}`,
      );
    inForce = { trust: accepted.value.value, envelope };
  }
  if (file !== undefined && existsSync(file)) {
    const envelope = readFileSync(file, "utf8").trim();
    const accepted = acceptTrust(deps, org, Buffer.from(envelope), inForce?.trust);
    if (accepted.ok) {
      await store.storeTrust(accepted.value.value.version, envelope);
      inForce = { trust: accepted.value.value, envelope };
    } else if (inForce === undefined || accepted.error.code !== "version-rollback")
      throw new Error(`the trust document ${file} is refused: ${accepted.error.code} ${accepted.error.detail}`);
  }
  if (inForce !== undefined) return inForce;
  throw new Error("no trust document: make keys with `reflexctl keys new` and start with --trust DIR/trust.json");
};

export const checkHeadKey = ({ trust }: TrustInForce, key: SigningKey): void => {
  if (trust.roles.head.keys.some((known) => known.public === key.public)) return;
  throw new Error(
    `the head key ${key.keyid} is not in the trust document (version ${trust.version}): agents would refuse every head`,
  );
};
