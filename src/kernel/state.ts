/**
 * The mutable state that kernels share, in one place, grouped by owner.
 *
 * Everything here lives in typed areas of the island's memory and is reached through accessors only, so that
 * any kernel sees it at once, and so that what a kernel knows outlives the kernel. What a core keeps in its
 * JavaScript heap besides is caches and engine contexts.
 *
 * Numbers: a *process slot* is an index into `processes` (pid modulo its capacity), a *thread* an index into
 * `threads`, a *queue* an index into `waitQueues`, a *core* and a *kernel* are global ids. Zero is "none" for
 * threads, queues, open files and pipes; cores and kernels count from zero.
 */
import { array, atomic, bytes, f64, i32, lock, struct, u8, u16, u32 } from "../memory/index.ts";

/** How many of each there can be in one system. Sizes are memory reserved, not memory used. */
export const limits = {
  cores: 64,
  processes: 1024,
  threads: 2048,
  waitQueues: 8192,
  openFiles: 8192,
  pipes: 2048,
  descriptorsPerProcess: 256,
  /** Distinct wait queues one thread can wait on at once; beyond it, `poll_oneoff` re-checks by timer. */
  waitersPerThread: 16,
  priorities: 4,
  /** NightWatch threads of one process, those included that have ended and that nobody has joined. At most 31. */
  nightwatchThreads: 16,
  mounts: 64,
  processSnapshots: 1024,
  /** 32-bit words with a bit for every owner number: core id + 1, the console's included. */
  namespaceChangerWords: 3,
} as const;

/** Life of a kernel. Set by the kernel itself, `dead` by whoever finds out. */
export const kernelState = { absent: 0, booting: 1, running: 2, stopped: 3, dead: 4 } as const;

/** Kernel control block: the entry to everything one kernel manages (Barrelfish/DC, OSDI 2014). */
export const KernelControlBlock = struct("KernelControlBlock", {
  state: atomic(u32),
  /** Core that booted first; the kernel spans `coreCount` cores, listed in `cores[].kernel`. */
  firstCore: u32,
  coreCount: atomic(u32),
  /** Kernel that booted this one; itself for the primary. */
  bootedBy: u32,
  image: bytes(16),
  bootTime_ns: f64,
  bootDuration_ns: f64,
  processesStarted: atomic(u32),
});

/** What the kernel keeps per core: its run queue and its counters. `queueMutex` guards the queue fields. */
export const CoreBlock = struct("CoreBlock", {
  kernel: u32,
  online: atomic(u32),
  /** 1 while the core is one of its kernel's `coreCount`. */
  counted: u8,
  queueMutex: lock(),
  /** Heads and tails of the ready lists by priority, linked through `threads.next`. */
  readyHead: array(u32, limits.priorities),
  readyTail: array(u32, limits.priorities),
  /** Threads on those lists. */
  readyCount: u32,
  /** Threads ready or running on this core: what placement by load looks at. */
  load: atomic(u32),
  /**
   * 1 while the kernel prepares a program on this core, which takes long, and answers no messages. Who would
   * rather not wait for an answer so long waits on the queue and asks afterwards.
   */
  deaf: atomic(u32),
  deafQueue: u32,
  /** The kernel is about to stop: this core takes no processes from others any more. */
  closing: atomic(u32),
  /** An open file that the kernel itself keeps, 0 for none: given back for it when it dies. */
  keptFile: u32,
  current: atomic(u32),
  /** When `current` was given the core, machine time. */
  dispatched_ns: f64,
  contextSwitches: u32,
  interrupts: u32,
  idle_ns: f64,
});

/** Kinds of capture that can be asked for, see `capture.ts`. */
export const captureKinds = 4;

/** Whether the program of a process can be captured: known when it is loaded. */
export const migratability = { unknown: 0, yes: 1, no: 2 } as const;

/** `embryo`: being built by the kernel that allocated it; `zombie`: ended, its status not yet collected. */
export const processState = { free: 0, embryo: 1, running: 2, zombie: 3 } as const;

/** One process. Written by the kernel it runs on, except `pendingSignal` and collecting a zombie. */
export const Process = struct("Process", {
  state: atomic(u32),
  pid: u32,
  /** Pid of the parent; 0 is the console. */
  parent: u32,
  kernel: u32,
  core: atomic(u32),
  thread: u32,
  /** Which core has the process: the word that decides about every move, see `migration.ts`. */
  holder: atomic(u32),
  /** Kinds of capture that are wanted, and those whose asker has no answer yet: see `capture.ts`. */
  captureRequests: atomic(u32),
  captureClaims: atomic(u32),
  /** By kind: an argument, and the last answer with a serial number. */
  captureArguments: array(u32, captureKinds),
  captureAnswers: array(atomic(u32), captureKinds),
  /** Whether its program can be captured: one of `migratability`, and what stands in the way. */
  migratable: atomic(u32),
  obstacle: bytes(128),
  /** How far its monotonic clock is ahead of the machine's: a restored process's goes on where it was. */
  clockOffset_ns: f64,
  /** It has reached the point where it was to stop, and does not go on (see `argument-block.ts`). */
  stopped: atomic(u32),
  /** Signal number that will end this process, 0 for none. */
  pendingSignal: atomic(u32),
  /** Exit code, valid once `zombie`; 128 + signal when `endSignal` is set. */
  exitCode: i32,
  endSignal: u8,
  /** Nobody will collect the status: the slot is freed at the end. */
  detached: atomic(u8),
  /** Children that were not collected yet; written by the process itself only. */
  children: u32,
  /** Pid of the child that this process waits for in `proc_fork`, because it runs in this one's memory; 0 for none. */
  lentTo: u32,
  /** 1 while it runs in the memory of its parent. */
  borrows: atomic(u32),
  /** 1: its own thread is a NightWatch thread, which stays where it was started. */
  pinned: u8,
  /**
   * Its other NightWatch threads, by number: bit n for number n + 1. Those that have not ended; those that have and
   * were not joined yet; and of these the ones that were lost with their kernel. See `nightwatch-state.ts`.
   */
  nightwatchAlive: atomic(u32),
  nightwatchEnded: atomic(u32),
  nightwatchLost: atomic(u32),
  /** Threads by number, and the core that all of them are pinned to. */
  nightwatchThreads: array(u32, limits.nightwatchThreads),
  nightwatchCore: u32,
  /** Whether they may run, as the kernel of the normal thread knows: one of `nightwatchGate`. */
  nightwatchGate: u32,
  /** Processor time of those that have ended. Written by their core. */
  nightwatchTime_ns: f64,
  priority: u8,
  /** Preview of the command for `ps`: NUL-padded. */
  name: bytes(64),
  /** Why it ended, for people: set with `endSignal` or a failed start. */
  message: bytes(256),
  /** Threads that wait for the end. */
  exitQueue: u32,
  /** Arguments, environment and preopen names (see `argument-block.ts`): pages of the island. */
  argumentOffset: f64,
  argumentOrder: u8,
  /** Program memory in 64 KiB WebAssembly pages, and its limit. */
  memoryPages: atomic(u32),
  /** Pages of 4 KiB that are missing after a migration on demand: not 0 until the program is the fast variant. */
  missingPages: atomic(u32),
  memoryLimitPages: u32,
  startTime_ns: f64,
  endTime_ns: f64,
  cpuTime_ns: f64,
  /** When it last came to a core, by its start or by a move. */
  arrivalTime_ns: f64,
});

/** Whether the NightWatch threads of a process may run. `closing`: they were told to stop, and have not said that they have. */
export const nightwatchGate = { closed: 0, open: 1, closing: 2 } as const;

/**
 * What a thread has to do with NightWatch threads. `normal`: it runs only while those of its process do not. `guest`: it
 * is one.
 */
export const nightwatchRole = { none: 0, normal: 1, guest: 2 } as const;

/**
 * `fresh`: it has no context on its core yet; `moving`: it is captured and on its way to another core; `held`: it
 * could run, but NightWatch threads of its process, or its normal thread, must stop first (on no ready list).
 */
export const threadState = {
  free: 0,
  fresh: 1,
  ready: 2,
  running: 3,
  blocked: 4,
  ended: 5,
  moving: 6,
  held: 7,
} as const;

/** One thread. `state` moves blocked → ready by compare-exchange, so exactly one waker queues the thread. */
export const Thread = struct("Thread", {
  state: atomic(u32),
  process: u32,
  core: u32,
  priority: u8,
  /** One of `nightwatchRole`. Written by its own core, and by who cleans up behind a dead one. */
  nightwatch: atomic(u8),
  /** Link of the ready list, guarded by the core's `queueMutex`. */
  next: u32,
  /** A wake-up that came while the thread was still on its way to sleep. */
  wakePending: atomic(u32),
  /** Monotonic time at which a blocked thread wakes by itself; Infinity for never. */
  deadline_ns: f64,
  /** Deadline of the call being restarted (`poll_oneoff`), so a restart does not extend it; 0 for none. */
  callDeadline_ns: f64,
  /** Which of its waiter records are linked into a queue: bit n for waiter n. */
  waitersLinked: u32,
  /** Processor time of a NightWatch thread; the process's own thread credits the process. */
  cpuTime_ns: f64,
});

/** A queue of waiting threads; `mutex` guards the list (and every linked waiter's `next` and `previous`). */
export const WaitQueue = struct("WaitQueue", {
  mutex: lock(),
  head: u32,
  /** Link of the pool's free list is the pool's own. */
  waiterCount: atomic(u32),
});

/** Thread t owns waiters [t * waitersPerThread, …): one for each queue it waits on. */
export const Waiter = struct("Waiter", {
  queue: u32,
  next: u32,
  previous: u32,
});

/** What an open file refers to. */
export const openFileKind = {
  none: 0,
  file: 1,
  directory: 2,
  pipeReader: 3,
  pipeWriter: 4,
  device: 5,
  socket: 6,
} as const;

/** An open file description: shared by every descriptor that refers to it, on any kernel. */
export const OpenFile = struct("OpenFile", {
  references: atomic(u32),
  /** 1 from the second reference on, for good: the position may have several users. */
  shared: u8,
  kind: u8,
  /** WASI file type, so that descriptors answer `fdstat` without asking the file system. */
  fileType: u8,
  /** WASI fdflags: append 1, dsync 2, nonblock 4, rsync 8, sync 16. */
  flags: u32,
  /** Mount and inode of a file or directory; `handle` is the file system's, −1 for none. */
  mount: u32,
  inode: f64,
  handle: i32,
  /** Pipe, device or socket number. */
  object: u32,
  /** What a device remembers for this open file: a number of its own, 0 for nothing. */
  session: u32,
  /** Guards `position`. */
  mutex: lock(),
  position: f64,
});

/** One descriptor: the capability a process holds. Rights are WASI's, which all fit in 30 bits. */
export const Descriptor = struct("Descriptor", {
  file: u32,
  rights: u32,
  inheriting: u32,
  /** 1 + index among the process's preopened directories, 0 if it is none. */
  preopen: u16,
});

/**
 * The descriptor table of a process slot. Only threads of that process use it, and whoever builds the process
 * before it runs.
 */
export const DescriptorTable = struct("DescriptorTable", {
  entries: array(Descriptor, limits.descriptorsPerProcess),
  /** No descriptor below this is free. */
  lowestFree: u32,
});

/**
 * A pipe: a ring of bytes in island pages. `head` counts the bytes read, `tail` the bytes written; both wrap
 * at 2^32 and change only under `mutex`.
 */
export const Pipe = struct("Pipe", {
  mutex: lock(),
  // All of it is changed under the mutex only, so that nothing needs atomic access, which costs ten nanoseconds.
  /** Open files of each end (not descriptors: those share an open file). */
  readers: u32,
  writers: u32,
  head: u32,
  tail: u32,
  capacity_bytes: u32,
  /** Absolute byte offset of the ring in the island's memory, and the order it was allocated with. */
  buffer: f64,
  bufferOrder: u8,
  /** Readers wait here for bytes, writers in the other queue for room. */
  readQueue: u32,
  writeQueue: u32,
  /** Least room that somebody waiting to write can use; all ones when nobody waits. Guarded by `mutex`. */
  roomWanted_bytes: u32,
});

export const mountType = { none: 0, ext2: 1, host: 2, device: 3, process: 4, programs: 5 } as const;

/**
 * One mounted file system. `path` is where people see it; `parent`/`parentInode` is the directory it covers
 * (no parent for the root). Written under `system.mountMutex`; `type` is set last and cleared first, so that a
 * record with a type is whole. Record 0 is never used.
 */
export const Mount = struct("Mount", {
  type: atomic(u32),
  readOnly: u8,
  parent: u32,
  parentInode: f64,
  /** Handle of the parent file system that keeps the covered directory alive. */
  parentHandle: i32,
  /** Open files, walks and mounts on top that use this mount; the top bit says that it is going away. */
  users: atomic(u32),
  /** Different for every mount ever made, so that a kernel notices when a record was used again. */
  serial: u32,
  path: bytes(256),
  /** Which of the type: host directory number, block device number. */
  instance: u32,
});

/** The text of an opened `/proc` file, made when it was opened. */
export const ProcessSnapshot = struct("ProcessSnapshot", {
  size_bytes: u32,
  /** Absolute byte offset in the island's memory, and the order it was allocated with. */
  buffer: f64,
  bufferOrder: u8,
});

/** Counters and switches of the whole system: exactly one record. */
export const SystemBlock = struct("SystemBlock", {
  nextPid: atomic(u32),
  /** Grows whenever a name may have stopped meaning what it meant: path caches compare it. */
  namespaceGeneration: atomic(u32),
  /** Bit n: the holder with owner number n is changing names right now (see `services/fs/namespace.ts`). */
  namespaceChangers: array(atomic(u32), limits.namespaceChangerWords),
  /** Grows with every mount and unmount, under `mountMutex`. Not atomic: every access to a file looks at it. */
  mountGeneration: u32,
  kernelCount: atomic(u32),
  coreCount: u32,
  mountMutex: lock(),
  shutdown: atomic(u32),
});
