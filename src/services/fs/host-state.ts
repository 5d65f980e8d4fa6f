/** The state that all kernels share about one mounted host directory. */
import { bytes, f64, i32, lock, struct, u8, u32 } from "../../memory/index.ts";

export const nameLength_bytes_max = 255;

/**
 * A file or directory of the host that programs have seen: where it was found last, and what it was there.
 * Its number, with a generation, is the inode number that programs see. Guarded by `HostTable.mutex`, except
 * `sizeMutex`.
 */
export const HostNode = struct("HostNode", {
  /** Identity on the host. */
  device: f64,
  inodeLow: u32,
  inodeHigh: u32,
  /** Raised whenever the record comes to stand for something else. */
  generation: u32,
  /** Node of the directory it is in; 0 for the root and for free records. */
  parent: u32,
  /** Next in the hash chain, or in the list of free records. */
  next: u32,
  /** 1 while it stands for something. */
  used: u8,
  /** First of its open handles. */
  firstHandle: u32,
  /** Nodes whose `parent` this is. */
  children: u32,
  /** It was asked for since the hand last passed by: the record is not reused yet. */
  recentlyUsed: u8,
  /** The directory was removed: nothing is found in it any more. */
  removed: u8,
  nameLength_bytes: u8,
  /** UTF-8. */
  name: bytes(nameLength_bytes_max),
  /**
   * Held while the file may grow, so that the size an append gives is its own, and what is written behind the
   * end is not cut off by somebody who extends the file. Taken without other locks.
   */
  sizeMutex: lock(),
});

/** An open file; its number is the handle that the virtual file system holds. */
export const HostHandle = struct("HostHandle", {
  /** Open file of the host, valid on every core. */
  file: i32,
  /** The same file opened for appending, −1 until the first append. Guarded by the node's `sizeMutex`. */
  appendFile: i32,
  node: u32,
  /** Next handle of the same node. */
  next: u32,
  /** It was opened for writing. */
  writable: u8,
});

/** One record for the whole mount. */
export const HostTable = struct("HostTable", {
  /** Guards the nodes. Held during the host's own call only where names are removed or moved. */
  mutex: lock(),
  /** First free node, linked by `next`. */
  free: u32,
  used: u32,
  /** Where the search for a node to reuse goes on. */
  hand: u32,
  /** Raised when a name was removed or moved: what was looked up before may be wrong. */
  nameChanges: u32,
  /** Raised when the path of a directory changed: remembered paths are wrong. */
  pathChanges: u32,
});

/** First node of each hash chain. */
export const HostBucket = struct("HostBucket", { head: u32 });
