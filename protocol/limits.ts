// Every bound on the wire, each with its reason. A bound is enforced at the gate that reads the bytes, before parsing.

/** A confirmed detection is a few kB; Wazuh records with full_log reach 60 kB. More is a flood or an attack. */
export const detectionBytesMax = 256 * 1024;
/** Real findings nest 6 deep (Graph evidence); a depth bomb exhausts the stack of a recursive consumer. */
export const jsonDepthMax = 16;
/** Tags steer policies; a detection with more is generated, not curated. */
export const tagsMax = 64;
/** A technique id, category or rule id fits; a megabyte tag does not. */
export const tagLengthMax = 128;
/** One detection about more things than this cannot be decided about "exactly one thing". */
export const entitiesMax = 32;
/** Longest legal domain name is 253; user principal names and process paths are cut here too. */
export const entityValueLengthMax = 512;
/** Rule names are sentences; nothing is decided on their tail. */
export const textLengthMax = 1_024;
/** Scalar facts a source may add beside the known fields. */
export const enrichmentFieldsMax = 64;
/** A reason is one sentence on a firewall entry or ticket. */
export const reasonLengthMax = 512;
/** 30 days: longer enforcement is a change request, not a reflex. */
export const ttlSecondsMax = 30 * 24 * 3600;
/** Shorter leases would be undone before a connector has confirmed them. */
export const ttlSecondsMin = 10;
/** 10 000 policies with inventory are about 12 MB; four times that is a mistake or an attack. */
export const bundleBytesMax = 48 * 1024 * 1024;
/** The DESIGN target; the matcher is measured up to here. */
export const policiesMax = 10_000;
/** Entries of one $list. */
export const listEntriesMax = 100_000;
/** Inventory assets, users and subnets together. */
export const inventoryEntriesMax = 200_000;
/** Never-touch entries; each is checked against every resolved target. */
export const neverTouchMax = 20_000;
/** Weights cells: sites x rules x asset classes. */
export const weightsCellsMax = 100_000;
/** One MQTT packet: fits every broker's default (mosquitto 2 MB) with room, keeps a slow segment responsive. */
export const mqttPacketBytesMax = 512 * 1024;
/** Records in one signed batch: one signature covers them (0.05 ms instead of 256 x 0.05 ms). */
export const batchRecordsMax = 256;
/** Bytes in one batch, below mqttPacketBytesMax after base64 (x 4/3) and the envelope. */
export const batchBytesMax = 320 * 1024;
/** Batches in flight without an application ack; more would only queue in the broker. */
export const batchesUnackedMax = 8;
/** Signatures on one envelope: keys of one role, never more. */
export const signaturesMax = 16;
/** Candidates of one decision: permits x resolved targets. More is a policy set nobody can review. */
export const candidatesMax = 32;
/** A timestamp further ahead than this is a broken clock, not a detection. */
export const futureSkewSecondsMax = 300;
/** Before this no SIEM wrote ISO timestamps with offsets; epoch-0 and 1970 artefacts fall here. */
export const timestampMsMin = Date.UTC(2000, 0, 1);
/** What a person orders is meant for now; a copy that was held back this long is refused. */
export const orderSecondsMax = 600;
/** All extensions of a lease together end this long after its policy would have ended it, whoever signs them. */
export const extensionSecondsMax = 24 * 3600;
/** One site class per agent certificate; segments are `[a-z0-9_-]{1,48}` (RabbitMQ maps "/" to ".", so no dots). */
export const segmentLengthMax = 48;
