/**
 * The imports that the everyday tools from npm have beside WASI's: permission bits, terminals, users, sleep.
 *
 * Their paths are what the program itself was given, not relative to a descriptor: absolute ones are found
 * through the preopened directory with the longest name that is a prefix, others through the preopened
 * directory ".", the working directory, or else "/".
 */
import { errno } from "../kernel/errno.ts";
import { fileType, type Stat } from "../services/fs/filesystem.ts";
import { type Caller, errnoOf } from "./caller.ts";
import type { WasiFunction } from "./functions.ts";
import { right } from "./rights.ts";

/** First descriptor that can be a preopened directory. */
const firstPreopen = 3;
const permissionBits = 0o7777;
/** File type bits of POSIX modes, by WASI file type. What has no type there is a pipe here. */
const typeBits: Readonly<Record<number, number>> = {
  [fileType.unknown]: 0o010000,
  [fileType.blockDevice]: 0o060000,
  [fileType.characterDevice]: 0o020000,
  [fileType.directory]: 0o040000,
  [fileType.regularFile]: 0o100000,
  [fileType.socketDatagram]: 0o140000,
  [fileType.socketStream]: 0o140000,
  [fileType.symbolicLink]: 0o120000,
};
/** Files have no owners: everything belongs to user 0. */
const rootUser = new TextEncoder().encode("root:x:0:0:root:/:/bin/sh");

/** A path of the program and the directory it is relative to. `directory` is a negated errno if there is none. */
interface Place {
  directory: number;
  path: string;
}

/** `host_fs.path_mode`: mode bits with the file type, 0 when unknown. */
function pathMode(caller: Caller, address: number, length: number, follow: number): number {
  caller.memory.refresh();
  const place = locate(caller, address, length, right.PATH_FILESTAT_GET);
  if (place.directory < 0) return 0;
  const failure = caller.files.statPath(place.directory, place.path, follow !== 0, caller.stat);
  return failure < 0 ? 0 : modeOf(caller.stat);
}

/** `host_fs.fd_mode`: the same for a descriptor. */
function descriptorMode(caller: Caller, fd: number): number {
  const file = caller.lookup(fd, right.FD_FILESTAT_GET);
  if (file < 0) return 0;
  return caller.files.stat(file, caller.stat) < 0 ? 0 : modeOf(caller.stat);
}

function modeOf(stat: Stat): number {
  return (typeBits[stat.fileType] ?? 0) | (stat.mode & permissionBits);
}

/** `host_fs.chmod`: needs what setting times needs, the right to change attributes. */
function changeMode(caller: Caller, address: number, length: number, mode: number): number {
  caller.memory.refresh();
  const place = locate(caller, address, length, right.PATH_FILESTAT_SET_TIMES);
  if (place.directory < 0) return -place.directory;
  return errnoOf(caller.files.setModePath(place.directory, place.path, true, mode & permissionBits));
}

/** Finds the preopened directory that a path belongs to; it must permit `rights`. */
export function locate(caller: Caller, address: number, length: number, rights: number): Place {
  const text = caller.paths.decode(address >>> 0, length >>> 0);
  if (typeof text === "number") return { directory: text, path: "" };
  if (text === "") return { directory: -errno.NOENT, path: "" };
  const absolute = text.startsWith("/");
  let best = -1;
  let bestName = "";
  for (let fd = firstPreopen; fd < firstPreopen + caller.process.preopens.length; fd++) {
    const index = caller.files.preopenIndex(caller.process.slot, fd);
    const name = index < 0 ? undefined : caller.process.preopens[index];
    if (name === undefined) continue;
    if (!absolute && name === ".") {
      best = fd;
      break;
    }
    const matches = absolute ? isPrefix(name, text) : name === "/";
    if (matches && (best < 0 || name.length > bestName.length)) {
      best = fd;
      bestName = name;
    }
  }
  if (best < 0) return { directory: -errno.NOENT, path: "" };
  const rest = absolute ? text.slice(bestName.length).replace(/^\/+/, "") : text;
  return { directory: caller.lookup(best, rights), path: rest === "" ? "." : rest };
}

/** Whether an absolute path is `name` or below it. */
function isPrefix(name: string, path: string): boolean {
  if (!name.startsWith("/") || !path.startsWith(name)) return false;
  return name.endsWith("/") || path.length === name.length || path[name.length] === "/";
}

/** `host_user.isatty` */
function isTerminal(caller: Caller, fd: number, resultAddress: number): number {
  const { memory } = caller;
  const result = resultAddress >>> 0;
  memory.refresh();
  const file = caller.lookup(fd, 0);
  if (file < 0) return -file;
  if (!memory.holdsWord(result)) return errno.FAULT;
  memory.words.setValue(result, caller.files.isTerminal(file) ? 1 : 0);
  return errno.SUCCESS;
}

/** `host_user.getpwuid`: the user's line of the password file. */
function passwordLine(
  caller: Caller,
  user: number,
  address: number,
  room: number,
  resultAddress: number,
): number {
  const { memory } = caller;
  const start = address >>> 0;
  const result = resultAddress >>> 0;
  memory.refresh();
  if (!memory.holds(start, room >>> 0) || !memory.holdsWord(result)) return errno.FAULT;
  if (user !== 0) return errno.NOENT;
  if (rootUser.length > room >>> 0) return errno.RANGE;
  memory.put(start, rootUser);
  memory.words.setValue(result, rootUser.length);
  return errno.SUCCESS;
}

/** `host_process.sleep_ms`. The end is kept in the thread record while the call is repeated. */
function sleep(caller: Caller, duration_ms: number): number {
  const { threads, clock } = caller.services;
  const { thread } = caller.process;
  caller.awake();
  const now_ns = clock.monotonic_ns();
  const kept_ns = threads.callDeadline_ns(thread);
  const end_ns = kept_ns > 0 ? kept_ns : now_ns + (duration_ms >>> 0) * 1e6;
  if (end_ns <= now_ns) {
    threads.setCallDeadline_ns(thread, 0);
    return errno.SUCCESS;
  }
  threads.setCallDeadline_ns(thread, end_ns);
  return caller.sleep(end_ns, true);
}

/** `host_process.proc_getpid` */
export function processId(caller: Caller, resultAddress: number): number {
  const { memory } = caller;
  const result = resultAddress >>> 0;
  memory.refresh();
  if (!memory.holdsWord(result)) return errno.FAULT;
  memory.words.setValue(result, caller.process.pid);
  return errno.SUCCESS;
}

/** The functions of these modules, by module and name; all take and return 32 bits. */
export const hostFunctions: Readonly<Record<string, Readonly<Record<string, WasiFunction>>>> = {
  host_fs: {
    path_mode: {
      parameters: "iii",
      make: (c) => (path: number, length: number, follow: number) => pathMode(c.caller, path, length, follow),
    },
    fd_mode: { parameters: "i", make: (c) => (fd: number) => descriptorMode(c.caller, fd) },
    chmod: {
      parameters: "iii",
      make: (c) => (path: number, length: number, mode: number) => changeMode(c.caller, path, length, mode),
    },
  },
  host_user: {
    isatty: {
      parameters: "ii",
      make: (c) => (fd: number, result: number) => isTerminal(c.caller, fd, result),
    },
    getpwuid: {
      parameters: "iiii",
      make: (c) => (user: number, buffer: number, room: number, result: number) =>
        passwordLine(c.caller, user, buffer, room, result),
    },
  },
  host_process: {
    sleep_ms: { parameters: "i", make: (c) => (duration_ms: number) => sleep(c.caller, duration_ms) },
    proc_getpid: { parameters: "i", make: (c) => (result: number) => processId(c.caller, result) },
  },
};
