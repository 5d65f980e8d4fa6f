/**
 * The DMA driver: copies memory to memory by the machine's DMA engine. All state is shared (`state.ts`), and any kernel
 * runs the driver on it. A kernel ends only what kernels of its own island have started: which that is, the engine
 * tells without a look at shared memory (`DmaEngine`, lines). Should a kernel take the interrupt for another island's
 * transfers, it tells a kernel there. So the records of transfers, queues and threads of one island stay there; only
 * the `DmaBlock` goes to and fro.
 *
 * A transfer, as in K2's benchmarks: 1. the source is written back from the cache, the target is cleared;
 * 2. it takes a free channel, or waits in line for one; 3. the engine copies, and the caller sleeps; 4. the
 * interrupt frees the channel, gives it to the next in line and wakes the caller; 5. the caller repeats its request,
 * which finds that it is done.
 *
 * Nothing here sleeps. What would have to wait gives −AGAIN, with `queueOf` to wait on.
 *
 * Lock order: the mutex of the `DmaBlock` is held only while states change; nobody is woken under it. Each change is
 * ordered so that `recover` can tell how far it came.
 */
import { errno } from "../../kernel/errno.ts";
import type { WaitQueue } from "../../kernel/state.ts";
import type { WaitService } from "../../kernel/wait.ts";
import type { Ram } from "../../machine/ram.ts";
import type { DmaEngine, Soc } from "../../machine/soc.ts";
import type { Pool, TypedMemory } from "../../memory/index.ts";
import type { PageSource } from "../pipe/pipes.ts";
import { DmaBuffers } from "./buffers.ts";
import { DmaQueue } from "./queue.ts";
import { attachDmaAreas, createDmaAreas, type DmaAreas, transferState } from "./state.ts";

/** The most that one transfer moves. */
export const transfer_bytes_max = 1 << 20;

/** What the driver works on and with. */
export interface DmaParts {
  readonly memory: TypedMemory;
  readonly waitQueues: Pool<typeof WaitQueue.fields>;
  readonly ram: Ram;
  readonly pages: PageSource;
  readonly waits: WaitService;
  /** Owner number of this core for locks and pools. */
  readonly owner: number;
  readonly hardware: Pick<Soc, "dma" | "cache">;
  /** The island of this core. */
  readonly island: number;
  /** Has a kernel of another island call `interrupt`. False when there is none that could. */
  readonly leaveTo: (island: number) => boolean;
}

/** Bytes of a caller that a transfer is to move. */
export interface SourceBytes {
  readonly bytes: Uint8Array;
  readonly offset: number;
}

/** Transfers that have ended: queues to wake, and transfers that nobody wants any more. */
interface Ends {
  readonly queues: number[];
  readonly abandoned: number[];
}

function noEnds(): Ends {
  return { queues: [], abandoned: [] };
}

export class DmaDriver {
  private readonly pool: DmaAreas["transfers"];
  private readonly transfers: DmaAreas["transfers"]["records"];
  private readonly dma: DmaAreas["dma"];
  private readonly queues: Pool<typeof WaitQueue.fields>;
  private readonly waits: WaitService;
  private readonly owner: number;
  private readonly engine: DmaEngine;
  private readonly buffers: DmaBuffers;
  private readonly line: DmaQueue;
  private readonly island: number;
  private readonly leaveTo: DmaParts["leaveTo"];

  private constructor(parts: DmaParts, areas: DmaAreas) {
    this.pool = areas.transfers;
    this.transfers = areas.transfers.records;
    this.dma = areas.dma;
    this.queues = parts.waitQueues;
    this.waits = parts.waits;
    this.owner = parts.owner;
    this.engine = parts.hardware.dma;
    this.buffers = new DmaBuffers(this.transfers, parts.ram, parts.hardware.cache, parts.pages);
    this.line = new DmaQueue(areas, this.engine);
    this.island = parts.island;
    this.leaveTo = parts.leaveTo;
  }

  /** Makes the driver's shared state; done once, by the kernel that boots first. */
  static create(parts: DmaParts): DmaDriver {
    return new DmaDriver(parts, createDmaAreas(parts.memory));
  }

  static attach(parts: DmaParts): DmaDriver {
    return new DmaDriver(parts, attachDmaAreas(parts.memory));
  }

  // Life of a transfer.

  /** A transfer without buffers, or −NFILE. */
  open(): number {
    const transfer = this.pool.allocate(this.owner);
    if (transfer < 0) return -errno.NFILE;
    const { transfers } = this;
    const queue = this.queues.allocate(this.owner);
    if (queue < 0) {
      this.pool.free(transfer, this.owner);
      return -errno.NFILE;
    }
    transfers.clear(transfer);
    transfers.setQueue(transfer, queue);
    return transfer;
  }

  /** Gives a transfer up, whatever it is doing: one that runs is freed when the engine is done with its pages. */
  close(transfer: number): void {
    const { transfers } = this;
    this.lock();
    const state = transfers.state(transfer);
    if (state === transferState.queued) this.line.remove(transfer);
    const runs = state === transferState.running;
    transfers.setState(transfer, runs ? transferState.abandoned : transferState.idle);
    this.unlock();
    if (!runs) this.dispose(transfer);
  }

  private dispose(transfer: number): void {
    const { transfers } = this;
    const queue = transfers.queue(transfer);
    this.buffers.free(transfer);
    this.pool.free(transfer, this.owner);
    // Whoever still waits sees that its descriptor is gone.
    this.waits.wake(queue);
    this.queues.free(queue, this.owner);
  }

  /** Transfers there are: one for each open file of the device. */
  used(): number {
    return this.pool.used();
  }

  // Requests.

  /**
   * Has the engine copy the first `length` bytes of the source buffer to the target buffer; with `source`, these
   * bytes are put into the source buffer first. To be repeated until it says how many bytes were moved: a transfer
   * belongs to the thread that asked for it, and a repeated request finds its own.
   * @returns bytes moved; −AGAIN while it is not done; −BUSY: another thread that shares the file has one going;
   * −NOMEM.
   */
  transfer(transfer: number, length: number, claimant: number, source: SourceBytes | null): number {
    const { transfers } = this;
    const moving = Math.min(length, transfer_bytes_max);
    if (moving <= 0) return 0;
    this.lock();
    const found = this.ownOf(transfer, claimant);
    if (found === 0) {
      transfers.setClaimant(transfer, claimant);
      transfers.setPreparer(transfer, this.owner);
      transfers.setIsland(transfer, this.island);
      transfers.setLength(transfer, moving);
      transfers.setState(transfer, transferState.preparing);
    }
    this.unlock();
    if (found !== 0) return found > 0 ? Math.min(found, length) : found;
    const prepared = this.prepare(transfer, moving, source);
    this.lock();
    if (prepared < 0) transfers.setState(transfer, transferState.idle);
    else {
      this.line.append(transfer);
      this.line.start();
    }
    this.unlock();
    return prepared < 0 ? prepared : -errno.AGAIN;
  }

  /**
   * What has become of a thread's earlier request: bytes, −AGAIN, −BUSY, or 0 when there is none in the way of a
   * new one. With the mutex held.
   */
  private ownOf(transfer: number, claimant: number): number {
    const { transfers } = this;
    const state = transfers.state(transfer);
    if (state === transferState.idle) return 0;
    const isOwn = transfers.claimant(transfer) === claimant;
    if (state !== transferState.done) return isOwn ? -errno.AGAIN : -errno.BUSY;
    if (isOwn) {
      transfers.setState(transfer, transferState.idle);
      return transfers.moved_bytes(transfer);
    }
    // A result that nobody will ask for any more is nobody's.
    const isAwaited = this.waits.isWaiting(transfers.claimant(transfer), transfers.queue(transfer));
    return isAwaited ? -errno.BUSY : 0;
  }

  private prepare(transfer: number, length: number, source: SourceBytes | null): number {
    const { transfers, buffers } = this;
    const made = buffers.make(transfer, length);
    if (made < 0) return made;
    const from = transfers.source(transfer);
    if (source !== null) buffers.store(from, source.bytes, source.offset, length);
    buffers.clean(from, length);
    buffers.clear(transfers.target(transfer), length);
    return 0;
  }

  /** Puts bytes into the source buffer without moving them: bytes stored, −BUSY while they are being moved, −FBIG. */
  store(transfer: number, bytes: Uint8Array, offset: number, length: number, position: number): number {
    const { transfers } = this;
    if (length > 0 && position >= transfer_bytes_max) return -errno.FBIG;
    const storing = Math.min(length, transfer_bytes_max - position);
    if (storing <= 0) return 0;
    const before = this.occupy(transfer);
    if (before < 0) return -errno.BUSY;
    const made = this.buffers.make(transfer, position + storing);
    if (made >= 0) this.buffers.store(transfers.source(transfer) + position, bytes, offset, storing);
    this.leave(transfer, before);
    return made < 0 ? made : storing;
  }

  /** Keeps others from using a transfer's buffers. Its state until now, or −1 when somebody else does. */
  private occupy(transfer: number): number {
    const { transfers } = this;
    this.lock();
    const state = transfers.state(transfer);
    const isFree = state === transferState.idle || state === transferState.done;
    if (isFree) {
      transfers.setPreparer(transfer, this.owner);
      transfers.setState(transfer, transferState.preparing);
    }
    this.unlock();
    return isFree ? state : -1;
  }

  private leave(transfer: number, state: number): void {
    this.lock();
    this.transfers.setState(transfer, state);
    this.unlock();
    this.waits.wake(this.transfers.queue(transfer));
  }

  /** The next bytes that the last transfer has moved; 0 at their end; −AGAIN while it is not done. */
  read(transfer: number, target: Uint8Array, offset: number, length: number): number {
    const { transfers } = this;
    const before = this.occupy(transfer);
    if (before < 0) return -errno.AGAIN;
    const position = transfers.read_bytes(transfer);
    const count = this.load(transfer, position, length, target, offset);
    transfers.setRead_bytes(transfer, position + count);
    this.leave(transfer, before);
    return count;
  }

  /** As `read`, from a position; −BUSY while it is not done. */
  readAt(transfer: number, target: Uint8Array, offset: number, length: number, position: number): number {
    const before = this.occupy(transfer);
    if (before < 0) return -errno.BUSY;
    const count = this.load(transfer, position, length, target, offset);
    this.leave(transfer, before);
    return count;
  }

  private load(
    transfer: number,
    position: number,
    length: number,
    target: Uint8Array,
    offset: number,
  ): number {
    const { transfers } = this;
    const count = Math.min(length, transfers.moved_bytes(transfer) - position);
    if (count <= 0) return 0;
    this.buffers.load(transfers.target(transfer), position, count, target, offset);
    return count;
  }

  /** Bytes that `read` has to give, −AGAIN while the transfer is not done. */
  pollRead(transfer: number): number {
    const { transfers } = this;
    this.lock();
    const left = transfers.moved_bytes(transfer) - transfers.read_bytes(transfer);
    const waits = this.isInFlight(transfer);
    this.unlock();
    return waits ? -errno.AGAIN : left;
  }

  /** The most that a transfer can move, −AGAIN while one is not done. */
  pollTransfer(transfer: number): number {
    this.lock();
    const waits = this.isInFlight(transfer);
    this.unlock();
    return waits ? -errno.AGAIN : transfer_bytes_max;
  }

  /** Queue to wait on for the end of a transfer. */
  queueOf(transfer: number): number {
    return this.transfers.queue(transfer);
  }

  private isInFlight(transfer: number): boolean {
    const state = this.transfers.state(transfer);
    return state !== transferState.idle && state !== transferState.done;
  }

  // Ends.

  /**
   * Ends the transfers of this island that are done, and has other islands end theirs. For the kernel's interrupt
   * service, not for interrupt level.
   */
  interrupt(): void {
    const lines = this.engine.linesFinished();
    for (let island = 0; lines >>> island !== 0; island++) {
      if ((lines & (1 << island)) === 0) continue;
      if (island === this.island || !this.leaveTo(island)) this.endFinished(island);
    }
  }

  private endFinished(island: number): void {
    const ended = noEnds();
    this.lock();
    // Under the mutex: `recover` must find what nobody has taken, and what somebody has ended.
    this.endAll(this.engine.takeFinished(island), ended);
    this.line.start();
    this.unlock();
    this.tell(ended);
  }

  private endAll(finished: number, ended: Ends): void {
    for (let channel = 0; channel < this.line.channels; channel++) {
      if ((finished & (1 << channel)) !== 0) this.end(channel, ended);
    }
  }

  /** With the mutex held. A channel without a transfer was dealt with by `recover`. */
  private end(channel: number, ended: Ends): void {
    const { transfers, dma } = this;
    const transfer = dma.channels(0, channel);
    if (transfer === 0) return;
    const length = transfers.length(transfer);
    if (transfers.state(transfer) === transferState.running) {
      transfers.setMoved_bytes(transfer, length);
      transfers.setRead_bytes(transfer, 0);
      transfers.setState(transfer, transferState.done);
      dma.setTransfers(0, dma.transfers(0) + 1);
      dma.setBytes(0, dma.bytes(0) + length);
      ended.queues.push(transfers.queue(transfer));
    } else ended.abandoned.push(transfer);
    dma.setChannels(0, channel, 0);
  }

  /** Wakes those who wait for transfers that have ended, and frees the ones that nobody wants any more. */
  private tell({ queues, abandoned }: Ends): void {
    for (const transfer of abandoned) this.dispose(transfer);
    for (const queue of queues) this.waits.wake(queue);
  }

  /** Transfers and bytes since the system was booted. */
  statistics(): { transfers: number; bytes: number } {
    return { transfers: this.dma.transfers(0), bytes: this.dma.bytes(0) };
  }

  /**
   * Cleans up behind a core that died: frees its lock, ends what it was starting or ending, and wakes everybody whom
   * it may have been about to wake. A transfer that it was making or taking apart is lost.
   */
  recover(deadOwner: number): void {
    const { transfers, dma, pool } = this;
    pool.recover(deadOwner);
    // Nobody else may look before all is well again: a mutex that the dead one held stays held until then.
    const wasHeld = dma.ownerOfMutex(0) === deadOwner;
    if (!wasHeld) this.lock();
    const ended = noEnds();
    const lines = this.engine.linesFinished();
    for (let island = 0; lines >>> island !== 0; island++)
      this.endAll(this.engine.takeFinished(island), ended);
    for (let transfer = 1; transfer <= pool.capacity; transfer++) {
      if (pool.ownerOf(transfer) === 0) continue;
      const isDeads = transfers.preparer(transfer) === deadOwner;
      if (isDeads && transfers.state(transfer) === transferState.preparing) {
        transfers.setState(transfer, transferState.idle);
      }
    }
    this.line.rebuild();
    this.line.start();
    for (let transfer = 1; transfer <= pool.capacity; transfer++) {
      const isAbandoned =
        pool.ownerOf(transfer) !== 0 && transfers.state(transfer) === transferState.abandoned;
      const isKnown = ended.abandoned.includes(transfer) || this.line.hasChannel(transfer);
      if (isAbandoned && !isKnown) ended.abandoned.push(transfer);
    }
    if (wasHeld) dma.releaseMutex(0, deadOwner);
    else this.unlock();
    this.tell(ended);
    for (let transfer = 1; transfer <= pool.capacity; transfer++) {
      if (pool.ownerOf(transfer) !== 0) this.waits.wake(transfers.queue(transfer));
    }
  }

  private lock(): void {
    this.dma.acquireMutex(0, this.owner);
  }

  private unlock(): void {
    this.dma.releaseMutex(0, this.owner);
  }
}
