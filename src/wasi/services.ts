/**
 * What the WASI layer needs of the rest of the system: of the process it serves, of the file service, of
 * sleeping and of the machine. The kernel and the services satisfy these interfaces; tests may use others.
 */
import type { ChildEnd } from "../kernel/children.ts";
import type { Thread } from "../kernel/state.ts";
import type { WaitService } from "../kernel/wait.ts";
import type { Clock } from "../machine/machine.ts";
import type { Accessor } from "../memory/index.ts";
import type { DirectoryVisitor, Stat } from "../services/fs/filesystem.ts";

/** The process whose system calls are served. The kernel's object for a running process is one. */
export interface WasiProcess {
  readonly slot: number;
  readonly thread: number;
  readonly pid: number;
  /** How far its monotonic clock is ahead of the machine's. */
  readonly clockOffset_ns: number;
  /** Pid of the parent, 0 when that is the console. */
  readonly parent: number;
  /** The program's memory: a fixed-length view over shared memory, replaced when the memory grows. */
  readonly bytes: Uint8Array;
  /** Brings pages of the memory that have not come yet; absent when all are there. */
  readonly paging?: { ensure(address: number, length: number): void } | undefined;
  /** Arguments and environment strings, without the NUL at their end. */
  readonly arguments: readonly Uint8Array[];
  readonly environment: readonly Uint8Array[];
  /** Names of the preopened directories, by preopen index. */
  readonly preopens: readonly string[];
  /** A signal that ends the process is pending: calls that would block return DIED. */
  dying(): boolean;
  /** Records the exit code; the call then returns DIED. */
  exit(code: number): void;
  raise(signal: number): void;
  /** The thread wants to go to the end of its run queue; the call then returns BLOCKED once. */
  yield(): void;
  /** A signal to this process or a child of it: zero, −PERM, −SRCH or −INVAL. */
  signal(pid: number, signal: number): number;
  /**
   * Moves the process to another kernel: undefined when the call is to return BLOCKED and to be repeated, zero on the
   * other kernel, or a negated errno: −NODEV (it does not run), −NOTSUP (this program cannot be moved), −BUSY.
   */
  migrate(kernel: number): number | undefined;
  /** Queue to wait on for a child to end, and for one to leave this process's memory. */
  readonly childQueue: number;
  /**
   * Makes a child that goes on from the same call: undefined when the call is to return BLOCKED and to be repeated;
   * then the child's pid, and in the child zero; or −AGAIN, −NOMEM, −NOTSUP (this program cannot be captured).
   * Without a copy the child runs in this process's memory, and the parent waits until it is done with it.
   */
  fork(copiesMemory: boolean): number | undefined;
  /** Collects a child that has ended, any for pid 0: one; zero when there is none yet; −CHILD without such a child. */
  join(pid: number, into: ChildEnd): number;
  /** NightWatch threads of the process; absent where there are none. */
  readonly nightwatch?: NightwatchCalls;
  /** Another program takes over when the call has returned DIED: an open file, which is handed over. */
  exec(file: number, name: string, args: readonly Uint8Array[]): void;
}

/** The calls about NightWatch threads. */
export interface NightwatchCalls {
  /** The caller is one of them. */
  readonly isCaller: boolean;
  /**
   * Starts one with an argument: its thread id, from 1 on, or a negated errno: −NOEXEC (the program exports no
   * `wasi_thread_start`), −NOTSUP (it cannot have two instances over one memory), −BUSY (its memory is its parent's),
   * −AGAIN (there are too many), −NODEV (no weak kernel runs).
   */
  spawn(argument: number): number;
  /**
   * Undefined as long as a thread has not ended; `childQueue` wakes then. Zero, once; or −OWNERDEAD (its kernel died or
   * stopped), −SRCH (no such thread, or it was joined before), −DEADLK (it is the caller itself).
   */
  join(thread: number): number | undefined;
}

/** Attributes of a file, and which file system it is on: inode numbers repeat from one to the next. */
export interface DeviceStat extends Stat {
  device: number;
}

/** How `openPath` is to open. One record is reused for every call: the file service does not keep it. */
export interface OpenOptions {
  followLast: boolean;
  create: boolean;
  exclusive: boolean;
  directory: boolean;
  truncate: boolean;
  read: boolean;
  write: boolean;
  /** WASI fdflags for the new open file. */
  flags: number;
  /** Permission bits of a file that is created. */
  mode: number;
}

/** An address and a port. IPv4 addresses are 32-bit numbers, the first part in the highest byte. */
export interface SocketEndpoint {
  address: number;
  port: number;
}

/** Where a datagram came from, and how long it was. */
export interface ReceivedDatagram extends SocketEndpoint {
  length: number;
}

/**
 * What only sockets can do. `file` is an open file; for one that is no socket the result is −NOTSOCK.
 * `services/fs/socket-files.ts` is the real one.
 */
export interface SocketService {
  /** A new datagram socket as an open file, which carries one reference. */
  open(): number;
  isSocket(file: number): boolean;
  bind(file: number, address: number, port: number): number;
  connect(file: number, address: number, port: number): number;
  disconnect(file: number): number;
  /** With port 0: to where the socket is connected. */
  send(
    file: number,
    source: Uint8Array,
    offset: number,
    length: number,
    address: number,
    port: number,
  ): number;
  /** With `keeps` the datagram stays the next one. */
  receive(
    file: number,
    target: Uint8Array,
    offset: number,
    length: number,
    into: ReceivedDatagram,
    keeps: boolean,
  ): number;
  shutdown(file: number, directions: number): number;
  localEndpoint(file: number, into: SocketEndpoint): number;
  peerEndpoint(file: number, into: SocketEndpoint): number;
  isBound(file: number): boolean;
}

/**
 * The file service, as far as system calls use it. Results below zero are negated errnos; an operation that
 * cannot go on now returns −AGAIN, whatever the file's flags. `services/fs/files.ts` is the real one.
 */
export interface FileService {
  lookup(slot: number, fd: number, rights: number): number;
  /** Takes over one reference of the file, unless it fails. */
  install(slot: number, file: number, rights: number, inheriting: number): number;
  closeDescriptor(slot: number, fd: number): number;
  makePipe(): { reader: number; writer: number } | number;
  renumber(slot: number, from: number, to: number): number;
  rights(slot: number, fd: number): number;
  inheriting(slot: number, fd: number): number;
  setRights(slot: number, fd: number, rights: number, inheriting: number): number;
  /** Index among the process's preopened directories; −BADF for other descriptors. */
  preopenIndex(slot: number, fd: number): number;

  /** One of `fileType`. */
  fileType(file: number): number;
  isTerminal(file: number): boolean;
  flags(file: number): number;
  setFlags(file: number, flags: number): number;
  release(file: number): void;
  openPath(directory: number, path: string, options: OpenOptions): number;

  /** `thread` is who asks: some devices must know a request that is repeated. */
  read(file: number, target: Uint8Array, offset: number, length: number, thread?: number): number;
  write(file: number, source: Uint8Array, offset: number, length: number, thread?: number): number;
  /** What `dma_transfer` does; −NOTTY for files that it means nothing to. */
  transfer?(file: number, length: number, thread: number): number;
  readAt(file: number, target: Uint8Array, offset: number, length: number, position: number): number;
  writeAt(file: number, source: Uint8Array, offset: number, length: number, position: number): number;
  /** `whence`: 0 from the start, 1 from the position, 2 from the end. */
  seek(file: number, delta: number, whence: number): number;
  tell(file: number): number;
  truncate(file: number, size_bytes: number): number;
  allocate(file: number, offset: number, length: number): number;
  sync(file: number): number;

  stat(file: number, into: DeviceStat): number;
  statPath(directory: number, path: string, follow: boolean, into: DeviceStat): number;
  setTimes(file: number, accessTime_ns: number, modificationTime_ns: number): number;
  setTimesPath(
    directory: number,
    path: string,
    follow: boolean,
    accessTime_ns: number,
    modificationTime_ns: number,
  ): number;

  setModePath(directory: number, path: string, follow: boolean, mode: number): number;

  makeDirectory(directory: number, path: string, mode: number): number;
  makeSymbolicLink(target: string, directory: number, path: string): number;
  readSymbolicLink(directory: number, path: string): string | number;
  link(fromDirectory: number, fromPath: string, follow: boolean, toDirectory: number, toPath: string): number;
  rename(fromDirectory: number, fromPath: string, toDirectory: number, toPath: string): number;
  unlink(directory: number, path: string): number;
  removeDirectory(directory: number, path: string): number;
  readDirectory(file: number, cookie: number, visit: DirectoryVisitor): number;

  /** Bytes that can be read now (end of file and hang-up count as ready), or −AGAIN. */
  pollRead(file: number): number;
  pollWrite(file: number): number;
  hangup(file: number): boolean;
  /** Left out where there are no sockets. */
  readonly sockets?: SocketService;
  /** Wait queue that a change of readiness wakes; 0 if the file never blocks. */
  readQueue(file: number): number;
  writeQueue(file: number): number;
}

/** What a system call needs besides its process; one per core, shared by all processes on it. */
export interface WasiServices {
  readonly files: FileService;
  readonly waits: Pick<WaitService, "waitOn" | "waitDone" | "isWaiting">;
  readonly threads: Accessor<typeof Thread.fields>;
  readonly clock: Clock;
  /** Fills with unpredictable (or seeded) bytes. */
  random(target: Uint8Array): void;
  /** Processor time that a thread has used. */
  cpuTime_ns(thread: number): number;
}
