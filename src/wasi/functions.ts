/**
 * The table of all WASI functions: what each one's type is and how its import function is made.
 *
 * Import functions are plain JavaScript functions. 64-bit arguments arrive as two halves, the lower one first
 * (`engine/passes/calls.ts` sees to it: BigInts would cost 12 ns each), and are turned into numbers here.
 */
import { argumentSizes, argumentStrings, environmentSizes, environmentStrings } from "./arguments.ts";
import type { CurrentCaller } from "./caller.ts";
import { clockResolution, clockTime } from "./clock.ts";
import { fdRead, fdReadAt, fdWrite, fdWriteAt } from "./data.ts";
import {
  fdAdvise,
  fdAllocate,
  fdClose,
  fdPrestat,
  fdPrestatName,
  fdRenumber,
  fdSeek,
  fdSetFlags,
  fdSetRights,
  fdStatus,
  fdSync,
  fdTell,
} from "./descriptor.ts";
import { fdReadDirectory } from "./directory.ts";
import { fdFileStat, fdSetSize, fdSetTimes, pathFileStat, pathSetTimes } from "./file-stat.ts";
import {
  pathCreateDirectory,
  pathLink,
  pathReadLink,
  pathRemoveDirectory,
  pathRename,
  pathSymbolicLink,
  pathUnlink,
} from "./path.ts";
import { pathOpen } from "./path-open.ts";
import { pollOneoff } from "./poll.ts";
import { processExit, processRaise, randomBytes, schedulerYield } from "./process.ts";
import { allRights, right } from "./rights.ts";
import { noAddress, socketAccept, socketReceive, socketSend, socketShutdown } from "./socket.ts";

/** A 64-bit argument as a signed number: exact within ±2^53. */
function signed(low: number, high: number): number {
  return high * 0x1_0000_0000 + (low >>> 0);
}

/** A 64-bit argument as an unsigned number: exact up to 2^53. */
function unsigned(low: number, high: number): number {
  return (high >>> 0) * 0x1_0000_0000 + (low >>> 0);
}

/** A set of rights; bits that are no right are dropped. */
function rightsOf(low: number): number {
  return low & allRights;
}

export interface WasiFunction {
  /** One letter for each parameter: i for 32 bits, l for 64, which comes as two of 32. */
  readonly parameters: string;
  /** It does not return; every other function returns 32 bits. */
  readonly noResult?: true;
  /** It came with preview 1. */
  readonly preview1Only?: true;
  readonly make: (current: CurrentCaller) => (...values: never[]) => number;
}

/** Every function of both versions, by name. */
export const wasiFunctions: Readonly<Record<string, WasiFunction>> = {
  args_get: {
    parameters: "ii",
    make: (c) => (pointers: number, strings: number) => argumentStrings(c.caller, pointers, strings),
  },
  args_sizes_get: {
    parameters: "ii",
    make: (c) => (count: number, bytes: number) => argumentSizes(c.caller, count, bytes),
  },
  environ_get: {
    parameters: "ii",
    make: (c) => (pointers: number, strings: number) => environmentStrings(c.caller, pointers, strings),
  },
  environ_sizes_get: {
    parameters: "ii",
    make: (c) => (count: number, bytes: number) => environmentSizes(c.caller, count, bytes),
  },

  clock_res_get: {
    parameters: "ii",
    make: (c) => (id: number, result: number) => clockResolution(c.caller, id, result),
  },
  clock_time_get: {
    parameters: "ili",
    make: (c) => (id: number, _precisionLow: number, _precisionHigh: number, result: number) =>
      clockTime(c.caller, id, result),
  },

  fd_advise: {
    parameters: "illi",
    make:
      (c) =>
      (
        fd: number,
        offsetLow: number,
        offsetHigh: number,
        lengthLow: number,
        lengthHigh: number,
        advice: number,
      ) =>
        fdAdvise(c.caller, fd, signed(offsetLow, offsetHigh), signed(lengthLow, lengthHigh), advice),
  },
  fd_allocate: {
    parameters: "ill",
    make: (c) => (fd: number, offsetLow: number, offsetHigh: number, lengthLow: number, lengthHigh: number) =>
      fdAllocate(c.caller, fd, signed(offsetLow, offsetHigh), signed(lengthLow, lengthHigh)),
  },
  fd_close: { parameters: "i", make: (c) => (fd: number) => fdClose(c.caller, fd) },
  fd_datasync: { parameters: "i", make: (c) => (fd: number) => fdSync(c.caller, fd, right.FD_DATASYNC) },
  fd_fdstat_get: {
    parameters: "ii",
    make: (c) => (fd: number, result: number) => fdStatus(c.caller, fd, result),
  },
  fd_fdstat_set_flags: {
    parameters: "ii",
    make: (c) => (fd: number, flags: number) => fdSetFlags(c.caller, fd, flags),
  },
  fd_fdstat_set_rights: {
    parameters: "ill",
    make:
      (c) =>
      (fd: number, rightsLow: number, rightsHigh: number, inheritingLow: number, inheritingHigh: number) =>
        fdSetRights(c.caller, fd, rightsLow, rightsHigh, inheritingLow, inheritingHigh),
  },
  fd_filestat_get: {
    parameters: "ii",
    make: (c) => (fd: number, result: number) => fdFileStat(c.caller, fd, result),
  },
  fd_filestat_set_size: {
    parameters: "il",
    make: (c) => (fd: number, sizeLow: number, sizeHigh: number) =>
      fdSetSize(c.caller, fd, signed(sizeLow, sizeHigh)),
  },
  fd_filestat_set_times: {
    parameters: "illi",
    make:
      (c) =>
      (
        fd: number,
        accessLow: number,
        accessHigh: number,
        modificationLow: number,
        modificationHigh: number,
        flags: number,
      ) =>
        fdSetTimes(
          c.caller,
          fd,
          unsigned(accessLow, accessHigh),
          unsigned(modificationLow, modificationHigh),
          flags,
        ),
  },
  fd_pread: {
    parameters: "iiili",
    make:
      (c) =>
      (
        fd: number,
        vectors: number,
        count: number,
        positionLow: number,
        positionHigh: number,
        result: number,
      ) =>
        fdReadAt(c.caller, fd, vectors, count, signed(positionLow, positionHigh), result),
  },
  fd_prestat_get: {
    parameters: "ii",
    make: (c) => (fd: number, result: number) => fdPrestat(c.caller, fd, result),
  },
  fd_prestat_dir_name: {
    parameters: "iii",
    make: (c) => (fd: number, path: number, length: number) => fdPrestatName(c.caller, fd, path, length),
  },
  fd_pwrite: {
    parameters: "iiili",
    make:
      (c) =>
      (
        fd: number,
        vectors: number,
        count: number,
        positionLow: number,
        positionHigh: number,
        result: number,
      ) =>
        fdWriteAt(c.caller, fd, vectors, count, signed(positionLow, positionHigh), result),
  },
  fd_read: {
    parameters: "iiii",
    make: (c) => (fd: number, vectors: number, count: number, result: number) =>
      fdRead(c.caller, fd, vectors, count, result),
  },
  fd_readdir: {
    parameters: "iiili",
    make:
      (c) =>
      (fd: number, buffer: number, length: number, cookieLow: number, cookieHigh: number, result: number) =>
        fdReadDirectory(c.caller, fd, buffer, length, unsigned(cookieLow, cookieHigh), result),
  },
  fd_renumber: {
    parameters: "ii",
    make: (c) => (from: number, to: number) => fdRenumber(c.caller, from, to),
  },
  fd_seek: {
    parameters: "ilii",
    make: (c) => (fd: number, deltaLow: number, deltaHigh: number, whence: number, result: number) =>
      fdSeek(c.caller, fd, signed(deltaLow, deltaHigh), whence, result),
  },
  fd_sync: { parameters: "i", make: (c) => (fd: number) => fdSync(c.caller, fd, right.FD_SYNC) },
  fd_tell: { parameters: "ii", make: (c) => (fd: number, result: number) => fdTell(c.caller, fd, result) },
  fd_write: {
    parameters: "iiii",
    make: (c) => (fd: number, vectors: number, count: number, result: number) =>
      fdWrite(c.caller, fd, vectors, count, result),
  },

  path_create_directory: {
    parameters: "iii",
    make: (c) => (fd: number, path: number, length: number) =>
      pathCreateDirectory(c.caller, fd, path, length),
  },
  path_filestat_get: {
    parameters: "iiiii",
    make: (c) => (fd: number, flags: number, path: number, length: number, result: number) =>
      pathFileStat(c.caller, fd, flags, path, length, result),
  },
  path_filestat_set_times: {
    parameters: "iiiilli",
    make:
      (c) =>
      (
        fd: number,
        lookup: number,
        path: number,
        length: number,
        accessLow: number,
        accessHigh: number,
        modificationLow: number,
        modificationHigh: number,
        flags: number,
      ) =>
        pathSetTimes(
          c.caller,
          fd,
          lookup,
          path,
          length,
          unsigned(accessLow, accessHigh),
          unsigned(modificationLow, modificationHigh),
          flags,
        ),
  },
  path_link: {
    parameters: "iiiiiii",
    make:
      (c) =>
      (
        from: number,
        flags: number,
        old: number,
        oldLength: number,
        to: number,
        path: number,
        length: number,
      ) =>
        pathLink(c.caller, from, flags, old, oldLength, to, path, length),
  },
  path_open: {
    parameters: "iiiiillii",
    make:
      (c) =>
      (
        fd: number,
        lookup: number,
        path: number,
        length: number,
        openFlags: number,
        rightsLow: number,
        _rightsHigh: number,
        inheritingLow: number,
        _inheritingHigh: number,
        flags: number,
        result: number,
      ) =>
        pathOpen(
          c.caller,
          fd,
          lookup,
          path,
          length,
          openFlags,
          rightsOf(rightsLow),
          rightsOf(inheritingLow),
          flags,
          result,
        ),
  },
  path_readlink: {
    parameters: "iiiiii",
    make: (c) => (fd: number, path: number, length: number, buffer: number, room: number, result: number) =>
      pathReadLink(c.caller, fd, path, length, buffer, room, result),
  },
  path_remove_directory: {
    parameters: "iii",
    make: (c) => (fd: number, path: number, length: number) =>
      pathRemoveDirectory(c.caller, fd, path, length),
  },
  path_rename: {
    parameters: "iiiiii",
    make: (c) => (from: number, old: number, oldLength: number, to: number, path: number, length: number) =>
      pathRename(c.caller, from, old, oldLength, to, path, length),
  },
  path_symlink: {
    parameters: "iiiii",
    make: (c) => (target: number, targetLength: number, fd: number, path: number, length: number) =>
      pathSymbolicLink(c.caller, target, targetLength, fd, path, length),
  },
  path_unlink_file: {
    parameters: "iii",
    make: (c) => (fd: number, path: number, length: number) => pathUnlink(c.caller, fd, path, length),
  },

  poll_oneoff: {
    parameters: "iiii",
    make: (c) => (subscriptions: number, events: number, count: number, result: number) =>
      pollOneoff(c.caller, subscriptions, events, count, result),
  },
  proc_exit: { parameters: "i", noResult: true, make: (c) => (code: number) => processExit(c.caller, code) },
  proc_raise: { parameters: "i", make: (c) => (signal: number) => processRaise(c.caller, signal) },
  random_get: {
    parameters: "ii",
    make: (c) => (address: number, length: number) => randomBytes(c.caller, address, length),
  },
  sched_yield: { parameters: "", make: (c) => () => schedulerYield(c.caller) },

  sock_accept: {
    parameters: "iii",
    preview1Only: true,
    make: (c) => (fd: number) => socketAccept(c.caller, fd),
  },
  sock_recv: {
    parameters: "iiiiii",
    make:
      (c) => (fd: number, vectors: number, count: number, flags: number, size: number, outFlags: number) =>
        socketReceive(c.caller, fd, vectors, count, flags, size, outFlags, noAddress),
  },
  sock_send: {
    parameters: "iiiii",
    make: (c) => (fd: number, vectors: number, count: number, flags: number, size: number) =>
      socketSend(c.caller, fd, vectors, count, flags, noAddress, size),
  },
  sock_shutdown: {
    parameters: "ii",
    make: (c) => (fd: number, how: number) => socketShutdown(c.caller, fd, how),
  },
};
