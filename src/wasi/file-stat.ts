/** `fd_filestat_*` and `path_filestat_*`: attributes of files, in the layout of the program's version. */
import { errno } from "../kernel/errno.ts";
import { type Caller, errnoOf, type FileStatAccessor } from "./caller.ts";
import { highHalf, lowHalf } from "./guest-memory.ts";
import { right } from "./rights.ts";
import { allTimesFlags, followSymbolicLink, timesFlag } from "./structs.ts";

/** `fd_filestat_get` */
export function fdFileStat(caller: Caller, fd: number, resultAddress: number): number {
  const { memory, files, fileStats } = caller;
  const result = resultAddress >>> 0;
  memory.refresh();
  const file = caller.lookup(fd, right.FD_FILESTAT_GET);
  if (file < 0) return -file;
  if (!memory.holds(result, memory.sizeOf(fileStats))) return errno.FAULT;
  const failure = files.stat(file, caller.stat);
  if (failure < 0) return -failure;
  putFileStat(caller, fileStats, result);
  return errno.SUCCESS;
}

/** `path_filestat_get` */
export function pathFileStat(
  caller: Caller,
  fd: number,
  lookupFlags: number,
  pathAddress: number,
  pathLength: number,
  resultAddress: number,
): number {
  const { memory, files, fileStats } = caller;
  const result = resultAddress >>> 0;
  memory.refresh();
  const directory = caller.lookup(fd, right.PATH_FILESTAT_GET);
  if (directory < 0) return caller.directoryError(fd, directory);
  if ((lookupFlags & ~followSymbolicLink) !== 0) return errno.INVAL;
  if (!memory.holds(result, memory.sizeOf(fileStats))) return errno.FAULT;
  const path = caller.paths.decode(pathAddress >>> 0, pathLength >>> 0);
  if (typeof path === "number") return -path;
  const failure = files.statPath(directory, path, lookupFlags !== 0, caller.stat);
  if (failure < 0) return -failure;
  putFileStat(caller, fileStats, result);
  return errno.SUCCESS;
}

function putFileStat(caller: Caller, stats: FileStatAccessor, at: number): void {
  const { stat } = caller;
  stats.clear(at);
  stats.setDevice(at, stat.device);
  stats.setInodeHalves(at, lowHalf(stat.inode), highHalf(stat.inode));
  stats.setFileType(at, stat.fileType);
  stats.setLinkCount(at, stat.linkCount);
  stats.setSizeHalves(at, lowHalf(stat.size_bytes), highHalf(stat.size_bytes));
  stats.setAccessTimeHalves(at, lowHalf(stat.accessTime_ns), highHalf(stat.accessTime_ns));
  stats.setModificationTimeHalves(at, lowHalf(stat.modificationTime_ns), highHalf(stat.modificationTime_ns));
  stats.setChangeTimeHalves(at, lowHalf(stat.changeTime_ns), highHalf(stat.changeTime_ns));
}

/** `fd_filestat_set_size` */
export function fdSetSize(caller: Caller, fd: number, size_bytes: number): number {
  const file = caller.lookup(fd, right.FD_FILESTAT_SET_SIZE);
  if (file < 0) {
    const failure = caller.dataError(fd, file);
    return failure === errno.NOTCAPABLE && caller.seekError(fd) === errno.SPIPE ? errno.INVAL : failure;
  }
  if (size_bytes < 0) return errno.INVAL;
  if (size_bytes > Number.MAX_SAFE_INTEGER) return errno.FBIG;
  return errnoOf(caller.files.truncate(file, size_bytes));
}

/** `fd_filestat_set_times` */
export function fdSetTimes(
  caller: Caller,
  fd: number,
  accessTime_ns: number,
  modificationTime_ns: number,
  flags: number,
): number {
  const file = caller.lookup(fd, right.FD_FILESTAT_SET_TIMES);
  if (file < 0) return -file;
  if (!timesFlagsAreValid(flags)) return errno.INVAL;
  const now_ns = caller.services.clock.realtime_ns();
  return errnoOf(
    caller.files.setTimes(
      file,
      chosenTime(flags, timesFlag.access, timesFlag.accessNow, accessTime_ns, now_ns),
      chosenTime(flags, timesFlag.modification, timesFlag.modificationNow, modificationTime_ns, now_ns),
    ),
  );
}

/** `path_filestat_set_times` */
export function pathSetTimes(
  caller: Caller,
  fd: number,
  lookupFlags: number,
  pathAddress: number,
  pathLength: number,
  accessTime_ns: number,
  modificationTime_ns: number,
  flags: number,
): number {
  caller.memory.refresh();
  const directory = caller.lookup(fd, right.PATH_FILESTAT_SET_TIMES);
  if (directory < 0) return caller.directoryError(fd, directory);
  if ((lookupFlags & ~followSymbolicLink) !== 0 || !timesFlagsAreValid(flags)) return errno.INVAL;
  const path = caller.paths.decode(pathAddress >>> 0, pathLength >>> 0);
  if (typeof path === "number") return -path;
  const now_ns = caller.services.clock.realtime_ns();
  return errnoOf(
    caller.files.setTimesPath(
      directory,
      path,
      lookupFlags !== 0,
      chosenTime(flags, timesFlag.access, timesFlag.accessNow, accessTime_ns, now_ns),
      chosenTime(flags, timesFlag.modification, timesFlag.modificationNow, modificationTime_ns, now_ns),
    ),
  );
}

/** Known flags only, and no time that is both given and now. */
function timesFlagsAreValid(flags: number): boolean {
  if ((flags & ~allTimesFlags) !== 0) return false;
  const access = timesFlag.access | timesFlag.accessNow;
  const modification = timesFlag.modification | timesFlag.modificationNow;
  return (flags & access) !== access && (flags & modification) !== modification;
}

/** The time to set, or −1 to leave it as it is. */
function chosenTime(flags: number, given: number, now: number, given_ns: number, now_ns: number): number {
  if ((flags & now) !== 0) return now_ns;
  return (flags & given) !== 0 ? given_ns : -1;
}
