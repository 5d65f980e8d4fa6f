/**
 * UDP sockets in WASIX: `sock_open`, `sock_bind`, `sock_connect`, `sock_send_to`, `sock_recv_from`, and what a socket's
 * addresses and status are. In C:
 *
 *     __attribute__((import_module("wasix_32v1"), import_name("sock_open")))
 *     int sock_open(int family, int type, int protocol, int *fd);
 *
 * A socket is a descriptor like others: `fd_close`, `fd_read`, `fd_write`, `fd_fdstat_set_flags` and `poll_oneoff`
 * work on it. There are no streams and no IPv6. WASI's rights have no bits for binding and connecting, so every
 * descriptor of a socket may.
 */
import { errno } from "../kernel/errno.ts";
import { fileType } from "../services/fs/filesystem.ts";
import { type Caller, errnoOf } from "./caller.ts";
import { type WasiFunction, wasiFunctions } from "./functions.ts";
import { applicableInheriting, applicableRights } from "./rights.ts";
import type { SocketEndpoint } from "./services.ts";
import {
  familyAt,
  ipv4At,
  lookupSocket,
  putEndpoint,
  socketAccept,
  socketAddressSize,
  socketReceive,
  socketSend,
} from "./socket.ts";
import { addressFamily, socketProtocol, socketStatus, socketType } from "./structs.ts";

const lastProtocol = 0xffff;

/** `sock_open`: a datagram socket of IPv4, bound to nothing. */
function openSocket(
  caller: Caller,
  family: number,
  type: number,
  protocol: number,
  resultAddress: number,
): number {
  const { memory, files } = caller;
  const { slot } = caller.process;
  const result = resultAddress >>> 0;
  memory.refresh();
  if (!memory.holdsWord(result)) return errno.FAULT;
  if (family !== addressFamily.inet4 || files.sockets === undefined) return errno.AFNOSUPPORT;
  if (type !== socketType.datagram) return errno.NOTSUP;
  if (protocol < 0 || protocol > lastProtocol) return errno.INVAL;
  if (protocol !== socketProtocol.udp && protocol !== socketProtocol.ip) return errno.PROTONOSUPPORT;
  const file = files.sockets.open();
  if (file < 0) return -file;
  const rights = applicableRights(fileType.socketDatagram, false);
  const fd = files.install(slot, file, rights, applicableInheriting(fileType.socketDatagram));
  if (fd < 0) {
    files.release(file);
    return -fd;
  }
  memory.words.setValue(result, fd);
  return errno.SUCCESS;
}

/** `sock_bind` */
function bindSocket(caller: Caller, fd: number, addressAt: number): number {
  const at = addressAt >>> 0;
  caller.memory.refresh();
  const file = lookupSocket(caller, fd, 0);
  if (file < 0) return -file;
  const family = familyAt(caller, at);
  if (family < 0) return -family;
  if (family !== addressFamily.inet4) return errno.AFNOSUPPORT;
  const port = caller.memory.socketAddresses.port(at);
  return errnoOf(caller.files.sockets?.bind(file, ipv4At(caller, at), port) ?? -errno.NOTSOCK);
}

/** `sock_connect`; without a family it takes the connection back. */
function connectSocket(caller: Caller, fd: number, addressAt: number): number {
  const at = addressAt >>> 0;
  const { sockets } = caller.files;
  caller.memory.refresh();
  const file = lookupSocket(caller, fd, 0);
  if (file < 0 || sockets === undefined) return -file;
  const family = familyAt(caller, at);
  if (family < 0) return -family;
  if (family === addressFamily.unspecified) return errnoOf(sockets.disconnect(file));
  const port = caller.memory.socketAddresses.port(at);
  return errnoOf(sockets.connect(file, ipv4At(caller, at), port));
}

/** `sock_addr_local` and `sock_addr_peer` */
function socketEndpoint(caller: Caller, fd: number, resultAddress: number, which: "local" | "peer"): number {
  const result = resultAddress >>> 0;
  const { sockets } = caller.files;
  caller.memory.refresh();
  const file = lookupSocket(caller, fd, 0);
  if (file < 0 || sockets === undefined) return -file;
  if (!caller.memory.holds(result, socketAddressSize)) return errno.FAULT;
  const endpoint: SocketEndpoint = { address: 0, port: 0 };
  const found =
    which === "local" ? sockets.localEndpoint(file, endpoint) : sockets.peerEndpoint(file, endpoint);
  if (found < 0) return -found;
  putEndpoint(caller, result, endpoint.address, endpoint.port);
  return errno.SUCCESS;
}

/** `sock_status`: "opening" until it is bound. */
function statusOf(caller: Caller, fd: number, resultAddress: number): number {
  const result = resultAddress >>> 0;
  const { memory, files } = caller;
  memory.refresh();
  const file = lookupSocket(caller, fd, 0);
  if (file < 0 || files.sockets === undefined) return -file;
  if (!memory.holds(result, 1)) return errno.FAULT;
  memory.bytes[result] = files.sockets.isBound(file) ? socketStatus.opened : socketStatus.opening;
  return errno.SUCCESS;
}

export const socketFunctions: Readonly<Record<string, WasiFunction>> = {
  sock_open: {
    parameters: "iiii",
    make: (c) => (family: number, type: number, protocol: number, result: number) =>
      openSocket(c.caller, family, type, protocol, result),
  },
  sock_bind: {
    parameters: "ii",
    make: (c) => (fd: number, address: number) => bindSocket(c.caller, fd, address),
  },
  sock_connect: {
    parameters: "ii",
    make: (c) => (fd: number, address: number) => connectSocket(c.caller, fd, address),
  },
  sock_send_to: {
    parameters: "iiiiii",
    make: (c) => (fd: number, vectors: number, count: number, flags: number, address: number, size: number) =>
      socketSend(c.caller, fd, vectors, count, flags, address >>> 0, size),
  },
  sock_recv_from: {
    parameters: "iiiiiii",
    make:
      (c) =>
      (
        fd: number,
        vectors: number,
        count: number,
        flags: number,
        size: number,
        outFlags: number,
        sender: number,
      ) =>
        socketReceive(c.caller, fd, vectors, count, flags, size, outFlags, sender >>> 0),
  },
  sock_addr_local: {
    parameters: "ii",
    make: (c) => (fd: number, result: number) => socketEndpoint(c.caller, fd, result, "local"),
  },
  sock_addr_peer: {
    parameters: "ii",
    make: (c) => (fd: number, result: number) => socketEndpoint(c.caller, fd, result, "peer"),
  },
  sock_status: {
    parameters: "ii",
    make: (c) => (fd: number, result: number) => statusOf(c.caller, fd, result),
  },
  // WASIX has WASI's own calls in its module too, `sock_accept` with a place for the peer's address.
  sock_accept: { parameters: "iiii", make: (c) => (fd: number) => socketAccept(c.caller, fd) },
  sock_recv: wasiFunctions.sock_recv,
  sock_send: wasiFunctions.sock_send,
  sock_shutdown: wasiFunctions.sock_shutdown,
};
