import { createGrpcCalls } from "@reflex/edge-agent/adapters/outbound-grpc";
import { readProtos } from "@reflex/edge-agent/connectors/grpc/proto-set";
import type { FarEndCounts } from "../fixtures/far-end.ts";
import { protoIn } from "./grpc-server.ts";

/** What the far end over gRPC counted so far, whoever asked it to act. */
export const readGrpcCounts = async (port: number): Promise<FarEndCounts> => {
  const protos = readProtos([protoIn("far-end.yaml")]);
  const method = protos.ok ? protos.value.method("farend.v1.Enforcement/Counts") : protos;
  if (!method.ok) throw new Error(method.error.detail);
  const calls = createGrpcCalls({ host: "127.0.0.1", port, isPlain: true });
  try {
    const answer = await calls.call({
      method: method.value,
      message: {},
      deadlineMs: 4_000,
      messagesMax: 1,
      bytesMax: 16 << 20,
    });
    if (!answer.ok) throw new Error(answer.error.detail);
    return JSON.parse(String(answer.value.messages[0]?.["json"])) as FarEndCounts;
  } finally {
    calls.close();
  }
};
