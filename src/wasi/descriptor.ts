/** `fd_*` calls about a descriptor itself: what it permits, where it stands, and its end. */
import { errno } from "../kernel/errno.ts";
import { type Caller, errnoOf } from "./caller.ts";
import { highHalf, lowHalf } from "./guest-memory.ts";
import { allRights, right } from "./rights.ts";
import { allDescriptorFlags } from "./structs.ts";

/** Advices are numbered from 0. */
const lastAdvice = 5;
/** The only kind of preopened resource. */
const prestatDirectory = 0;

/** `fd_close` */
export function fdClose(caller: Caller, fd: number): number {
  return errnoOf(caller.files.closeDescriptor(caller.process.slot, fd));
}

/** `fd_renumber`: `to`, which must be open, becomes what `from` was; `from` is closed. */
export function fdRenumber(caller: Caller, from: number, to: number): number {
  if (caller.lookup(from, 0) < 0 || caller.lookup(to, 0) < 0) return errno.BADF;
  if (from === to) return errno.SUCCESS;
  return errnoOf(caller.files.renumber(caller.process.slot, from, to));
}

/** `fd_fdstat_get` */
export function fdStatus(caller: Caller, fd: number, resultAddress: number): number {
  const { memory, files } = caller;
  const { slot } = caller.process;
  const result = resultAddress >>> 0;
  memory.refresh();
  const file = caller.lookup(fd, 0);
  if (file < 0) return -file;
  const stats = memory.descriptorStats;
  if (!memory.holds(result, memory.sizeOf(stats))) return errno.FAULT;
  stats.clear(result);
  stats.setFileType(result, files.fileType(file));
  stats.setFlags(result, files.flags(file));
  stats.setRights(result, files.rights(slot, fd));
  stats.setInheriting(result, files.inheriting(slot, fd));
  return errno.SUCCESS;
}

/** `fd_fdstat_set_flags` */
export function fdSetFlags(caller: Caller, fd: number, flags: number): number {
  if ((flags & ~allDescriptorFlags) !== 0) return errno.INVAL;
  const file = caller.lookup(fd, right.FD_FDSTAT_SET_FLAGS);
  if (file < 0) return -file;
  return errnoOf(caller.files.setFlags(file, flags));
}

/**
 * `fd_fdstat_set_rights`: rights can only be given up. They come as whole 64-bit sets split in halves; a bit
 * that is no right is one that the descriptor does not have.
 */
export function fdSetRights(
  caller: Caller,
  fd: number,
  rights: number,
  rightsHigh: number,
  inheriting: number,
  inheritingHigh: number,
): number {
  const file = caller.lookup(fd, 0);
  if (file < 0) return -file;
  if (rightsHigh !== 0 || inheritingHigh !== 0) return errno.NOTCAPABLE;
  if ((rights & ~allRights) !== 0 || (inheriting & ~allRights) !== 0) return errno.NOTCAPABLE;
  return errnoOf(caller.files.setRights(caller.process.slot, fd, rights, inheriting));
}

/** `fd_prestat_get`. C libraries count descriptors up from 3 until this says EBADF. */
export function fdPrestat(caller: Caller, fd: number, resultAddress: number): number {
  const { memory } = caller;
  const result = resultAddress >>> 0;
  memory.refresh();
  const name = preopenName(caller, fd);
  if (name === undefined) return errno.BADF;
  const { prestats } = memory;
  if (!memory.holds(result, memory.sizeOf(prestats))) return errno.FAULT;
  prestats.clear(result);
  prestats.setTag(result, prestatDirectory);
  prestats.setNameLength(result, new TextEncoder().encode(name).length);
  return errno.SUCCESS;
}

/** `fd_prestat_dir_name` */
export function fdPrestatName(caller: Caller, fd: number, address: number, length: number): number {
  const { memory } = caller;
  const start = address >>> 0;
  memory.refresh();
  const name = preopenName(caller, fd);
  if (name === undefined) return errno.BADF;
  const text = new TextEncoder().encode(name);
  if (!memory.holds(start, length >>> 0)) return errno.FAULT;
  if (text.length > length >>> 0) return errno.NAMETOOLONG;
  memory.put(start, text);
  return errno.SUCCESS;
}

function preopenName(caller: Caller, fd: number): string | undefined {
  const index = caller.files.preopenIndex(caller.process.slot, fd);
  return index < 0 ? undefined : caller.process.preopens[index];
}

/** `fd_advise`: taken note of by nobody; checked all the same. */
export function fdAdvise(caller: Caller, fd: number, offset: number, length: number, advice: number): number {
  const file = caller.lookup(fd, right.FD_ADVISE);
  if (file < 0) return file === -errno.NOTCAPABLE ? caller.seekError(fd) : -file;
  if (advice < 0 || advice > lastAdvice || offset < 0 || length < 0) return errno.INVAL;
  return errno.SUCCESS;
}

/** `fd_allocate`: the file is at least `offset + length` long afterwards. */
export function fdAllocate(caller: Caller, fd: number, offset: number, length: number): number {
  const file = caller.lookup(fd, right.FD_ALLOCATE);
  if (file < 0) return caller.dataError(fd, file);
  if (offset < 0 || length <= 0) return errno.INVAL;
  if (offset + length > Number.MAX_SAFE_INTEGER) return errno.FBIG;
  return errnoOf(caller.files.allocate(file, offset, length));
}

/** `fd_sync` and, with the other right, `fd_datasync`. */
export function fdSync(caller: Caller, fd: number, need: number): number {
  const file = caller.lookup(fd, need);
  if (file < 0)
    return file === -errno.NOTCAPABLE && caller.seekError(fd) === errno.SPIPE ? errno.INVAL : -file;
  return errnoOf(caller.files.sync(file));
}

/** `fd_seek`; `whence` is the version's. */
export function fdSeek(
  caller: Caller,
  fd: number,
  delta: number,
  whence: number,
  resultAddress: number,
): number {
  const { memory, files } = caller;
  const result = resultAddress >>> 0;
  memory.refresh();
  const from: number | undefined = caller.version.whence[whence];
  // Asking where the file stands is what `fd_tell` may do too.
  const telling = delta === 0 && from === 1;
  let file = caller.lookup(fd, right.FD_SEEK);
  if (file === -errno.NOTCAPABLE && telling) file = caller.lookup(fd, right.FD_TELL);
  if (file < 0) return file === -errno.NOTCAPABLE ? caller.seekError(fd) : -file;
  if (from === undefined) return errno.INVAL;
  if (!memory.holdsQuantity(result)) return errno.FAULT;
  if (!Number.isSafeInteger(delta)) return errno.INVAL;
  const position = files.seek(file, delta, from);
  if (position < 0) return -position;
  memory.quantities.setValueHalves(result, lowHalf(position), highHalf(position));
  return errno.SUCCESS;
}

/** `fd_tell` */
export function fdTell(caller: Caller, fd: number, resultAddress: number): number {
  const { memory, files } = caller;
  const result = resultAddress >>> 0;
  memory.refresh();
  let file = caller.lookup(fd, right.FD_TELL);
  // The right to seek includes it.
  if (file === -errno.NOTCAPABLE) file = caller.lookup(fd, right.FD_SEEK);
  if (file < 0) return file === -errno.NOTCAPABLE ? caller.seekError(fd) : -file;
  if (!memory.holdsQuantity(result)) return errno.FAULT;
  const position = files.tell(file);
  if (position < 0) return -position;
  memory.setQuantity(result, position);
  return errno.SUCCESS;
}
