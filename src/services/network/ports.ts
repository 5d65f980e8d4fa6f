/**
 * The port table: which socket is bound to an address and a port. A hash table over the sockets, chained through
 * their records.
 *
 * Everything here is called with the mutex of the `NetworkBlock` held, except `rebuild`. Chains are changed by one
 * store each, so that a kernel that dies in between leaves whole ones.
 */
import { anyAddress } from "./address.ts";
import { type NetworkAreas, networkLimits } from "./state.ts";

/** Ports for sockets that ask for none: those which IANA leaves for that. */
const firstEphemeral = 49_152;
const portCount = 65_536;
const ephemeralCount = portCount - firstEphemeral;

export class PortTable {
  private readonly sockets: NetworkAreas["sockets"]["records"];
  private readonly pool: NetworkAreas["sockets"];
  private readonly network: NetworkAreas["network"];

  constructor({ sockets, network }: NetworkAreas) {
    this.pool = sockets;
    this.sockets = sockets.records;
    this.network = network;
  }

  /** Enters a socket that is not bound. */
  insert(socket: number, address: number, port: number): void {
    const { sockets, network } = this;
    const bucket = port % networkLimits.portBuckets;
    sockets.setLocalAddress(socket, address);
    sockets.setLocalPort(socket, port);
    sockets.setNextInBucket(socket, network.buckets(0, bucket));
    network.setBuckets(0, bucket, socket);
  }

  /** Takes a socket out; one that is not bound is left alone. */
  remove(socket: number): void {
    const { sockets, network } = this;
    const port = sockets.localPort(socket);
    if (port === 0) return;
    const bucket = port % networkLimits.portBuckets;
    const next = sockets.nextInBucket(socket);
    // First of all, so that `rebuild` does not bring it back.
    sockets.setLocalPort(socket, 0);
    let before = network.buckets(0, bucket);
    if (before === socket) network.setBuckets(0, bucket, next);
    else {
      while (before !== 0 && sockets.nextInBucket(before) !== socket) before = sockets.nextInBucket(before);
      if (before !== 0) sockets.setNextInBucket(before, next);
    }
  }

  /** Whether binding to an address and a port would get in the way of a socket that is bound. */
  isTaken(address: number, port: number): boolean {
    const { sockets } = this;
    for (let socket = this.first(port); socket !== 0; socket = sockets.nextInBucket(socket)) {
      if (sockets.localPort(socket) !== port) continue;
      const other = sockets.localAddress(socket);
      if (other === address || other === anyAddress || address === anyAddress) return true;
    }
    return false;
  }

  /** The socket that datagrams for an address and a port go to, or 0. */
  find(address: number, port: number): number {
    const { sockets } = this;
    for (let socket = this.first(port); socket !== 0; socket = sockets.nextInBucket(socket)) {
      if (sockets.localPort(socket) !== port) continue;
      const bound = sockets.localAddress(socket);
      if (bound === address || bound === anyAddress) return socket;
    }
    return 0;
  }

  /** A port that nobody is bound to, or 0 when there is none left. */
  freePort(address: number): number {
    const { network } = this;
    const start = network.nextPort(0);
    for (let turn = 0; turn < ephemeralCount; turn++) {
      const port = firstEphemeral + ((start + turn) % ephemeralCount);
      if (this.isTaken(address, port)) continue;
      network.setNextPort(0, (start + turn + 1) % ephemeralCount);
      return port;
    }
    return 0;
  }

  /** Makes the chains anew from the sockets, after a kernel has died that was changing them. */
  rebuild(): void {
    const { sockets, network, pool } = this;
    for (let bucket = 0; bucket < networkLimits.portBuckets; bucket++) network.setBuckets(0, bucket, 0);
    for (let socket = 1; socket <= pool.capacity; socket++) {
      const port = pool.ownerOf(socket) === 0 ? 0 : sockets.localPort(socket);
      if (port !== 0) this.insert(socket, sockets.localAddress(socket), port);
    }
  }

  private first(port: number): number {
    return this.network.buckets(0, port % networkLimits.portBuckets);
  }
}
