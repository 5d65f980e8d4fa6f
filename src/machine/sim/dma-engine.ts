/**
 * The DMA engine: copies memory to memory without any core. Channels that are busy at the same time share the
 * engine's bandwidth equally. It reads and writes DRAM and looks at no cache.
 *
 * How far a transfer has come is counted in *turns*: bytes that a channel would have got since the beginning of time
 * if it had always been busy. Turns pass at bandwidth / busy channels; a transfer ends `length` turns after its start.
 * So a start or an end needs no look at the other transfers.
 */
import type { DmaEngine } from "../soc.ts";
import type { SimulatedEvent } from "./event-queue.ts";
import type { SimWiring } from "./wiring.ts";

const lines = 32;

export interface DmaTraits {
  readonly channels: number;
  readonly bandwidth_MBps: number;
  readonly startUp_us: number;
}

export interface DmaStatistics {
  transfers: number;
  bytes: number;
  /** Time in which at least one channel moved bytes. */
  busy_ns: number;
}

/** The memory that the engine reaches. */
export interface DeviceMemory {
  readonly dram: Uint8Array;
  /** Told after bytes were written. */
  deviceWrote?(offset: number, length: number): void;
}

interface Transfer {
  readonly from: number;
  readonly to: number;
  readonly length: number;
  readonly line: number;
  /** Turn at which the last byte is there; known once the first byte moves. */
  endTurn: number;
}

export class DmaEngines {
  readonly channels: number;
  readonly statistics: DmaStatistics = { transfers: 0, bytes: 0, busy_ns: 0 };
  private readonly wiring: SimWiring;
  private readonly memory: DeviceMemory;
  private readonly dram: Uint8Array;
  private readonly raise: () => void;
  private readonly bytesPer_ns: number;
  private readonly startUp_ns: number;
  private readonly transfers: (Transfer | undefined)[];
  /** Channels that move bytes now: started up, not finished. */
  private readonly moving = new Set<number>();
  /** Bit n for channel n, by line. */
  private readonly finished = new Uint32Array(lines);
  private turn = 0;
  private turn_ns = 0;
  private ending: SimulatedEvent | undefined;

  /** @param raise Raises the shared interrupt `dma`. @throws RangeError for more than 31 channels. */
  constructor(wiring: SimWiring, traits: DmaTraits, memory: DeviceMemory, raise: () => void) {
    if (!(traits.channels >= 0 && traits.channels <= 31))
      throw new RangeError(`${traits.channels} DMA channels`);
    this.wiring = wiring;
    this.memory = memory;
    this.dram = memory.dram;
    this.raise = raise;
    this.channels = traits.channels;
    this.bytesPer_ns = traits.bandwidth_MBps / 1000;
    this.startUp_ns = traits.startUp_us * 1000;
    this.transfers = new Array<Transfer | undefined>(traits.channels).fill(undefined);
  }

  /**
   * The engine as one core's kernel sees it.
   * @param reachOut Called before each access to the engine's registers: lets time pass on the core.
   */
  of(reachOut: () => void): DmaEngine {
    return {
      channels: this.channels,
      start: (channel, from, to, length, line) => {
        reachOut();
        this.start(channel, from, to, length, line);
      },
      linesFinished: () => {
        reachOut();
        return this.linesFinished();
      },
      takeFinished: (line) => {
        reachOut();
        return this.takeFinished(line);
      },
      isBusy: (channel) => {
        reachOut();
        return this.isBusy(channel);
      },
    };
  }

  start(channel: number, from: number, to: number, length: number, line = 0): void {
    if (!(line >= 0 && line < lines)) throw new RangeError(`DMA line ${line}`);
    if (!(channel >= 0 && channel < this.channels)) throw new RangeError(`DMA channel ${channel}`);
    if (this.isBusy(channel)) throw new RangeError(`DMA channel ${channel} is busy`);
    for (const offset of [from, to]) {
      if (!(offset >= 0 && length >= 0 && offset + length <= this.dram.length)) {
        throw new RangeError(`DMA of ${length} bytes at ${offset} of ${this.dram.length}`);
      }
    }
    const transfer: Transfer = { from, to, length, line, endTurn: 0 };
    this.transfers[channel] = transfer;
    for (let other = 0; other < lines; other++) this.finished[other] &= ~(1 << channel);
    this.wiring.trace("dma-start", -1, channel, from, length);
    const begin_ns = this.wiring.now_ns() + this.startUp_ns;
    this.wiring.queue.push(begin_ns, true, () => this.begin(channel, transfer, begin_ns), "dma");
  }

  linesFinished(): number {
    return this.finished.reduce(
      (raised, channels, line) => (channels === 0 ? raised : raised | (1 << line)),
      0,
    );
  }

  takeFinished(line = 0): number {
    const finished = this.finished[line];
    this.finished[line] = 0;
    return finished;
  }

  /** True from the start until the transfer is done. */
  isBusy(channel: number): boolean {
    return this.transfers[channel] !== undefined;
  }

  /** All transfers stop where they are: half of a target may be written. For a reset of the whole machine. */
  reset(): void {
    this.transfers.fill(undefined);
    this.moving.clear();
    this.finished.fill(0);
    this.scheduleEnd();
  }

  /** The first byte of a transfer moves. */
  private begin(channel: number, transfer: Transfer, time_ns: number): void {
    if (this.transfers[channel] !== transfer) return;
    this.advance(time_ns);
    transfer.endTurn = this.turn + transfer.length;
    this.moving.add(channel);
    this.scheduleEnd();
  }

  /** Lets turns pass until a time; times may come slightly out of order, since cores' clocks run apart. */
  private advance(time_ns: number): void {
    const passed_ns = time_ns - this.turn_ns;
    if (passed_ns <= 0) return;
    if (this.moving.size > 0) {
      this.turn += (passed_ns * this.bytesPer_ns) / this.moving.size;
      this.statistics.busy_ns += passed_ns;
    }
    this.turn_ns = time_ns;
  }

  /** The transfer that ends next; equal ones end in the order of their channels. */
  private nextToEnd(): number {
    let next = -1;
    let endTurn = Number.POSITIVE_INFINITY;
    for (let channel = 0; channel < this.channels; channel++) {
      const transfer = this.transfers[channel];
      if (transfer === undefined || !this.moving.has(channel) || transfer.endTurn >= endTurn) continue;
      next = channel;
      endTurn = transfer.endTurn;
    }
    return next;
  }

  private scheduleEnd(): void {
    if (this.ending !== undefined) this.wiring.queue.cancel(this.ending);
    this.ending = undefined;
    const channel = this.nextToEnd();
    const transfer = this.transfers[channel];
    if (transfer === undefined) return;
    const left_ns = (Math.max(0, transfer.endTurn - this.turn) * this.moving.size) / this.bytesPer_ns;
    const end_ns = this.turn_ns + left_ns;
    this.ending = this.wiring.queue.push(end_ns, true, () => this.end(channel, transfer, end_ns), "dma");
  }

  private end(channel: number, transfer: Transfer, time_ns: number): void {
    this.ending = undefined;
    this.advance(time_ns);
    // Rounding must not leave a rest of a byte.
    this.turn = Math.max(this.turn, transfer.endTurn);
    this.moving.delete(channel);
    this.transfers[channel] = undefined;
    const { from, to, length, line } = transfer;
    this.dram.copyWithin(to, from, from + length);
    this.memory.deviceWrote?.(to, length);
    this.finished[line] |= 1 << channel;
    this.statistics.transfers++;
    this.statistics.bytes += length;
    this.wiring.trace("dma-end", -1, channel, to, length);
    this.scheduleEnd();
    this.raise();
  }
}
