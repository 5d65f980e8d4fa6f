/**
 * The state of the network service, which all kernels share, in one place. Any kernel runs the service on it.
 *
 * A *socket* is a number of the pool `sockets`; 0 is none. Addresses are IPv4 addresses as 32-bit numbers, the first
 * part in the highest byte (127.0.0.1 is 0x7f000001); 0 is "any". Port 0 is "none".
 */
import {
  type Area,
  array,
  atomic,
  f64,
  lock,
  type Pool,
  struct,
  type TypedMemory,
  u8,
  u16,
  u32,
} from "../../memory/index.ts";

export const networkLimits = { sockets: 1024, portBuckets: 256 } as const;

/** Which directions of a socket were shut down: bits of `shut`, numbered as WASI's `sdflags`. */
export const shutdownFlag = { receive: 1, send: 2 } as const;

/**
 * A datagram socket. Where it is bound, and its place in the port table, is guarded by the mutex of the
 * `NetworkBlock`; the rest by its own.
 */
export const Socket = struct("Socket", {
  mutex: lock(),
  /** Directions that were shut down: `shutdownFlag`. */
  shut: u8,
  /** Where it is bound; port 0 while it is not. */
  localPort: u16,
  localAddress: u32,
  /** Next socket in the same bucket of the port table. */
  nextInBucket: u32,
  /** The only place that it receives from, and that it sends to unless told otherwise; port 0 while there is none. */
  peerPort: u16,
  peerAddress: u32,
  /** The receive ring, see `receive-ring.ts`: bytes ever taken out and put in, both wrapping at 2^32. */
  head: u32,
  tail: u32,
  /** Absolute byte offset of the ring in the island's memory. */
  buffer: f64,
  /** Readers wait here. */
  receiveQueue: u32,
  /** Datagrams that arrived when there was no room. */
  dropped: u32,
});

/** What the sockets share: exactly one record. */
export const NetworkBlock = struct("NetworkBlock", {
  /** Guards the port table, and where every socket is bound. Taken before the mutex of a socket. */
  mutex: lock(),
  /** First socket of each bucket: those whose port modulo the number of buckets is the bucket's number. */
  buckets: array(u32, networkLimits.portBuckets),
  /** The ephemeral port to try next. */
  nextPort: u32,
  /** Senders wait here for the network controller. */
  transmitQueue: u32,
  /** 1 while the controller takes no frames. */
  transmitFull: atomic(u32),
  /** Counters for people. */
  delivered: atomic(u32),
  /** Datagrams that nobody received: no socket, one that listens to somebody else, or one without room. */
  discarded: atomic(u32),
  /** Frames that were no datagrams, or damaged. */
  malformed: atomic(u32),
});

export interface NetworkAreas {
  readonly sockets: Pool<typeof Socket.fields>;
  readonly network: Area<typeof NetworkBlock.fields>;
}

/** Creates the service's areas; done once, by the kernel that boots first. */
export function createNetworkAreas(memory: TypedMemory): NetworkAreas {
  return {
    sockets: memory.createPool("sockets", Socket, { count: networkLimits.sockets }),
    network: memory.create("network", NetworkBlock, { count: 1 }),
  };
}

export function attachNetworkAreas(memory: TypedMemory): NetworkAreas {
  return {
    sockets: memory.attachPool("sockets", Socket),
    network: memory.attachArea("network", NetworkBlock),
  };
}
