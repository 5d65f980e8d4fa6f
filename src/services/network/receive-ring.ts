/**
 * The datagrams that have arrived at a socket and were not read yet: a ring of bytes in island pages. Each datagram
 * is a header and its payload, and takes a whole number of units, so that a header never wraps around the ring's end.
 *
 * Everything here is called with the socket's mutex held.
 */
import type { Ram } from "../../machine/ram.ts";
import {
  type Accessor,
  layoutOf,
  overlay,
  type Pool,
  struct,
  type TypedMemory,
  u32,
} from "../../memory/index.ts";
import { page_bytes } from "../pages/index.ts";
import { type Datagram, payload_bytes_max } from "./datagram.ts";
import type { Socket } from "./state.ts";

const DatagramHeader = struct("DatagramHeader", {
  length: u32,
  sourceAddress: u32,
  sourcePort: u32,
  /** Makes a header one unit long. */
  unused: u32,
});

const format = "lp64";
const unit_bytes = layoutOf(DatagramHeader, format).size;

/** Pages of a ring: 2 to this power. */
export const ringOrder = 4;
export const ring_bytes = page_bytes << ringOrder;
if (slotFor(payload_bytes_max) > ring_bytes) throw new Error("the largest datagram does not fit into a ring");

/** Bytes of a ring that a payload takes. */
export function slotFor(length: number): number {
  return unit_bytes + Math.ceil(length / unit_bytes) * unit_bytes;
}

/** A datagram that was read. */
export interface Received {
  address: number;
  port: number;
  /** Bytes that it had, be it that fewer were asked for. */
  length: number;
}

export class ReceiveRings {
  private readonly sockets: Pool<typeof Socket.fields>["records"];
  private readonly ram: Ram;
  private readonly headers: Accessor<typeof DatagramHeader.fields>;

  constructor(memory: TypedMemory, sockets: Pool<typeof Socket.fields>["records"], ram: Ram) {
    this.sockets = sockets;
    this.ram = ram;
    this.headers = overlay(DatagramHeader, memory.buffer, {
      format,
      addressing: "address",
      guard: memory.guard,
    });
  }

  /** Makes a socket's ring empty, in pages that the caller has allocated. */
  start(socket: number, buffer: number): void {
    this.sockets.setBuffer(socket, buffer);
    this.sockets.setHead(socket, 0);
    this.sockets.setTail(socket, 0);
  }

  /** Appends a datagram, whole; false when there is no room. */
  put(socket: number, datagram: Datagram): boolean {
    const { sockets, headers } = this;
    const { length } = datagram;
    const tail = sockets.tail(socket);
    const slot_bytes = slotFor(length);
    if (((tail - sockets.head(socket)) >>> 0) + slot_bytes > ring_bytes) return false;
    const buffer = sockets.buffer(socket);
    const header = buffer + (tail & (ring_bytes - 1));
    headers.setLength(header, length);
    headers.setSourceAddress(header, datagram.sourceAddress);
    headers.setSourcePort(header, datagram.sourcePort);
    const start = (tail + unit_bytes) & (ring_bytes - 1);
    const untilWrap = Math.min(length, ring_bytes - start);
    this.ram.copyIn(datagram.bytes, datagram.offset, untilWrap, buffer + start);
    if (untilWrap < length) {
      this.ram.copyIn(datagram.bytes, datagram.offset + untilWrap, length - untilWrap, buffer);
    }
    // Last of all: until now the datagram is not there, should this core die.
    sockets.setTail(socket, (tail + slot_bytes) >>> 0);
    return true;
  }

  isEmpty(socket: number): boolean {
    return this.sockets.head(socket) === this.sockets.tail(socket);
  }

  /** Bytes of the first datagram. There must be one. */
  firstLength(socket: number): number {
    return this.headers.length(this.firstHeader(socket));
  }

  /**
   * Copies the first datagram out, or as much of it as was asked for, and says where it came from. There must be one.
   * @returns bytes copied.
   */
  peek(socket: number, target: Uint8Array, offset: number, length: number, into: Received): number {
    const { sockets, headers } = this;
    const header = this.firstHeader(socket);
    into.length = headers.length(header);
    into.address = headers.sourceAddress(header);
    into.port = headers.sourcePort(header);
    const count = Math.min(length, into.length);
    const buffer = sockets.buffer(socket);
    const start = (sockets.head(socket) + unit_bytes) & (ring_bytes - 1);
    const untilWrap = Math.min(count, ring_bytes - start);
    this.ram.copyOut(buffer + start, untilWrap, target, offset);
    if (untilWrap < count) this.ram.copyOut(buffer, count - untilWrap, target, offset + untilWrap);
    return count;
  }

  /** Removes the first datagram, which had `length` bytes. */
  drop(socket: number, length: number): void {
    this.sockets.setHead(socket, (this.sockets.head(socket) + slotFor(length)) >>> 0);
  }

  private firstHeader(socket: number): number {
    return this.sockets.buffer(socket) + (this.sockets.head(socket) & (ring_bytes - 1));
  }
}
