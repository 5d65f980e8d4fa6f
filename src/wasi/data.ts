/**
 * `fd_read`, `fd_write`, `fd_pread`, `fd_pwrite`: bytes between a program's buffers and open files.
 *
 * Bytes go straight between the program's buffers and the file. Lists (C libraries read and write by lists of
 * two) are moved buffer by buffer, except that a small list written to a pipe, a terminal or the end of a file
 * is gathered first: to everybody else it is one write, not mixed with others'.
 */
import { errno } from "../kernel/errno.ts";
import { fileType } from "../services/fs/filesystem.ts";
import type { Caller } from "./caller.ts";
import { gatherLimit_bytes } from "./guest-memory.ts";
import { right } from "./rights.ts";
import { descriptorFlag } from "./structs.ts";

/** Beyond this position there is nothing, whatever the file system. */
const lastPosition = Number.MAX_SAFE_INTEGER;

/** `fd_write` */
export function fdWrite(
  caller: Caller,
  fd: number,
  vectors: number,
  count: number,
  resultAddress: number,
): number {
  const { memory } = caller;
  const result = resultAddress >>> 0;
  memory.refresh();
  caller.awake();
  const file = caller.lookup(fd, right.FD_WRITE);
  if (file < 0) return caller.dataError(fd, file);
  if (!memory.holdsWord(result)) return errno.FAULT;
  const total = memory.readVectors(vectors >>> 0, count >>> 0);
  if (total < 0) return -total;
  let written = writeVectors(caller, file, total);
  if (written === -errno.AGAIN) {
    const queue = blockingQueue(caller, file, caller.files.writeQueue(file));
    if (queue === 0) return errno.AGAIN;
    const linked = caller.waitOn(queue);
    written = writeVectors(caller, file, total);
    if (written === -errno.AGAIN) return caller.sleep(Infinity, linked);
    caller.awake();
  }
  if (written < 0) return -written;
  memory.words.setValue(result, written);
  return errno.SUCCESS;
}

/** `fd_read` */
export function fdRead(
  caller: Caller,
  fd: number,
  vectors: number,
  count: number,
  resultAddress: number,
): number {
  const { memory } = caller;
  const result = resultAddress >>> 0;
  memory.refresh();
  caller.awake();
  const file = caller.lookup(fd, right.FD_READ);
  if (file < 0) return caller.dataError(fd, file);
  if (!memory.holdsWord(result)) return errno.FAULT;
  const total = memory.readVectors(vectors >>> 0, count >>> 0);
  if (total < 0) return -total;
  let got = readVectors(caller, file, total);
  if (got === -errno.AGAIN) {
    const queue = blockingQueue(caller, file, caller.files.readQueue(file));
    if (queue === 0) return errno.AGAIN;
    const linked = caller.waitOn(queue);
    got = readVectors(caller, file, total);
    if (got === -errno.AGAIN) return caller.sleep(Infinity, linked);
    caller.awake();
  }
  if (got < 0) return -got;
  memory.words.setValue(result, got);
  return errno.SUCCESS;
}

/** The queue to sleep in, or 0 when the call is to return AGAIN instead. */
function blockingQueue(caller: Caller, file: number, queue: number): number {
  return (caller.files.flags(file) & descriptorFlag.nonblock) === 0 ? queue : 0;
}

function writeVectors(caller: Caller, file: number, total: number): number {
  const { memory, files } = caller;
  const { thread } = caller.process;
  // Writing nothing never waits. To a socket it is an empty datagram.
  if (total === 0) return isDatagrams(caller, file) ? files.write(file, memory.bytes, 0, 0) : 0;
  if (memory.vectorCount === 1) return files.write(file, memory.bytes, memory.firstAddress, total, thread);
  if (total <= gatherLimit_bytes && isOneWrite(caller, file))
    return files.write(file, memory.gather(), 0, total, thread);
  if (isDatagrams(caller, file)) return -errno.MSGSIZE;
  let done = 0;
  for (let n = 0; n < memory.vectorCount; n++) {
    const length = memory.vectorLength(n);
    const written = files.write(file, memory.bytes, memory.vectorAddress(n), length, thread);
    if (written < 0) return done > 0 ? done : written;
    done += written;
    if (written < length) break;
  }
  return done;
}

/** Whether others could write in between the buffers of one write. */
function isOneWrite({ files }: Caller, file: number): boolean {
  return files.fileType(file) !== fileType.regularFile || (files.flags(file) & descriptorFlag.append) !== 0;
}

function readVectors(caller: Caller, file: number, total: number): number {
  const { memory, files } = caller;
  const { thread } = caller.process;
  // Reading nothing never waits.
  if (total === 0) return 0;
  if (memory.vectorCount === 1) return files.read(file, memory.bytes, memory.firstAddress, total, thread);
  if (isDatagrams(caller, file)) return scatterDatagram(caller, file, total);
  let done = 0;
  for (let n = 0; n < memory.vectorCount; n++) {
    const length = memory.vectorLength(n);
    const got = files.read(file, memory.bytes, memory.vectorAddress(n), length, thread);
    if (got < 0) return done > 0 ? done : got;
    done += got;
    if (got < length) break;
  }
  return done;
}

/** Whether what is read or written is whole messages. */
function isDatagrams({ files }: Caller, file: number): boolean {
  return files.fileType(file) === fileType.socketDatagram;
}

/** One datagram into several buffers. */
function scatterDatagram({ memory, files }: Caller, file: number, total: number): number {
  const got = files.read(file, memory.scratch(), 0, Math.min(total, gatherLimit_bytes));
  if (got > 0) memory.scatter(got);
  return got;
}

/** `fd_pwrite`: writes at `position` (signed, as the file systems of C see it), the file's own stays. */
export function fdWriteAt(
  caller: Caller,
  fd: number,
  vectors: number,
  count: number,
  position: number,
  resultAddress: number,
): number {
  const { memory } = caller;
  const result = resultAddress >>> 0;
  memory.refresh();
  const file = caller.lookup(fd, right.FD_WRITE | right.FD_SEEK);
  if (file < 0) return seekableError(caller, fd, right.FD_WRITE, file);
  if (!memory.holdsWord(result)) return errno.FAULT;
  const total = memory.readVectors(vectors >>> 0, count >>> 0);
  if (total < 0) return -total;
  if (position < 0) return errno.INVAL;
  if (position + total > lastPosition) return errno.FBIG;
  const written = writeVectorsAt(caller, file, position);
  if (written < 0) return -written;
  memory.words.setValue(result, written);
  return errno.SUCCESS;
}

function writeVectorsAt(caller: Caller, file: number, position: number): number {
  const { memory, files } = caller;
  let done = 0;
  for (let n = 0; n < memory.vectorCount; n++) {
    const length = memory.vectorLength(n);
    const written = files.writeAt(file, memory.bytes, memory.vectorAddress(n), length, position + done);
    if (written < 0) return done > 0 ? done : written;
    done += written;
    if (written < length) break;
  }
  return done;
}

/** `fd_pread` */
export function fdReadAt(
  caller: Caller,
  fd: number,
  vectors: number,
  count: number,
  position: number,
  resultAddress: number,
): number {
  const { memory } = caller;
  const result = resultAddress >>> 0;
  memory.refresh();
  const file = caller.lookup(fd, right.FD_READ | right.FD_SEEK);
  if (file < 0) return seekableError(caller, fd, right.FD_READ, file);
  if (!memory.holdsWord(result)) return errno.FAULT;
  const total = memory.readVectors(vectors >>> 0, count >>> 0);
  if (total < 0) return -total;
  if (position < 0) return errno.INVAL;
  const got = position + total > lastPosition ? 0 : readVectorsAt(caller, file, position);
  if (got < 0) return -got;
  memory.words.setValue(result, got);
  return errno.SUCCESS;
}

function readVectorsAt(caller: Caller, file: number, position: number): number {
  const { memory, files } = caller;
  let done = 0;
  for (let n = 0; n < memory.vectorCount; n++) {
    const length = memory.vectorLength(n);
    const got = files.readAt(file, memory.bytes, memory.vectorAddress(n), length, position + done);
    if (got < 0) return done > 0 ? done : got;
    done += got;
    if (got < length) break;
  }
  return done;
}

/** Pipes and terminals lack the right to seek; programs expect to hear that they cannot. */
function seekableError(caller: Caller, fd: number, dataRight: number, failure: number): number {
  if (failure === -errno.NOTCAPABLE && caller.lookup(fd, dataRight) >= 0) return caller.seekError(fd);
  return caller.dataError(fd, failure);
}
