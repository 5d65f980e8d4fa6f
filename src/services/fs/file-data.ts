/**
 * Reading, writing and waiting through open files.
 *
 * A reference is used by one thread at a time, so the position of a file that never had a second one needs no
 * lock: that saves a fifth of a small write. Once it had (descriptors inherited by other processes), `mutex`
 * guards it. Threads that share a descriptor must hold a reference each while they use it.
 *
 * Lock order: an open file's `mutex` comes before the locks of its file system. Nothing here sleeps: what would
 * have to wait gives −AGAIN, with `readQueue` and `writeQueue` to wait on.
 */
import { errno } from "../../kernel/errno.ts";
import { openFileKind } from "../../kernel/state.ts";
import type { CharacterDevice, Devices } from "../device/devices.ts";
import type { NetworkService } from "../network/network.ts";
import type { Received } from "../network/receive-ring.ts";
import type { Pipes } from "../pipe/pipes.ts";
import type { Mounts } from "./mounts.ts";
import { fileFlag, noHandle, type OpenFiles } from "./open-files.ts";

const flagsThatSync = fileFlag.dsync | fileFlag.sync;
export const whence = { set: 0, current: 1, end: 2 } as const;
/** What a poll for writing to a regular file says. */
const alwaysReady_bytes = 65_536;

export class FileData {
  private readonly openFiles: OpenFiles;
  private readonly records: OpenFiles["records"];
  private readonly mounts: Mounts;
  private readonly pipes: Pipes;
  private readonly devices: Devices;
  private readonly owner: number;
  private readonly network: NetworkService | undefined;
  private readonly received: Received = { address: 0, port: 0, length: 0 };

  /** @param network of a system that has sockets. */
  constructor(
    openFiles: OpenFiles,
    mounts: Mounts,
    pipes: Pipes,
    devices: Devices,
    owner: number,
    network?: NetworkService,
  ) {
    this.openFiles = openFiles;
    this.records = openFiles.records;
    this.mounts = mounts;
    this.pipes = pipes;
    this.devices = devices;
    this.owner = owner;
    this.network = network;
  }

  /**
   * Reads at the position and moves it. Bytes read, 0 at the end, −AGAIN when there is nothing yet. `thread` is who
   * asks, for devices to which that matters.
   */
  read(file: number, target: Uint8Array, offset: number, length: number, thread = 0): number {
    if (!isInside(target, offset, length)) return -errno.FAULT;
    const { records } = this;
    switch (records.kind(file)) {
      case openFileKind.file: {
        const fileSystem = this.mounts.fileSystem(records.mount(file));
        const shared = this.lockPosition(file);
        const position = records.position(file);
        const count = fileSystem.read(records.handle(file), target, offset, length, position);
        if (count > 0) records.setPosition(file, position + count);
        if (shared) records.releaseMutex(file, this.owner);
        return count;
      }
      case openFileKind.pipeReader:
        return this.pipes.read(records.object(file), target, offset, length);
      case openFileKind.device:
        return this.device(file)?.read(target, offset, length, records.session(file), thread) ?? -errno.NXIO;
      case openFileKind.socket:
        return (
          this.network?.receive(records.object(file), target, offset, length, this.received) ?? -errno.BADF
        );
      case openFileKind.directory:
        return -errno.ISDIR;
      default:
        return -errno.BADF;
    }
  }

  /** Writes at the position, or with the append flag at the end as one step. Bytes written. */
  write(file: number, source: Uint8Array, offset: number, length: number, thread = 0): number {
    if (!isInside(source, offset, length)) return -errno.FAULT;
    const { records } = this;
    switch (records.kind(file)) {
      case openFileKind.file:
        return this.writeFile(file, source, offset, length);
      case openFileKind.pipeWriter:
        return this.pipes.write(records.object(file), source, offset, length);
      case openFileKind.device:
        return this.device(file)?.write(source, offset, length, records.session(file), thread) ?? -errno.NXIO;
      case openFileKind.socket:
        return this.network?.send(records.object(file), source, offset, length, 0, 0) ?? -errno.BADF;
      case openFileKind.directory:
        return -errno.ISDIR;
      default:
        return -errno.BADF;
    }
  }

  private writeFile(file: number, source: Uint8Array, offset: number, length: number): number {
    const { records } = this;
    const fileSystem = this.mounts.fileSystem(records.mount(file));
    const handle = records.handle(file);
    const flags = records.flags(file);
    const shared = this.lockPosition(file);
    let count: number;
    if ((flags & fileFlag.append) !== 0) {
      const end = length === 0 ? 0 : fileSystem.append(handle, source, offset, length);
      if (end > 0) records.setPosition(file, end);
      count = end < 0 ? end : length;
    } else {
      const position = records.position(file);
      count = fileSystem.write(handle, source, offset, length, position);
      if (count > 0) records.setPosition(file, position + count);
    }
    if (shared) records.releaseMutex(file, this.owner);
    return (flags & flagsThatSync) !== 0 && count > 0 ? this.synced(file, count) : count;
  }

  /** Whether the position had to be locked; the caller then releases `mutex`. */
  private lockPosition(file: number): boolean {
    if (this.records.shared(file) === 0) return false;
    this.records.acquireMutex(file, this.owner);
    return true;
  }

  private synced(file: number, count: number): number {
    const result = this.sync(file);
    return result < 0 ? result : count;
  }

  /** Reads at `position` and leaves the file's own alone. −SPIPE where there are no positions. */
  readAt(file: number, target: Uint8Array, offset: number, length: number, position: number): number {
    if (!isInside(target, offset, length)) return -errno.FAULT;
    if (!isPosition(position)) return -errno.INVAL;
    const { records } = this;
    switch (records.kind(file)) {
      case openFileKind.file:
        return this.mounts
          .fileSystem(records.mount(file))
          .read(records.handle(file), target, offset, length, position);
      case openFileKind.device:
        if (this.openFiles.isTerminal(file)) return -errno.SPIPE;
        return (
          this.device(file)?.readAt?.(target, offset, length, position, records.session(file)) ??
          this.read(file, target, offset, length)
        );
      default:
        return this.notPositioned(file);
    }
  }

  /** Writes at `position`, also with the append flag, and leaves the file's own position alone. */
  writeAt(file: number, source: Uint8Array, offset: number, length: number, position: number): number {
    if (!isInside(source, offset, length)) return -errno.FAULT;
    if (!isPosition(position)) return -errno.INVAL;
    const { records } = this;
    switch (records.kind(file)) {
      case openFileKind.file: {
        const fileSystem = this.mounts.fileSystem(records.mount(file));
        const count = fileSystem.write(records.handle(file), source, offset, length, position);
        return (records.flags(file) & flagsThatSync) !== 0 && count > 0 ? this.synced(file, count) : count;
      }
      case openFileKind.device:
        if (this.openFiles.isTerminal(file)) return -errno.SPIPE;
        return (
          this.device(file)?.writeAt?.(source, offset, length, position, records.session(file)) ??
          this.write(file, source, offset, length)
        );
      default:
        return this.notPositioned(file);
    }
  }

  /** Why an open file has no positions. */
  private notPositioned(file: number): number {
    switch (this.records.kind(file)) {
      case openFileKind.pipeReader:
      case openFileKind.pipeWriter:
      case openFileKind.socket:
        return -errno.SPIPE;
      case openFileKind.directory:
        return -errno.ISDIR;
      default:
        return -errno.BADF;
    }
  }

  /** Moves the position; the new one, or −INVAL, −OVERFLOW, −SPIPE. `from` is one of `whence`. */
  seek(file: number, delta: number, from: number): number {
    const { records } = this;
    switch (records.kind(file)) {
      case openFileKind.file:
        break;
      case openFileKind.device:
        return this.openFiles.isTerminal(file) ? -errno.SPIPE : 0;
      case openFileKind.directory:
        return -errno.BADF;
      default:
        return this.notPositioned(file);
    }
    if (from !== whence.set && from !== whence.current && from !== whence.end) return -errno.INVAL;
    const end = from === whence.end ? this.size(file) : 0;
    if (end < 0) return end;
    const shared = this.lockPosition(file);
    const start = from === whence.current ? records.position(file) : end;
    const position = start + delta;
    const valid = isPosition(position);
    if (valid) records.setPosition(file, position);
    if (shared) records.releaseMutex(file, this.owner);
    return valid ? position : position < 0 ? -errno.INVAL : -errno.OVERFLOW;
  }

  tell(file: number): number {
    return this.records.kind(file) === openFileKind.file
      ? this.records.position(file)
      : this.seek(file, 0, whence.set);
  }

  private size(file: number): number {
    return this.mounts.fileSystem(this.records.mount(file)).size(this.records.handle(file));
  }

  truncate(file: number, size_bytes: number): number {
    if (this.records.kind(file) !== openFileKind.file) return -errno.INVAL;
    if (!isPosition(size_bytes)) return size_bytes < 0 ? -errno.INVAL : -errno.FBIG;
    return this.mounts.fileSystem(this.records.mount(file)).truncate(this.records.handle(file), size_bytes);
  }

  /**
   * Makes the file at least `offset + length` bytes long. The space itself is not reserved: the file systems
   * here fill holes when they are written.
   */
  allocate(file: number, offset: number, length: number): number {
    const kind = this.records.kind(file);
    if (kind === openFileKind.pipeReader || kind === openFileKind.pipeWriter) return -errno.SPIPE;
    if (kind !== openFileKind.file) return -errno.NODEV;
    if (!isPosition(offset) || !isPosition(length) || length === 0) return -errno.INVAL;
    const end = offset + length;
    if (!isPosition(end)) return -errno.FBIG;
    const { records } = this;
    return this.mounts.fileSystem(records.mount(file)).extend(records.handle(file), end);
  }

  sync(file: number): number {
    const handle = this.records.handle(file);
    return handle === noHandle ? 0 : this.mounts.fileSystem(this.records.mount(file)).sync(handle);
  }

  // Waiting.

  /** Zero or more when a read would not wait: bytes there are, 0 at the end or for an error. −AGAIN otherwise. */
  pollRead(file: number): number {
    const { records } = this;
    switch (records.kind(file)) {
      case openFileKind.pipeReader:
        return this.pipes.pollRead(records.object(file));
      case openFileKind.device:
        return this.device(file)?.pollRead(records.session(file)) ?? 0;
      case openFileKind.socket:
        return this.network?.pollReceive(records.object(file)) ?? 0;
      case openFileKind.file:
        return Math.max(0, this.size(file) - records.position(file));
      default:
        return 0;
    }
  }

  /** Zero or more when a write would not wait: room there is, 0 where it would fail. −AGAIN otherwise. */
  pollWrite(file: number): number {
    const { records } = this;
    switch (records.kind(file)) {
      case openFileKind.pipeWriter:
        return this.pipes.pollWrite(records.object(file));
      case openFileKind.device:
        return this.device(file)?.pollWrite(records.session(file)) ?? 0;
      case openFileKind.socket:
        return this.network?.pollSend(records.object(file)) ?? 0;
      case openFileKind.file:
        return alwaysReady_bytes;
      default:
        return 0;
    }
  }

  /** The other side of a pipe is gone. */
  hangup(file: number): boolean {
    const { records } = this;
    switch (records.kind(file)) {
      case openFileKind.pipeReader:
        return this.pipes.writersGone(records.object(file));
      case openFileKind.pipeWriter:
        return this.pipes.readersGone(records.object(file));
      case openFileKind.socket:
        return this.network?.isShut(records.object(file)) ?? false;
      default:
        return false;
    }
  }

  /** Queue to wait on after a read gave −AGAIN; 0 for what never blocks. */
  readQueue(file: number): number {
    const { records } = this;
    switch (records.kind(file)) {
      case openFileKind.pipeReader:
        return this.pipes.readQueue(records.object(file));
      case openFileKind.device:
        return this.deviceQueue(file, "readQueue");
      case openFileKind.socket:
        return this.network?.receiveQueue(records.object(file)) ?? 0;
      default:
        return 0;
    }
  }

  /** Queue to wait on after a write gave −AGAIN; 0 for what never blocks. */
  writeQueue(file: number): number {
    const { records } = this;
    switch (records.kind(file)) {
      case openFileKind.pipeWriter:
        return this.pipes.writeQueue(records.object(file));
      case openFileKind.device:
        return this.deviceQueue(file, "writeQueue");
      case openFileKind.socket:
        return this.network?.transmitQueue ?? 0;
      default:
        return 0;
    }
  }

  /** Moves bytes by the device itself, see `CharacterDevice.transfer`; −NOTTY for everything else. */
  transfer(file: number, length: number, thread: number): number {
    const { records } = this;
    if (records.kind(file) !== openFileKind.device) return -errno.NOTTY;
    return this.device(file)?.transfer?.(length, records.session(file), thread) ?? -errno.NOTTY;
  }

  private deviceQueue(file: number, which: "readQueue" | "writeQueue"): number {
    const device = this.device(file);
    return device?.queueOf?.(this.records.session(file)) ?? device?.[which] ?? 0;
  }

  private device(file: number): CharacterDevice | undefined {
    return this.devices.get(this.records.object(file));
  }
}

/** Data calls take locks, so a bad buffer must be found before, not by an exception in between. */
function isInside(buffer: Uint8Array, offset: number, length: number): boolean {
  return offset >= 0 && length >= 0 && offset + length <= buffer.length;
}

function isPosition(value: number): boolean {
  return value >= 0 && value <= Number.MAX_SAFE_INTEGER && Number.isInteger(value);
}
