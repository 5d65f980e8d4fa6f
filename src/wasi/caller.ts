/**
 * One process's side of its system calls: what every call needs at hand, and how a call goes to sleep.
 *
 * System calls are functions over a `Caller`. They return an errno (zero for success), `BLOCKED` to be
 * suspended and called again with the same arguments, or `DIED` to end the process.
 */
import { errno } from "../kernel/errno.ts";
import { BLOCKED, DIED } from "../kernel/wait.ts";
import type { Accessor } from "../memory/index.ts";
import { emptyStat, fileType } from "../services/fs/filesystem.ts";
import { EntryPacker } from "./directory.ts";
import type { GuestMemory } from "./guest-memory.ts";
import { PathDecoder } from "./path-decoder.ts";
import { PollTable } from "./poll-table.ts";
import { applicableRights, right } from "./rights.ts";
import type { DeviceStat, FileService, OpenOptions, WasiProcess, WasiServices } from "./services.ts";
import type { preview1, snapshot0, WasiVersion } from "./structs.ts";

/** How often a thread looks again when it could not be linked to everything it waits for. */
const recheck_ns = 1_000_000;

/** The errno that a result of the file service stands for. */
export function errnoOf(result: number): number {
  return result < 0 ? -result : errno.SUCCESS;
}

type FileStatFields = typeof preview1.FileStat.fields | typeof snapshot0.FileStat.fields;
export type FileStatAccessor =
  | Accessor<typeof preview1.FileStat.fields>
  | Accessor<typeof snapshot0.FileStat.fields>;

/** The caller that runs on a core. Import functions look here: they are the same for all processes of the core. */
export interface CurrentCaller {
  caller: Caller;
}

export class Caller {
  /** Another one when the caller is used again for a later process. */
  process: WasiProcess;
  readonly services: WasiServices;
  readonly files: FileService;
  private readonly waits: WasiServices["waits"];
  readonly memory: GuestMemory;
  readonly version: WasiVersion;
  readonly paths: PathDecoder;
  /** Reused by the calls that fill one; its content is good until the next call. */
  readonly stat: DeviceStat = { ...emptyStat(), device: 0 };
  readonly openOptions: OpenOptions = {
    followLast: false,
    create: false,
    exclusive: false,
    directory: false,
    truncate: false,
    read: false,
    write: false,
    flags: 0,
    mode: 0,
  };

  private fileStatAccessor: FileStatAccessor | undefined;
  private entryPacker: EntryPacker | undefined;
  private pollTable: PollTable | undefined;

  constructor(process: WasiProcess, services: WasiServices, memory: GuestMemory, version: WasiVersion) {
    this.process = process;
    this.services = services;
    this.files = services.files;
    this.waits = services.waits;
    this.memory = memory;
    this.version = version;
    this.paths = new PathDecoder(memory);
  }

  // Made when a program first needs them: most never do, and starting a process must be quick.

  /** `filestat` structs, in the version's layout. */
  get fileStats(): FileStatAccessor {
    this.fileStatAccessor ??= this.memory.over<FileStatFields>(this.version.FileStat);
    return this.fileStatAccessor;
  }

  get packer(): EntryPacker {
    this.entryPacker ??= new EntryPacker(this);
    return this.entryPacker;
  }

  get poll(): PollTable {
    this.pollTable ??= new PollTable(this);
    return this.pollTable;
  }

  /** Whether nothing is left of the process that could matter to the next. */
  get isReusable(): boolean {
    return this.pollTable === undefined;
  }

  /** Open file of a descriptor that has all of `rights`, or −EBADF, −ENOTCAPABLE. */
  lookup(fd: number, rights: number): number {
    return this.files.lookup(this.process.slot, fd, rights);
  }

  /**
   * The errno for a data call whose `lookup` failed. A directory never has the rights to data, but programs
   * expect to hear what is wrong.
   */
  dataError(fd: number, failure: number): number {
    if (failure !== -errno.NOTCAPABLE) return -failure;
    const file = this.lookup(fd, 0);
    return file >= 0 && this.files.fileType(file) === fileType.directory ? errno.ISDIR : errno.NOTCAPABLE;
  }

  /** The errno for a path call whose `lookup` failed: only directories ever have the rights. */
  directoryError(fd: number, failure: number): number {
    if (failure !== -errno.NOTCAPABLE) return -failure;
    const file = this.lookup(fd, 0);
    return file >= 0 && this.files.fileType(file) !== fileType.directory ? errno.NOTDIR : errno.NOTCAPABLE;
  }

  /** The errno for a call whose `lookup` failed because the descriptor may not seek: streams never may. */
  seekError(fd: number): number {
    const file = this.lookup(fd, 0);
    if (file < 0) return -file;
    const type = this.files.fileType(file);
    if (type === fileType.directory) return errno.NOTCAPABLE;
    const seekable = applicableRights(type, this.files.isTerminal(file)) & right.FD_SEEK;
    return seekable === 0 ? errno.SPIPE : errno.NOTCAPABLE;
  }

  /** Every call that can block starts with this: the thread leaves the queues that it was woken from. */
  awake(): void {
    this.waits.waitDone(this.process.thread);
  }

  /** Links the thread into a queue, before it looks at its condition once more and calls `sleep`. */
  waitOn(queue: number): boolean {
    return queue !== 0 && this.waits.waitOn(this.process.thread, queue);
  }

  /**
   * What the call returns to sleep until it is woken, or until `deadline_ns` of the monotonic clock.
   * `complete` is false when something it waits for has no queue to wait on.
   */
  sleep(deadline_ns: number, complete: boolean): number {
    const { threads, clock } = this.services;
    const { thread } = this.process;
    if (this.process.dying()) {
      this.awake();
      return DIED;
    }
    threads.setDeadline_ns(
      thread,
      complete ? deadline_ns : Math.min(deadline_ns, clock.monotonic_ns() + recheck_ns),
    );
    return BLOCKED;
  }
}
