/**
 * Devices that a machine offers to its kernels. All calls are synchronous: a core that waits for a device
 * waits inside the call.
 */

/**
 * A disk: a fixed number of bytes that outlives the machine, usable from every core. Each core holds its own
 * `Disk` object for the same disk; what one core has written is at once read by the others.
 */
export interface Disk {
  readonly size_bytes: number;
  readonly readOnly: boolean;
  /**
   * Reads `length` bytes at `position` of the disk into `target[offset, offset + length)`, which may lie in
   * shared memory. The number of bytes read, or a negated errno; fewer than `length` only at the disk's end.
   */
  read(target: Uint8Array, offset: number, length: number, position: number): number;
  /** Writes `source[offset, offset + length)` at `position`. The number of bytes written, or a negated errno. */
  write(source: Uint8Array, offset: number, length: number, position: number): number;
  /** Makes everything written so far durable. Zero, or a negated errno. */
  flush(): number;
}

/** What a file of a host directory is. Times are nanoseconds since 1970. */
export interface HostStatus {
  /** Identity on the host: device, and inode number as two 32-bit halves. */
  device: number;
  inodeLow: number;
  inodeHigh: number;
  /** POSIX `st_mode`: type bits and permission bits. */
  mode: number;
  linkCount: number;
  size_bytes: number;
  accessTime_ns: number;
  modificationTime_ns: number;
  changeTime_ns: number;
}

/**
 * A directory of the host and everything below it. Each core holds its own object for the same directory.
 *
 * A place is named by the path of its directory relative to the root ("" is the root, "a/b" two levels down)
 * and one name in it; the empty name is the directory itself. No call follows a symbolic link, in whatever
 * part of a path, and none leaves the root, whoever changes the tree at the same time. Open files are numbers
 * that every core may use. Results: zero or more, or a negated errno. A read-only one answers −EROFS to
 * everything that would change something.
 */
export interface HostDirectory {
  readonly readOnly: boolean;

  status(directory: string, name: string, into: HostStatus): number;
  statusOfFile(file: number, into: HostStatus): number;
  /** Names in a directory without "." and "..", as the bytes the host has, in no order. */
  list(directory: string): Uint8Array[] | number;
  readSymbolicLink(directory: string, name: string): string | number;

  /** Creates an empty regular file that was not there. */
  createFile(directory: string, name: string, mode: number): number;
  makeDirectory(directory: string, name: string, mode: number): number;
  /** −EPERM for a target that is absolute or leads out of the root. */
  makeSymbolicLink(directory: string, name: string, target: string): number;
  link(fromDirectory: string, fromName: string, toDirectory: string, toName: string): number;
  unlink(directory: string, name: string): number;
  removeDirectory(directory: string, name: string): number;
  rename(fromDirectory: string, fromName: string, toDirectory: string, toName: string): number;
  setMode(directory: string, name: string, mode: number): number;
  setModeOfFile(file: number, mode: number): number;
  /** Each time: nanoseconds since 1970, or −1 to leave it. */
  setTimes(directory: string, name: string, accessTime_ns: number, modificationTime_ns: number): number;
  setTimesOfFile(file: number, accessTime_ns: number, modificationTime_ns: number): number;

  /** Opens a regular file or a directory. −ELOOP for a symbolic link, −EACCES for devices, FIFOs, sockets. */
  open(directory: string, name: string, write: boolean): number;
  /** A second open file whose writes all go to the end. −ENOTSUP where the host cannot do that. */
  openForAppend(file: number): number;
  close(file: number): void;
  /** The buffers of `read` and `write` may lie in shared memory. */
  read(file: number, target: Uint8Array, offset: number, length: number, position: number): number;
  write(file: number, source: Uint8Array, offset: number, length: number, position: number): number;
  /** For a file of `openForAppend`. */
  writeAtEnd(file: number, source: Uint8Array, offset: number, length: number): number;
  size(file: number): number;
  setSize(file: number, size_bytes: number): number;
  flush(file: number): number;

  /** Gives back what this core's object holds; open files stay open. */
  dispose(): void;
}
