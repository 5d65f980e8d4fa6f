/**
 * `sock_recv`, `sock_send`, `sock_shutdown`, `sock_accept`: what WASI itself has for sockets. How a program gets one is
 * in `wasix-sockets.ts`, which also has the calls that tell addresses.
 */
import { errno } from "../kernel/errno.ts";
import { layoutOf } from "../memory/index.ts";
import { type Caller, errnoOf } from "./caller.ts";
import { gatherLimit_bytes } from "./guest-memory.ts";
import { right } from "./rights.ts";
import type { ReceivedDatagram, SocketService } from "./services.ts";
import {
  addressFamily,
  allReceiveFlags,
  allSendFlags,
  descriptorFlag,
  guestFormat,
  ReceivedFlags,
  receivedFlag,
  receiveFlag,
  SocketAddress,
  sendFlag,
} from "./structs.ts";

export const socketAddressSize = layoutOf(SocketAddress, guestFormat).size;
const receivedFlagsSize = layoutOf(ReceivedFlags, guestFormat).size;

/** No address is wanted, or given. */
export const noAddress = -1;

/** The open file of a descriptor that is a socket with these rights, or −BADF, −NOTSOCK, −NOTCAPABLE. */
export function lookupSocket(caller: Caller, fd: number, rights: number): number {
  const file = caller.lookup(fd, 0);
  if (file < 0) return file;
  if (caller.files.sockets?.isSocket(file) !== true) return -errno.NOTSOCK;
  return caller.lookup(fd, rights);
}

/** `sock_accept`: datagram sockets, which are all there are, accept nothing. */
export function socketAccept(caller: Caller, fd: number): number {
  const file = lookupSocket(caller, fd, right.SOCK_ACCEPT);
  return file < 0 ? -file : errno.NOTSUP;
}

/** `sock_shutdown` */
export function socketShutdown(caller: Caller, fd: number, how: number): number {
  const file = lookupSocket(caller, fd, right.SOCK_SHUTDOWN);
  if (file < 0) return -file;
  return errnoOf(caller.files.sockets?.shutdown(file, how & 0xff) ?? -errno.NOTSOCK);
}

/** `sock_send` and, with an address, `sock_send_to`: the buffers make one datagram. */
export function socketSend(
  caller: Caller,
  fd: number,
  vectors: number,
  count: number,
  flags: number,
  targetAddress: number,
  sizeAddress: number,
): number {
  const { memory, files } = caller;
  const size = sizeAddress >>> 0;
  memory.refresh();
  caller.awake();
  const file = lookupSocket(caller, fd, right.FD_WRITE);
  if (file < 0) return -file;
  const { sockets } = files;
  if (sockets === undefined) return errno.NOTSOCK;
  if ((flags & ~allSendFlags) !== 0) return errno.INVAL;
  if (!memory.holdsWord(size)) return errno.FAULT;
  let port = 0;
  if (targetAddress !== noAddress) {
    const family = familyAt(caller, targetAddress);
    if (family < 0) return -family;
    if (family !== addressFamily.inet4) return errno.AFNOSUPPORT;
    port = memory.socketAddresses.port(targetAddress);
    if (port === 0) return errno.INVAL;
  }
  const address = port === 0 ? 0 : ipv4At(caller, targetAddress);
  const total = memory.readVectors(vectors >>> 0, count >>> 0);
  if (total < 0) return -total;
  if (total > gatherLimit_bytes) return errno.MSGSIZE;
  let sent = sendVectors(caller, sockets, file, total, address, port);
  if (sent === -errno.AGAIN) {
    if ((flags & sendFlag.doNotWait) !== 0 || isNonBlocking(caller, file)) return errno.AGAIN;
    const linked = caller.waitOn(files.writeQueue(file));
    sent = sendVectors(caller, sockets, file, total, address, port);
    if (sent === -errno.AGAIN) return caller.sleep(Infinity, linked);
    caller.awake();
  }
  if (sent < 0) return -sent;
  memory.words.setValue(size, sent);
  return errno.SUCCESS;
}

function sendVectors(
  { memory }: Caller,
  sockets: SocketService,
  file: number,
  total: number,
  address: number,
  port: number,
): number {
  if (memory.vectorCount > 1) return sockets.send(file, memory.gather(), 0, total, address, port);
  return sockets.send(file, memory.bytes, total === 0 ? 0 : memory.firstAddress, total, address, port);
}

/** `sock_recv` and, with a place for the sender's address, `sock_recv_from`: one datagram, over the buffers. */
export function socketReceive(
  caller: Caller,
  fd: number,
  vectors: number,
  count: number,
  flags: number,
  sizeAddress: number,
  flagsAddress: number,
  senderAddress: number,
): number {
  const { memory, files } = caller;
  const size = sizeAddress >>> 0;
  const outFlags = flagsAddress >>> 0;
  memory.refresh();
  caller.awake();
  const file = lookupSocket(caller, fd, right.FD_READ);
  if (file < 0) return -file;
  const { sockets } = files;
  if (sockets === undefined) return errno.NOTSOCK;
  if ((flags & ~allReceiveFlags) !== 0) return errno.INVAL;
  if (!memory.holdsWord(size) || !memory.holds(outFlags, receivedFlagsSize)) return errno.FAULT;
  if (senderAddress !== noAddress && !memory.holds(senderAddress, socketAddressSize)) return errno.FAULT;
  const total = memory.readVectors(vectors >>> 0, count >>> 0);
  if (total < 0) return -total;
  const keeps = (flags & receiveFlag.peek) !== 0;
  const from: ReceivedDatagram = { address: 0, port: 0, length: 0 };
  let got = receiveVectors(caller, sockets, file, total, from, keeps);
  if (got === -errno.AGAIN) {
    if ((flags & receiveFlag.doNotWait) !== 0 || isNonBlocking(caller, file)) return errno.AGAIN;
    const linked = caller.waitOn(files.readQueue(file));
    got = receiveVectors(caller, sockets, file, total, from, keeps);
    if (got === -errno.AGAIN) return caller.sleep(Infinity, linked);
    caller.awake();
  }
  if (got < 0) return -got;
  // With this flag the caller wants to know how long the datagram was, not how much of it there was room for.
  memory.words.setValue(size, (flags & receiveFlag.truncated) === 0 ? got : from.length);
  memory.receivedFlags.setValue(outFlags, got < from.length ? receivedFlag.truncated : 0);
  if (senderAddress !== noAddress) putEndpoint(caller, senderAddress, from.address, from.port);
  return errno.SUCCESS;
}

function receiveVectors(
  { memory }: Caller,
  sockets: SocketService,
  file: number,
  total: number,
  from: ReceivedDatagram,
  keeps: boolean,
): number {
  if (memory.vectorCount <= 1) {
    return sockets.receive(file, memory.bytes, total === 0 ? 0 : memory.firstAddress, total, from, keeps);
  }
  const got = sockets.receive(file, memory.scratch(), 0, Math.min(total, gatherLimit_bytes), from, keeps);
  if (got > 0) memory.scatter(got);
  return got;
}

function isNonBlocking({ files }: Caller, file: number): boolean {
  return (files.flags(file) & descriptorFlag.nonblock) !== 0;
}

// Addresses in the program's memory.

/** The family of the address at a place: `addressFamily`, or −FAULT, −AFNOSUPPORT, −INVAL. */
export function familyAt({ memory }: Caller, address: number): number {
  if (!memory.holds(address, socketAddressSize)) return -errno.FAULT;
  const family = memory.socketAddresses.tag(address);
  if (family === addressFamily.inet6 || family === addressFamily.unix) return -errno.AFNOSUPPORT;
  return family <= addressFamily.inet4 ? family : -errno.INVAL;
}

/** The IPv4 address at a place that was checked. */
export function ipv4At({ memory: { socketAddresses } }: Caller, address: number): number {
  let value = 0;
  for (let part = 0; part < 4; part++) value = value * 256 + socketAddresses.address(address, part);
  return value;
}

/** Writes an IPv4 address and port to a place that was checked. */
export function putEndpoint(
  { memory: { socketAddresses } }: Caller,
  at: number,
  address: number,
  port: number,
): void {
  socketAddresses.clear(at);
  socketAddresses.setTag(at, addressFamily.inet4);
  socketAddresses.setPort(at, port);
  for (let part = 0; part < 4; part++) {
    socketAddresses.setAddress(at, part, (address >>> (24 - 8 * part)) & 255);
  }
}
