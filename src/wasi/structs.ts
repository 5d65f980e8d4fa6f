/**
 * The structures that WASI programs pass by address, and the two versions of the interface.
 *
 * `wasi_unstable` (snapshot 0) and `wasi_snapshot_preview1` are one interface in two formats: they differ in
 * the layout of `filestat` and `subscription` and in the values of `whence`. Each struct is declared as its C
 * header has it; offsets come from the format of the program (32-bit: `ilp32`).
 */
import { array, type Format, struct, u8, u16, u32, u64, usize } from "../memory/index.ts";

/** Format of every program that the engine loads so far: wasm32. */
export const guestFormat: Format = "ilp32";

/** A result of 32 bits: sizes, counts, descriptors. */
export const Word = struct("Word", { value: u32 });
/** A pointer-sized result: an element of `argv`. */
export const Address = struct("Address", { value: usize });
/** A result of 64 bits: times and file positions. */
export const Quantity = struct("Quantity", { value: u64 });

/** A pid or none: `tag` is one of `optionTag`. */
export const OptionPid = struct("OptionPid", { tag: u8, pid: u32 });
export const optionTag = { none: 0, some: 1 } as const;

/** What `proc_join` says of a child: `tag` is one of `joinStatus`. */
export const JoinStatus = struct("JoinStatus", { tag: u8, exitCode: u16, signal: u8 });
export const joinStatus = { nothing: 0, exited: 1, signalled: 2 } as const;

/**
 * `__wasi_addr_port_t` as far as IPv4 goes: `tag` is one of `addressFamily`; the other members of the union are longer.
 * The port is in the program's byte order, both ways.
 */
export const SocketAddress = struct("SocketAddress", { tag: u8, port: u16, address: array(u8, 4) });
export const addressFamily = { unspecified: 0, inet4: 1, inet6: 2, unix: 3 } as const;
export const socketType = { any: 0, stream: 1, datagram: 2, raw: 3, sequential: 4 } as const;
export const socketProtocol = { ip: 0, tcp: 6, udp: 17 } as const;
/** Flags that tell how a message was received. */
export const ReceivedFlags = struct("ReceivedFlags", { value: u16 });
/** `riflags`: the upper two are WASIX's. */
export const receiveFlag = { peek: 1, waitAll: 2, truncated: 4, doNotWait: 8 } as const;
export const allReceiveFlags = 15;
/** `roflags` */
export const receivedFlag = { truncated: 1 } as const;
/** `siflags`: WASIX's only one. */
export const sendFlag = { doNotWait: 1 } as const;
export const allSendFlags = 1;
/** What `sock_status` says. */
export const socketStatus = { opening: 0, opened: 1, closed: 2, failed: 3 } as const;

/** `iovec` and `ciovec`. */
export const IoVector = struct("IoVector", { buffer: usize, size: usize });

export const Prestat = struct("Prestat", { tag: u8, nameLength: usize });

export const DescriptorStat = struct("DescriptorStat", {
  fileType: u8,
  flags: u16,
  rights: u64,
  inheriting: u64,
});

/** The fixed part of a directory entry; the name follows it without a NUL. */
export const DirectoryEntry = struct("DirectoryEntry", {
  next: u64,
  inode: u64,
  nameLength: u32,
  fileType: u8,
});

const FileStatPreview1 = struct("FileStatPreview1", {
  device: u64,
  inode: u64,
  fileType: u8,
  linkCount: u64,
  size: u64,
  accessTime: u64,
  modificationTime: u64,
  changeTime: u64,
});

const FileStatSnapshot0 = struct("FileStatSnapshot0", {
  device: u64,
  inode: u64,
  fileType: u8,
  linkCount: u32,
  size: u64,
  accessTime: u64,
  modificationTime: u64,
  changeTime: u64,
});

/**
 * A subscription is a union: `ClockSubscription…` and `DescriptorSubscription…` are its two readings. The
 * second one's `rest` gives its part the size and alignment of the first one's.
 */
const ClockSubscriptionPreview1 = struct("ClockSubscriptionPreview1", {
  userdata: u64,
  tag: u8,
  clock: struct("ClockPreview1", { id: u32, timeout: u64, precision: u64, flags: u16 }),
});

const DescriptorSubscriptionPreview1 = struct("DescriptorSubscriptionPreview1", {
  userdata: u64,
  tag: u8,
  descriptor: struct("DescriptorPreview1", { number: u32, rest: array(u64, 3) }),
});

const ClockSubscriptionSnapshot0 = struct("ClockSubscriptionSnapshot0", {
  userdata: u64,
  tag: u8,
  clock: struct("ClockSnapshot0", { identifier: u64, id: u32, timeout: u64, precision: u64, flags: u16 }),
});

const DescriptorSubscriptionSnapshot0 = struct("DescriptorSubscriptionSnapshot0", {
  userdata: u64,
  tag: u8,
  descriptor: struct("DescriptorSnapshot0", { number: u32, rest: array(u64, 4) }),
});

export const PollEvent = struct("PollEvent", {
  userdata: u64,
  error: u16,
  type: u8,
  readiness: struct("Readiness", { bytes: u64, flags: u16 }),
});

/** Where `fd_seek` counts from, as the file service numbers it. */
const fromStart = 0;
const fromPosition = 1;
const fromEnd = 2;

/** What differs between the versions. `whence` maps the program's values to the file service's. */
export const preview1 = {
  name: "wasi_snapshot_preview1",
  whence: [fromStart, fromPosition, fromEnd],
  FileStat: FileStatPreview1,
  ClockSubscription: ClockSubscriptionPreview1,
  DescriptorSubscription: DescriptorSubscriptionPreview1,
} as const;

export const snapshot0 = {
  name: "wasi_unstable",
  whence: [fromPosition, fromEnd, fromStart],
  FileStat: FileStatSnapshot0,
  ClockSubscription: ClockSubscriptionSnapshot0,
  DescriptorSubscription: DescriptorSubscriptionSnapshot0,
} as const;

export type WasiVersion = typeof preview1 | typeof snapshot0;

export const clockId = { realtime: 0, monotonic: 1, processCpuTime: 2, threadCpuTime: 3 } as const;

export const descriptorFlag = { append: 1, dsync: 2, nonblock: 4, rsync: 8, sync: 16 } as const;
export const allDescriptorFlags = 31;

export const openFlag = { create: 1, directory: 2, exclusive: 4, truncate: 8 } as const;
export const allOpenFlags = 15;

/** The one lookup flag. */
export const followSymbolicLink = 1;

export const timesFlag = { access: 1, accessNow: 2, modification: 4, modificationNow: 8 } as const;
export const allTimesFlags = 15;

export const eventType = { clock: 0, read: 1, write: 2 } as const;
export const hangupFlag = 1;
/** Subscription clock flag: the timeout is a time, not a duration. */
export const absoluteTime = 1;
