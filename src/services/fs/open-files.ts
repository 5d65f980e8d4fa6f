/**
 * Open files: the shared records behind descriptors. A record belongs to whoever holds a reference; the last
 * `release` closes what it stands for, on whichever kernel that happens. `file-data.ts` reads and writes
 * through them.
 */
import { errno } from "../../kernel/errno.ts";
import { type OpenFile, openFileKind } from "../../kernel/state.ts";
import type { Pool } from "../../memory/index.ts";
import type { Devices } from "../device/devices.ts";
import type { NetworkService } from "../network/network.ts";
import type { Pipes } from "../pipe/pipes.ts";
import { type FileType, fileType } from "./filesystem.ts";
import type { Mounts } from "./mounts.ts";

/** WASI fdflags. */
export const fileFlag = { append: 1, dsync: 2, nonblock: 4, rsync: 8, sync: 16 } as const;
const everyFlag = 31;
/** In `handle`: the open file has none. */
export const noHandle = -1;

export class OpenFiles {
  readonly records: Pool<typeof OpenFile.fields>["records"];
  private readonly pool: Pool<typeof OpenFile.fields>;
  private readonly mounts: Mounts;
  private readonly pipes: Pipes;
  private readonly devices: Devices;
  private readonly owner: number;
  private readonly network: NetworkService | undefined;

  /** @param network of a system that has sockets. */
  constructor(
    pool: Pool<typeof OpenFile.fields>,
    mounts: Mounts,
    pipes: Pipes,
    devices: Devices,
    owner: number,
    network?: NetworkService,
  ) {
    this.pool = pool;
    this.records = pool.records;
    this.mounts = mounts;
    this.pipes = pipes;
    this.devices = devices;
    this.owner = owner;
    this.network = network;
  }

  // Life of a record.

  /** A record for a file or directory whose handle and mount the caller hands over; −NFILE leaves them to it. */
  makeForHandle(
    kind: number,
    type: number,
    mount: number,
    inode: number,
    handle: number,
    flags: number,
  ): number {
    const file = this.make(kind, type, flags, 0);
    if (file < 0) return file;
    this.records.setMount(file, mount);
    this.records.setInode(file, inode);
    this.records.setHandle(file, handle);
    return file;
  }

  /** A record for a device; `mount` and `inode` name its node in `/dev`, 0 for none. Takes over the mount. */
  makeForDevice(device: number, mount: number, inode: number, flags: number): number {
    const session = this.devices.get(device)?.openSession?.() ?? 0;
    if (session < 0) return session;
    const file = this.make(openFileKind.device, fileType.characterDevice, flags, device);
    if (file < 0) {
      if (session > 0) this.devices.get(device)?.closeSession?.(session);
      return file;
    }
    this.records.setSession(file, session);
    this.records.setMount(file, mount);
    this.records.setInode(file, inode);
    return file;
  }

  /** Both ends of a new pipe, or a negated errno. */
  makePipe(): { reader: number; writer: number } | number {
    const pipe = this.pipes.create();
    if (pipe < 0) return pipe;
    const reader = this.make(openFileKind.pipeReader, fileType.unknown, 0, pipe);
    if (reader < 0) {
      this.pipes.closeReader(pipe);
      this.pipes.closeWriter(pipe);
      return reader;
    }
    const writer = this.make(openFileKind.pipeWriter, fileType.unknown, 0, pipe);
    if (writer < 0) {
      this.release(reader);
      this.pipes.closeWriter(pipe);
      return writer;
    }
    return { reader, writer };
  }

  /** A new datagram socket, or a negated errno. */
  makeSocket(flags: number): number {
    const { network } = this;
    if (network === undefined) return -errno.AFNOSUPPORT;
    const socket = network.open();
    if (socket < 0) return socket;
    const file = this.make(openFileKind.socket, fileType.socketDatagram, flags, socket);
    if (file < 0) network.close(socket);
    return file;
  }

  private make(kind: number, type: number, flags: number, object: number): number {
    const file = this.pool.allocate(this.owner);
    if (file < 0) return -errno.NFILE;
    const { records } = this;
    records.setReferences(file, 1);
    records.setShared(file, 0);
    records.setFileType(file, type);
    records.setFlags(file, flags & everyFlag);
    records.setMount(file, 0);
    records.setInode(file, 0);
    records.setHandle(file, noHandle);
    records.setObject(file, object);
    records.setSession(file, 0);
    records.setPosition(file, 0);
    records.setKind(file, kind);
    return file;
  }

  /** Whether a number, which may be any, is that of an open file. */
  isOpen(file: number): boolean {
    if (!Number.isInteger(file) || file < 1 || file > this.pool.capacity) return false;
    const references = this.records.references(file);
    return references > 0 && references < 0x80000000;
  }

  retain(file: number): void {
    this.records.setShared(file, 1);
    this.records.addReferences(file, 1);
  }

  /**
   * Gives up one reference.
   * @throws Error when there is none: somebody released what was not theirs.
   */
  release(file: number): void {
    const before = this.records.addReferences(file, -1);
    if (before > 1 && before < 0x80000000) return;
    if (before !== 1) {
      this.records.addReferences(file, 1);
      throw new Error(`open file ${file} is released, but nobody holds it`);
    }
    this.close(file);
  }

  private close(file: number): void {
    const { records } = this;
    const kind = records.kind(file);
    const mount = records.mount(file);
    const handle = records.handle(file);
    const object = records.object(file);
    const session = records.session(file);
    records.setKind(file, openFileKind.none);
    if (handle !== noHandle) this.mounts.fileSystem(mount).close(handle);
    if (mount !== 0) this.mounts.leave(mount);
    if (kind === openFileKind.pipeReader) this.pipes.closeReader(object);
    else if (kind === openFileKind.pipeWriter) this.pipes.closeWriter(object);
    else if (kind === openFileKind.socket) this.network?.close(object);
    else if (session !== 0) this.devices.get(object)?.closeSession?.(session);
    this.pool.free(file, this.owner);
  }

  // What a record says.

  /** One of `openFileKind`. */
  kind(file: number): number {
    return this.records.kind(file);
  }

  fileType(file: number): FileType {
    return this.records.fileType(file) as FileType;
  }

  flags(file: number): number {
    return this.records.flags(file);
  }

  setFlags(file: number, flags: number): number {
    if ((flags & ~everyFlag) !== 0) return -errno.INVAL;
    this.records.setFlags(file, flags);
    return 0;
  }

  mount(file: number): number {
    return this.records.mount(file);
  }

  inode(file: number): number {
    return this.records.inode(file);
  }

  isTerminal(file: number): boolean {
    return (
      this.records.kind(file) === openFileKind.device &&
      this.devices.get(this.records.object(file))?.isTerminal === true
    );
  }

  /** Bytes waiting in a pipe, for `stat`. */
  pipeFilled(file: number): number {
    const kind = this.records.kind(file);
    const isPipe = kind === openFileKind.pipeReader || kind === openFileKind.pipeWriter;
    return isPipe ? this.pipes.filled(this.records.object(file)) : 0;
  }

  /** What the pipe of one of its ends holds, which stays in it. */
  pipeContent(file: number): Uint8Array {
    return this.pipes.peek(this.records.object(file));
  }

  /** Frees the locks of a core that died. What only it knew of stays open. */
  recover(deadOwner: number): void {
    for (let file = 1; file <= this.pool.capacity; file++) {
      if (this.records.ownerOfMutex(file) === deadOwner) this.records.releaseMutex(file, deadOwner);
    }
  }
}
