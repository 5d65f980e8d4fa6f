/**
 * Sockets as open files: what can be done with them besides reading, writing, waiting and closing. Results are those of
 * the network service, or −NOTSOCK for any other open file.
 */
import { errno } from "../../kernel/errno.ts";
import { openFileKind } from "../../kernel/state.ts";
import type { Endpoint, NetworkService } from "../network/network.ts";
import type { Received } from "../network/receive-ring.ts";
import type { OpenFiles } from "./open-files.ts";

export class SocketFiles {
  private readonly openFiles: OpenFiles;
  private readonly network: NetworkService;

  constructor(openFiles: OpenFiles, network: NetworkService) {
    this.openFiles = openFiles;
    this.network = network;
  }

  /** A new datagram socket as an open file with one reference. `flags` are WASI fdflags. */
  open(flags = 0): number {
    return this.openFiles.makeSocket(flags);
  }

  isSocket(file: number): boolean {
    return this.openFiles.kind(file) === openFileKind.socket;
  }

  bind(file: number, address: number, port: number): number {
    return this.isSocket(file) ? this.network.bind(this.number(file), address, port) : -errno.NOTSOCK;
  }

  connect(file: number, address: number, port: number): number {
    return this.isSocket(file) ? this.network.connect(this.number(file), address, port) : -errno.NOTSOCK;
  }

  disconnect(file: number): number {
    if (!this.isSocket(file)) return -errno.NOTSOCK;
    this.network.disconnect(this.number(file));
    return 0;
  }

  /** With port 0: to where the socket is connected. */
  send(
    file: number,
    source: Uint8Array,
    offset: number,
    length: number,
    address: number,
    port: number,
  ): number {
    if (!this.isSocket(file)) return -errno.NOTSOCK;
    if (!isInside(source, offset, length)) return -errno.FAULT;
    return this.network.send(this.number(file), source, offset, length, address, port);
  }

  /** With `keeps` the datagram stays the next one. */
  receive(
    file: number,
    target: Uint8Array,
    offset: number,
    length: number,
    into: Received,
    keeps: boolean,
  ): number {
    if (!this.isSocket(file)) return -errno.NOTSOCK;
    if (!isInside(target, offset, length)) return -errno.FAULT;
    return this.network.receive(this.number(file), target, offset, length, into, keeps);
  }

  shutdown(file: number, directions: number): number {
    return this.isSocket(file) ? this.network.shutdown(this.number(file), directions) : -errno.NOTSOCK;
  }

  localEndpoint(file: number, into: Endpoint): number {
    if (!this.isSocket(file)) return -errno.NOTSOCK;
    this.network.localEndpoint(this.number(file), into);
    return 0;
  }

  peerEndpoint(file: number, into: Endpoint): number {
    return this.isSocket(file) ? this.network.peerEndpoint(this.number(file), into) : -errno.NOTSOCK;
  }

  /** Whether a socket has a port, that is, can receive. */
  isBound(file: number): boolean {
    return this.network.isBound(this.number(file));
  }

  private number(file: number): number {
    return this.openFiles.records.object(file);
  }
}

/** As for other data: a bad buffer is found before any lock is taken. */
function isInside(buffer: Uint8Array, offset: number, length: number): boolean {
  return offset >= 0 && length >= 0 && offset + length <= buffer.length;
}
