/**
 * A small part of WASIX (`wasix_32v1`), the extension of WASI that has processes: who am I, signals to others,
 * pipes, and `exec`; fork and join are in `wasix-processes.ts`, UDP sockets in `wasix-sockets.ts`.
 */
import { errno } from "../kernel/errno.ts";
import { DIED } from "../kernel/wait.ts";
import { fileType } from "../services/fs/filesystem.ts";
import type { Caller } from "./caller.ts";
import type { WasiFunction } from "./functions.ts";
import { locate, processId } from "./host-imports.ts";
import { applicableInheriting, applicableRights, right } from "./rights.ts";
import { processFunctions } from "./wasix-processes.ts";
import { socketFunctions } from "./wasix-sockets.ts";

/** Exit codes of a process whose `exec` found no program, or could not run it, as in a shell. */
const notFound = 127;
const notExecutable = 126;
const lineFeed = 10;

/** `proc_signal`: a signal to the process itself or a child of it; 0 only asks whether it is there. */
function signalProcess(caller: Caller, pid: number, signal: number): number {
  const result = caller.process.signal(pid >>> 0, signal);
  if (caller.process.dying()) return DIED;
  return result < 0 ? -result : errno.SUCCESS;
}

/** `fd_pipe`: two descriptors, reading end first. */
function makePipe(caller: Caller, readerAddress: number, writerAddress: number): number {
  const { memory, files } = caller;
  const { slot } = caller.process;
  const results = [readerAddress >>> 0, writerAddress >>> 0];
  memory.refresh();
  if (!results.every((result) => memory.holdsWord(result))) return errno.FAULT;
  const pipe = files.makePipe();
  if (typeof pipe === "number") return -pipe;
  const rights = applicableRights(fileType.unknown, false);
  const inheriting = applicableInheriting(fileType.unknown);
  const reader = files.install(slot, pipe.reader, rights, inheriting);
  if (reader < 0) {
    files.release(pipe.reader);
    files.release(pipe.writer);
    return -reader;
  }
  const writer = files.install(slot, pipe.writer, rights, inheriting);
  if (writer < 0) {
    files.closeDescriptor(slot, reader);
    files.release(pipe.writer);
    return -writer;
  }
  memory.words.setValue(results[0], reader);
  memory.words.setValue(results[1], writer);
  return errno.SUCCESS;
}

/**
 * `proc_exec`: another program takes this one's place, with the same pid and descriptors. The program is found
 * through the process's own directories. Arguments are one text, a line each, the name first. It does not
 * return: when there is no such program, the process ends with 127. NightWatch threads cannot do that: with 126.
 */
function execute(caller: Caller, name: number, nameLength: number, text: number, textLength: number): number {
  const { memory, files, process, openOptions } = caller;
  const start = text >>> 0;
  const size = textLength >>> 0;
  memory.refresh();
  if (process.nightwatch?.isCaller === true) {
    process.exit(notExecutable);
    return DIED;
  }
  const place = locate(caller, name, nameLength, right.PATH_OPEN);
  if (place.directory < 0 || !memory.holds(start, size)) {
    process.exit(notFound);
    return DIED;
  }
  openOptions.followLast = true;
  openOptions.create = false;
  openOptions.exclusive = false;
  openOptions.directory = false;
  openOptions.truncate = false;
  openOptions.read = true;
  openOptions.write = false;
  openOptions.flags = 0;
  const file = files.openPath(place.directory, place.path, openOptions);
  if (file < 0) process.exit(notFound);
  else process.exec(file, place.path, splitLines(process.bytes.slice(start, start + size)));
  return DIED;
}

/** The lines of a text; a line feed at the end starts no further one. NULs, which arguments cannot have, end them. */
function splitLines(text: Uint8Array): Uint8Array[] {
  const lines: Uint8Array[] = [];
  for (let at = 0; at < text.length; ) {
    const found = text.indexOf(lineFeed, at);
    const end = found < 0 ? text.length : found;
    const line = text.subarray(at, end);
    const nul = line.indexOf(0);
    lines.push(nul < 0 ? line : line.subarray(0, nul));
    at = end + 1;
  }
  return lines;
}

export const wasixFunctions: Readonly<Record<string, WasiFunction>> = {
  ...processFunctions,
  ...socketFunctions,
  proc_id: { parameters: "i", make: (c) => (result: number) => processId(c.caller, result) },
  proc_signal: {
    parameters: "ii",
    make: (c) => (pid: number, signal: number) => signalProcess(c.caller, pid, signal),
  },
  fd_pipe: {
    parameters: "ii",
    make: (c) => (reader: number, writer: number) => makePipe(c.caller, reader, writer),
  },
  proc_exec: {
    parameters: "iiii",
    noResult: true,
    make: (c) => (name: number, nameLength: number, text: number, textLength: number) =>
      execute(c.caller, name, nameLength, text, textLength),
  },
};
