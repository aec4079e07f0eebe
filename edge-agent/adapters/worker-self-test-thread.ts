// What the self-test worker runs; see worker-self-test.ts. Says one Result and ends.
import { parentPort, workerData } from "node:worker_threads";
import { selfTestBundle } from "../policy/self-test.ts";
import { createNodeCrypto } from "./node-crypto.ts";

const { payload, site } = workerData as { readonly payload: Uint8Array; readonly site: string };
parentPort?.postMessage(selfTestBundle(createNodeCrypto(), payload, site));
