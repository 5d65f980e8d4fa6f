/**
 * Messages of a proxied file system: the kernel that owns it does what the others ask for.
 *
 * 1. `file_system_request` to the owner: an operation of `FileSystem` with up to three numbers, and in the tail the names,
 *    one behind the other (`split` bytes are the first one's), or the data.
 * 2. `file_system_reply`: what the operation returned, and in the tail what it read: data, a text, an `Attributes` record,
 *    or `Entry` records each with its name behind it.
 *
 * Nothing of the caller's is kept by the owner but open handles, which any kernel may close.
 */
import { f64, struct, u8, u16 } from "../../../memory/index.ts";
import { request } from "../../../message/index.ts";

/** Numbers of the operations. */
export const operation = {
  lookup: 1,
  createFile: 2,
  makeDirectory: 3,
  makeSymbolicLink: 4,
  link: 5,
  unlink: 6,
  removeDirectory: 7,
  rename: 8,
  readSymbolicLink: 9,
  readDirectory: 10,
  stat: 11,
  setTimes: 12,
  setMode: 13,
  open: 14,
  close: 15,
  read: 16,
  write: 17,
  append: 18,
  size: 19,
  truncate: 20,
  extend: 21,
  sync: 22,
  findPath: 23,
} as const;

export const fileSystemRequest = request(
  "file_system",
  { operation: u8, first: f64, second: f64, third: f64, split: u16 },
  { result: f64 },
  { tail: true },
);

/** Most bytes of data that one message carries. */
export const piece_bytes = 3_072;

/** A `Stat`. */
export const Attributes = struct("Attributes", {
  inode: f64,
  fileType: u8,
  linkCount: f64,
  mode: f64,
  size_bytes: f64,
  accessTime_ns: f64,
  modificationTime_ns: f64,
  changeTime_ns: f64,
});

/** A directory entry; its name follows. */
export const Entry = struct("Entry", { next: f64, inode: f64, fileType: u8, nameLength: u8 });
