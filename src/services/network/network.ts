/**
 * UDP sockets. All state is shared (`state.ts`), and any kernel runs the service on it: a socket that was opened on
 * one kernel is read on another, and a datagram goes straight from the sender's memory into the receiving socket's
 * ring, whichever kernels the two are on.
 *
 * Nothing here sleeps. What would have to wait gives −AGAIN, with `receiveQueue` and `transmitQueue` to wait on.
 * Datagrams that find no room are dropped, as UDP may; what is delivered is whole. A datagram for a port that nobody
 * is bound to vanishes: senders are not told.
 *
 * Lock order: the mutex of the `NetworkBlock`, then that of one socket. Neither is held while anybody is woken.
 */
import { errno } from "../../kernel/errno.ts";
import type { WaitQueue } from "../../kernel/state.ts";
import type { WaitService } from "../../kernel/wait.ts";
import type { Pool } from "../../memory/index.ts";
import type { PageSource } from "../pipe/pipes.ts";
import { anyAddress, isLocal, loopbackAddress, sourceFor } from "./address.ts";
import { type Datagram, emptyDatagram } from "./datagram.ts";
import { ControllerInterface, type Interface, SoftwareLoopback } from "./interface.ts";
import type { NetworkParts } from "./parts.ts";
import { PortTable } from "./ports.ts";
import { type Received, ReceiveRings, ringOrder } from "./receive-ring.ts";
import { attachNetworkAreas, createNetworkAreas, type NetworkAreas, shutdownFlag } from "./state.ts";

const bothDirections = shutdownFlag.receive | shutdownFlag.send;
const lastPort = 65_535;

/** An address and a port. */
export interface Endpoint {
  address: number;
  port: number;
}

export class NetworkService {
  private readonly pool: NetworkAreas["sockets"];
  private readonly sockets: NetworkAreas["sockets"]["records"];
  private readonly network: NetworkAreas["network"];
  private readonly queues: Pool<typeof WaitQueue.fields>;
  private readonly pages: PageSource;
  private readonly waits: WaitService;
  private readonly owner: number;
  private readonly ports: PortTable;
  private readonly rings: ReceiveRings;
  private readonly carrier: Interface;
  private readonly sending = emptyDatagram();

  private constructor(parts: NetworkParts, areas: NetworkAreas) {
    const { memory, ram, waits, hardware } = parts;
    this.pool = areas.sockets;
    this.sockets = areas.sockets.records;
    this.network = areas.network;
    this.queues = parts.waitQueues;
    this.pages = parts.pages;
    this.waits = waits;
    this.owner = parts.owner;
    this.ports = new PortTable(areas);
    this.rings = new ReceiveRings(memory, this.sockets, ram);
    const deliver = (datagram: Datagram) => this.deliver(datagram);
    this.carrier =
      hardware === null
        ? new SoftwareLoopback(deliver)
        : new ControllerInterface(hardware, areas.network, waits, deliver);
  }

  /**
   * Makes the service's shared state; done once, by the kernel that boots first.
   * @throws Error when there is no wait queue left.
   */
  static create(parts: NetworkParts): NetworkService {
    const areas = createNetworkAreas(parts.memory);
    const queue = parts.waitQueues.allocate(parts.owner);
    if (queue < 0) throw new Error("no wait queue for the network");
    areas.network.setTransmitQueue(0, queue);
    return new NetworkService(parts, areas);
  }

  static attach(parts: NetworkParts): NetworkService {
    return new NetworkService(parts, attachNetworkAreas(parts.memory));
  }

  // Life of a socket.

  /** A socket that is bound to nothing; −NFILE, −NOBUFS. */
  open(): number {
    const socket = this.pool.allocate(this.owner);
    if (socket < 0) return -errno.NFILE;
    const { sockets } = this;
    // The record may hold what its last user left: a port, above all, that is another's by now.
    sockets.setLocalPort(socket, 0);
    const queue = this.queues.allocate(this.owner);
    const buffer = queue < 0 ? -1 : this.pages.allocate(ringOrder);
    if (buffer < 0) {
      if (queue >= 0) this.queues.free(queue, this.owner);
      this.pool.free(socket, this.owner);
      return queue < 0 ? -errno.NFILE : -errno.NOBUFS;
    }
    sockets.setShut(socket, 0);
    sockets.setPeerPort(socket, 0);
    sockets.setDropped(socket, 0);
    sockets.setReceiveQueue(socket, queue);
    this.rings.start(socket, buffer);
    return socket;
  }

  close(socket: number): void {
    const { sockets, owner } = this;
    this.lockTable();
    this.ports.remove(socket);
    this.unlockTable();
    // From here on nobody finds it; who has found it before holds its mutex until the datagram is in.
    sockets.acquireMutex(socket, owner);
    const buffer = sockets.buffer(socket);
    const queue = sockets.receiveQueue(socket);
    sockets.releaseMutex(socket, owner);
    this.pages.free(buffer, ringOrder);
    this.pool.free(socket, owner);
    // Whoever still waits sees that its descriptor is gone.
    this.waits.wake(queue);
    this.queues.free(queue, owner);
  }

  /** Sockets there are. */
  used(): number {
    return this.pool.used();
  }

  // Addresses.

  /**
   * Binds a socket; port 0 is any port that is free. −INVAL: it is bound already; −ADDRNOTAVAIL: the address is not
   * this system's; −ADDRINUSE.
   */
  bind(socket: number, address: number, port: number): number {
    if (address !== anyAddress && !isLocal(address)) return -errno.ADDRNOTAVAIL;
    this.lockTable();
    const result = this.sockets.localPort(socket) === 0 ? this.enter(socket, address, port) : -errno.INVAL;
    this.unlockTable();
    return result;
  }

  /** Binds a socket that is bound to nothing to a port of its own. */
  private bindSomewhere(socket: number): number {
    if (this.sockets.localPort(socket) !== 0) return 0;
    const result = this.bind(socket, anyAddress, 0);
    // Another process that shares the socket was faster.
    return result === -errno.INVAL ? 0 : result;
  }

  private enter(socket: number, address: number, wantedPort: number): number {
    const port = wantedPort === 0 ? this.ports.freePort(address) : wantedPort;
    if (port === 0 || (wantedPort !== 0 && this.ports.isTaken(address, port))) return -errno.ADDRINUSE;
    this.ports.insert(socket, address, port);
    return 0;
  }

  /**
   * Makes an address and a port the only ones that a socket receives from, and the ones that it sends to unless told
   * otherwise. −NETUNREACH for an address that is not this system's.
   */
  connect(socket: number, address: number, port: number): number {
    const target = address === anyAddress ? loopbackAddress : address;
    if (port <= 0 || port > lastPort) return -errno.INVAL;
    if (!isLocal(target)) return -errno.NETUNREACH;
    const bound = this.bindSomewhere(socket);
    if (bound < 0) return bound;
    this.setPeer(socket, target, port);
    return 0;
  }

  /** It receives from everybody again. */
  disconnect(socket: number): void {
    this.setPeer(socket, anyAddress, 0);
  }

  private setPeer(socket: number, address: number, port: number): void {
    const { sockets, owner } = this;
    sockets.acquireMutex(socket, owner);
    sockets.setPeerAddress(socket, address);
    sockets.setPeerPort(socket, port);
    sockets.releaseMutex(socket, owner);
  }

  /** Where a socket is bound: address and port 0 when it is not. */
  localEndpoint(socket: number, into: Endpoint): void {
    const { sockets } = this;
    this.lockTable();
    into.port = sockets.localPort(socket);
    into.address = into.port === 0 ? anyAddress : sockets.localAddress(socket);
    this.unlockTable();
    if (into.port !== 0 && into.address === anyAddress && sockets.peerPort(socket) !== 0) {
      into.address = sourceFor(sockets.peerAddress(socket));
    }
  }

  /** What a socket is connected to; −NOTCONN. */
  peerEndpoint(socket: number, into: Endpoint): number {
    const { sockets, owner } = this;
    sockets.acquireMutex(socket, owner);
    into.port = sockets.peerPort(socket);
    into.address = sockets.peerAddress(socket);
    sockets.releaseMutex(socket, owner);
    return into.port === 0 ? -errno.NOTCONN : 0;
  }

  isBound(socket: number): boolean {
    return this.sockets.localPort(socket) !== 0;
  }

  /** Ends one or both directions, `shutdownFlag`. −NOTCONN, as in POSIX, for a socket that is not connected. */
  shutdown(socket: number, directions: number): number {
    if (directions === 0 || (directions & ~bothDirections) !== 0) return -errno.INVAL;
    const { sockets, owner } = this;
    sockets.acquireMutex(socket, owner);
    const connected = sockets.peerPort(socket) !== 0;
    if (connected) sockets.setShut(socket, sockets.shut(socket) | directions);
    sockets.releaseMutex(socket, owner);
    if (!connected) return -errno.NOTCONN;
    this.waits.wake(sockets.receiveQueue(socket));
    return 0;
  }

  // Data.

  /**
   * Sends a datagram to an address and a port, or with port 0 to where the socket is connected. Bytes sent, which is
   * all of them; −DESTADDRREQ when it is not connected, −MSGSIZE, −NETUNREACH, −PIPE after a shutdown, −AGAIN.
   */
  send(
    socket: number,
    source: Uint8Array,
    offset: number,
    length: number,
    address: number,
    port: number,
  ): number {
    const { sockets, owner, sending } = this;
    sockets.acquireMutex(socket, owner);
    const shut = sockets.shut(socket);
    const toPeer = port === 0;
    sending.destinationAddress = toPeer ? sockets.peerAddress(socket) : address || loopbackAddress;
    sending.destinationPort = toPeer ? sockets.peerPort(socket) : port;
    sockets.releaseMutex(socket, owner);
    if ((shut & shutdownFlag.send) !== 0) return -errno.PIPE;
    if (sending.destinationPort === 0) return -errno.DESTADDRREQ;
    if (!isLocal(sending.destinationAddress)) return -errno.NETUNREACH;
    if (length > this.carrier.payload_bytes_max) return -errno.MSGSIZE;
    const bound = this.bindSomewhere(socket);
    if (bound < 0) return bound;
    sending.sourceAddress = sockets.localAddress(socket) || sourceFor(sending.destinationAddress);
    sending.sourcePort = sockets.localPort(socket);
    sending.bytes = source;
    sending.offset = offset;
    sending.length = length;
    const result = this.carrier.send(sending);
    return result < 0 ? result : length;
  }

  /**
   * Takes the next datagram, or with `keeps` only looks at it. What does not fit into `length` bytes is lost.
   * Bytes stored; 0 after a shutdown, with port 0; −AGAIN while there is none.
   */
  receive(
    socket: number,
    target: Uint8Array,
    offset: number,
    length: number,
    into: Received,
    keeps = false,
  ): number {
    const { sockets, rings, owner } = this;
    sockets.acquireMutex(socket, owner);
    if (rings.isEmpty(socket)) {
      const ended = (sockets.shut(socket) & shutdownFlag.receive) !== 0;
      sockets.releaseMutex(socket, owner);
      into.address = anyAddress;
      into.port = 0;
      into.length = 0;
      return ended ? 0 : -errno.AGAIN;
    }
    const count = rings.peek(socket, target, offset, length, into);
    if (!keeps) rings.drop(socket, into.length);
    sockets.releaseMutex(socket, owner);
    return count;
  }

  /** Bytes of the next datagram, 0 after a shutdown; −AGAIN when there is none. */
  pollReceive(socket: number): number {
    const { sockets, rings, owner } = this;
    sockets.acquireMutex(socket, owner);
    const isEmpty = rings.isEmpty(socket);
    const ended = (sockets.shut(socket) & shutdownFlag.receive) !== 0;
    const length = isEmpty ? 0 : rings.firstLength(socket);
    sockets.releaseMutex(socket, owner);
    return isEmpty && !ended ? -errno.AGAIN : length;
  }

  /** The largest payload that can be sent at once; 0 after a shutdown; −AGAIN while nothing can be sent. */
  pollSend(socket: number): number {
    if ((this.sockets.shut(socket) & shutdownFlag.send) !== 0) return 0;
    return this.carrier.isReady() ? this.carrier.payload_bytes_max : -errno.AGAIN;
  }

  receiveQueue(socket: number): number {
    return this.sockets.receiveQueue(socket);
  }

  /** Queue to wait on after a send gave −AGAIN. */
  get transmitQueue(): number {
    return this.carrier.transmitQueue;
  }

  /** Both directions were shut down. */
  isShut(socket: number): boolean {
    return (this.sockets.shut(socket) & bothDirections) === bothDirections;
  }

  /** Takes what the network controller has received. For the kernel's interrupt service, not for interrupt level. */
  interrupt(): void {
    this.carrier.interrupt();
  }

  private deliver(datagram: Datagram): void {
    const { sockets, owner, network } = this;
    // What a controller has received may be meant for somebody else; sockets of any address are not asked.
    if (!isLocal(datagram.destinationAddress)) {
      network.addDiscarded(0, 1);
      return;
    }
    this.lockTable();
    const socket = this.ports.find(datagram.destinationAddress, datagram.destinationPort);
    if (socket === 0) {
      this.unlockTable();
      network.addDiscarded(0, 1);
      return;
    }
    sockets.acquireMutex(socket, owner);
    this.unlockTable();
    const queue = sockets.receiveQueue(socket);
    const delivered = this.accepts(socket, datagram) && this.store(socket, datagram);
    sockets.releaseMutex(socket, owner);
    if (!delivered) {
      network.addDiscarded(0, 1);
      return;
    }
    network.addDelivered(0, 1);
    this.waits.wake(queue);
  }

  private accepts(socket: number, { sourceAddress, sourcePort }: Datagram): boolean {
    const { sockets } = this;
    if ((sockets.shut(socket) & shutdownFlag.receive) !== 0) return false;
    const peerPort = sockets.peerPort(socket);
    return peerPort === 0 || (peerPort === sourcePort && sockets.peerAddress(socket) === sourceAddress);
  }

  private store(socket: number, datagram: Datagram): boolean {
    if (this.rings.put(socket, datagram)) return true;
    this.sockets.setDropped(socket, this.sockets.dropped(socket) + 1);
    return false;
  }

  /** Datagrams delivered and not, and frames that made no sense, since the system was booted. */
  statistics(): { delivered: number; discarded: number; malformed: number } {
    const { network } = this;
    return {
      delivered: network.delivered(0),
      discarded: network.discarded(0),
      malformed: network.malformed(0),
    };
  }

  /**
   * Cleans up behind a core that died: frees its locks, and wakes everybody whom it may have been about to wake.
   * Datagrams that it was moving are lost. A socket that it was making or taking apart is lost, but not its port.
   */
  recover(deadOwner: number): void {
    const { sockets, network } = this;
    this.pool.recover(deadOwner);
    if (network.ownerOfMutex(0) === deadOwner) {
      this.ports.rebuild();
      network.releaseMutex(0, deadOwner);
    }
    network.setTransmitFull(0, 0);
    this.waits.wake(network.transmitQueue(0));
    for (let socket = 1; socket <= this.pool.capacity; socket++) {
      if (sockets.ownerOfMutex(socket) === deadOwner) sockets.releaseMutex(socket, deadOwner);
      if (this.pool.ownerOf(socket) !== 0) this.waits.wake(sockets.receiveQueue(socket));
    }
  }

  private lockTable(): void {
    this.network.acquireMutex(0, this.owner);
  }

  private unlockTable(): void {
    this.network.releaseMutex(0, this.owner);
  }
}
