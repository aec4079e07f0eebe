import { type AddressInfo, connect, createServer, type Socket } from "node:net";

/** Passes bytes on, TLS or not, and can break what passes: far ends that own their sockets cannot be cut off from inside. */
export type CuttableProxy = {
  readonly port: number;
  /** Where new connections go. */
  readonly leadTo: (port: number) => void;
  readonly cut: () => void;
  readonly close: () => Promise<void>;
};

export const startCuttableProxy = async (firstPort: number): Promise<CuttableProxy> => {
  const sockets = new Set<Socket>();
  let port = firstPort;
  const keep = (socket: Socket): void => {
    sockets.add(socket);
    socket.on("error", () => {});
    socket.on("close", () => sockets.delete(socket));
  };
  const server = createServer((near) => {
    const far = connect(port, "127.0.0.1");
    keep(near);
    keep(far);
    near.pipe(far).pipe(near);
    near.on("close", () => far.destroy());
    far.on("close", () => near.destroy());
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const cut = (): void => {
    for (const socket of [...sockets]) socket.destroy();
  };
  return {
    port: (server.address() as AddressInfo).port,
    leadTo: (next) => {
      port = next;
    },
    cut,
    close: async () => {
      cut();
      await new Promise<void>((resolve) => server.close(() => resolve()));
    },
  };
};
