/**
 * Pipes: rings of bytes in island pages, shared by all kernels. POSIX semantics: a write of at most
 * `atomicWrite_bytes` is never split; no writer left means end of file, no reader left −PIPE.
 *
 * Nothing here sleeps. A call that cannot proceed gives −AGAIN, and the caller waits on the pipe's queue and
 * repeats it. Readers are woken when an empty pipe gets bytes, writers when there is room enough for the most
 * modest of them (`roomWanted_bytes`), both when the other side is gone.
 *
 * Lock order: `Pipe.mutex` is held only while bytes are copied and counters change; waking happens after its
 * release.
 */
import { errno } from "../../kernel/errno.ts";
import type { Pipe, WaitQueue } from "../../kernel/state.ts";
import type { WaitService } from "../../kernel/wait.ts";
import type { Ram } from "../../machine/ram.ts";
import type { Pool } from "../../memory/index.ts";
import { type Mover, page_bytes, pageUser } from "../pages/index.ts";

/** The island's page allocator, as this service needs it. */
export interface PageSource {
  /** Absolute byte offset of 2^order pages for a user's `index`, or −1. */
  allocate(order: number, user?: number, index?: number): number;
  free(offset: number, order: number): void;
}

/** POSIX's PIPE_BUF. */
export const atomicWrite_bytes = 4096;
const bufferOrder = 4;
export const capacity_bytes = page_bytes << bufferOrder;
const nobodyWants = 0xffffffff;

export interface PipeAreas {
  readonly pipes: Pool<typeof Pipe.fields>;
  readonly waitQueues: Pool<typeof WaitQueue.fields>;
}

export class Pipes {
  /** Moves buffers of pipes: to be registered with the page allocator for `pageUser.pipe`. */
  readonly mover: Mover;
  private readonly pool: Pool<typeof Pipe.fields>;
  private readonly records: Pool<typeof Pipe.fields>["records"];
  private readonly queues: Pool<typeof WaitQueue.fields>;
  private readonly pages: PageSource;
  private readonly ram: Ram;
  private readonly waits: WaitService;
  private readonly owner: number;

  constructor(areas: PipeAreas, ram: Ram, pages: PageSource, waits: WaitService, owner: number) {
    this.pool = areas.pipes;
    this.records = areas.pipes.records;
    this.queues = areas.waitQueues;
    this.pages = pages;
    this.ram = ram;
    this.waits = waits;
    this.owner = owner;
    this.mover = {
      move: (pipe, from, to, _order, moved) => this.moveBuffer(pipe, from, to, moved),
      isAt: (pipe, offset) => this.pool.ownerOf(pipe) !== 0 && this.records.buffer(pipe) === offset,
    };
  }

  /** A pipe with one reader and one writer, or −NFILE, −NOMEM. */
  create(): number {
    const pipe = this.pool.allocate(this.owner);
    if (pipe < 0) return -errno.NFILE;
    const readQueue = this.queues.allocate(this.owner);
    const writeQueue = readQueue < 0 ? -1 : this.queues.allocate(this.owner);
    const buffer = writeQueue < 0 ? -1 : this.pages.allocate(bufferOrder, pageUser.pipe, pipe);
    if (buffer < 0) {
      if (writeQueue >= 0) this.queues.free(writeQueue, this.owner);
      if (readQueue >= 0) this.queues.free(readQueue, this.owner);
      this.pool.free(pipe, this.owner);
      return writeQueue < 0 ? -errno.NFILE : -errno.NOMEM;
    }
    const { records } = this;
    // Locked, because the buffer may be wanted elsewhere (`moveBuffer`) as soon as it is allocated.
    records.acquireMutex(pipe, this.owner);
    records.setHead(pipe, 0);
    records.setTail(pipe, 0);
    records.setCapacity_bytes(pipe, capacity_bytes);
    records.setBuffer(pipe, buffer);
    records.setBufferOrder(pipe, bufferOrder);
    // A queue's list is empty when it comes from the pool, or holds only threads that were woken already and
    // are about to leave it; it is not ours to reset.
    records.setReadQueue(pipe, readQueue);
    records.setWriteQueue(pipe, writeQueue);
    records.setRoomWanted_bytes(pipe, nobodyWants);
    records.setReaders(pipe, 1);
    records.setWriters(pipe, 1);
    records.releaseMutex(pipe, this.owner);
    return pipe;
  }

  /** Bytes read; 0 at the end (or for length 0); −AGAIN while the pipe is empty and somebody may still write. */
  read(pipe: number, target: Uint8Array, offset: number, length: number): number {
    if (length === 0) return 0;
    const { records } = this;
    records.acquireMutex(pipe, this.owner);
    const head = records.head(pipe);
    const filled = (records.tail(pipe) - head) >>> 0;
    if (filled === 0) {
      const ended = records.writers(pipe) === 0;
      records.releaseMutex(pipe, this.owner);
      return ended ? 0 : -errno.AGAIN;
    }
    const count = Math.min(filled, length);
    this.copyOut(pipe, head, target, offset, count);
    records.setHead(pipe, (head + count) >>> 0);
    const wake = records.capacity_bytes(pipe) - filled + count >= records.roomWanted_bytes(pipe);
    if (wake) records.setRoomWanted_bytes(pipe, nobodyWants);
    records.releaseMutex(pipe, this.owner);
    if (wake) this.waits.wake(records.writeQueue(pipe));
    return count;
  }

  /**
   * Bytes written: all of them up to `atomicWrite_bytes`, possibly fewer above it. −AGAIN when there is no
   * room, −PIPE when nobody can read.
   */
  write(pipe: number, source: Uint8Array, offset: number, length: number): number {
    const { records } = this;
    records.acquireMutex(pipe, this.owner);
    if (records.readers(pipe) === 0) {
      records.releaseMutex(pipe, this.owner);
      return -errno.PIPE;
    }
    const tail = records.tail(pipe);
    const filled = (tail - records.head(pipe)) >>> 0;
    const room = records.capacity_bytes(pipe) - filled;
    const needed = length <= atomicWrite_bytes ? length : 1;
    if (room < needed) {
      this.want(pipe, needed);
      records.releaseMutex(pipe, this.owner);
      return -errno.AGAIN;
    }
    const count = Math.min(room, length);
    this.copyIn(pipe, tail, source, offset, count);
    records.setTail(pipe, (tail + count) >>> 0);
    records.releaseMutex(pipe, this.owner);
    if (filled === 0 && count > 0) this.waits.wake(records.readQueue(pipe));
    return count;
  }

  /** Bytes that can be read, 0 at the end of file; −AGAIN when a read would have to wait. */
  pollRead(pipe: number): number {
    const { records } = this;
    records.acquireMutex(pipe, this.owner);
    const filled = this.filled(pipe);
    const ended = records.writers(pipe) === 0;
    records.releaseMutex(pipe, this.owner);
    return filled > 0 || ended ? filled : -errno.AGAIN;
  }

  /** Room for writing, at least an atomic write's worth; 0 when nobody reads any more; −AGAIN otherwise. */
  pollWrite(pipe: number): number {
    const { records } = this;
    records.acquireMutex(pipe, this.owner);
    const ended = records.readers(pipe) === 0;
    const filled = (records.tail(pipe) - records.head(pipe)) >>> 0;
    const room = records.capacity_bytes(pipe) - filled;
    const ready = room >= atomicWrite_bytes;
    if (!ready && !ended) this.want(pipe, atomicWrite_bytes);
    records.releaseMutex(pipe, this.owner);
    if (ended) return 0;
    return ready ? room : -errno.AGAIN;
  }

  /** What the pipe holds, which stays in it. */
  peek(pipe: number): Uint8Array {
    const { records } = this;
    records.acquireMutex(pipe, this.owner);
    const content = new Uint8Array(this.filled(pipe));
    this.copyOut(pipe, records.head(pipe), content, 0, content.length);
    records.releaseMutex(pipe, this.owner);
    return content;
  }

  /** Bytes in the pipe; only roughly without its lock. */
  filled(pipe: number): number {
    return (this.records.tail(pipe) - this.records.head(pipe)) >>> 0;
  }

  readersGone(pipe: number): boolean {
    return this.records.readers(pipe) === 0;
  }

  writersGone(pipe: number): boolean {
    return this.records.writers(pipe) === 0;
  }

  readQueue(pipe: number): number {
    return this.records.readQueue(pipe);
  }

  writeQueue(pipe: number): number {
    return this.records.writeQueue(pipe);
  }

  closeReader(pipe: number): void {
    const { records } = this;
    records.acquireMutex(pipe, this.owner);
    const left = records.readers(pipe) - 1;
    records.setReaders(pipe, left);
    const unused = left === 0 && records.writers(pipe) === 0;
    records.releaseMutex(pipe, this.owner);
    if (unused) this.destroy(pipe);
    else if (left === 0) this.waits.wake(records.writeQueue(pipe));
  }

  closeWriter(pipe: number): void {
    const { records } = this;
    records.acquireMutex(pipe, this.owner);
    const left = records.writers(pipe) - 1;
    records.setWriters(pipe, left);
    const unused = left === 0 && records.readers(pipe) === 0;
    records.releaseMutex(pipe, this.owner);
    if (unused) this.destroy(pipe);
    else if (left === 0) this.waits.wake(records.readQueue(pipe));
  }

  /**
   * Cleans up behind a core that died: frees its locks, and wakes everybody whom it may have been about to wake.
   * Bytes it was copying count as not written or not read. A pipe that it was making or taking apart is lost.
   */
  recover(deadOwner: number): void {
    const { records } = this;
    for (let pipe = 1; pipe <= this.pool.capacity; pipe++) {
      if (this.pool.ownerOf(pipe) === 0) continue;
      if (records.ownerOfMutex(pipe) === deadOwner) records.releaseMutex(pipe, deadOwner);
      this.waits.wake(records.readQueue(pipe));
      this.waits.wake(records.writeQueue(pipe));
    }
  }

  /** See `Mover.move`. */
  private moveBuffer(pipe: number, from: number, to: number, moved: () => void): boolean {
    const { records, ram } = this;
    // Whoever has the lock may be waiting for this core.
    if (records.ownerOfMutex(pipe) !== 0 || !records.tryAcquireMutex(pipe, this.owner)) return false;
    try {
      // One that is being made or taken apart has no readers and writers; its buffer is about to be set or freed.
      if (records.readers(pipe) + records.writers(pipe) === 0 || records.buffer(pipe) !== from) return false;
      const piece = new Uint8Array(page_bytes);
      for (let at = 0; at < records.capacity_bytes(pipe); at += page_bytes) {
        ram.copyOut(from + at, page_bytes, piece, 0);
        ram.copyIn(piece, 0, page_bytes, to + at);
      }
      records.setBuffer(pipe, to);
      moved();
      return true;
    } finally {
      records.releaseMutex(pipe, this.owner);
    }
  }

  private want(pipe: number, room_bytes: number): void {
    if (room_bytes < this.records.roomWanted_bytes(pipe)) this.records.setRoomWanted_bytes(pipe, room_bytes);
  }

  private destroy(pipe: number): void {
    const { records } = this;
    const readQueue = records.readQueue(pipe);
    const writeQueue = records.writeQueue(pipe);
    this.pages.free(records.buffer(pipe), records.bufferOrder(pipe));
    this.pool.free(pipe, this.owner);
    // Whoever still waits sees that its descriptor is gone.
    this.waits.wake(readQueue);
    this.waits.wake(writeQueue);
    this.queues.free(readQueue, this.owner);
    this.queues.free(writeQueue, this.owner);
  }

  private copyOut(pipe: number, head: number, target: Uint8Array, offset: number, count: number): void {
    const { ram, records } = this;
    const buffer = records.buffer(pipe);
    const start = head & (records.capacity_bytes(pipe) - 1);
    const untilWrap = Math.min(count, records.capacity_bytes(pipe) - start);
    ram.copyOut(buffer + start, untilWrap, target, offset);
    if (untilWrap < count) ram.copyOut(buffer, count - untilWrap, target, offset + untilWrap);
  }

  private copyIn(pipe: number, tail: number, source: Uint8Array, offset: number, count: number): void {
    const { ram, records } = this;
    const buffer = records.buffer(pipe);
    const start = tail & (records.capacity_bytes(pipe) - 1);
    const untilWrap = Math.min(count, records.capacity_bytes(pipe) - start);
    ram.copyIn(source, offset, untilWrap, buffer + start);
    if (untilWrap < count) ram.copyIn(source, offset + untilWrap, count - untilWrap, buffer);
  }
}
