/**
 * A program's memory as its system calls see it: bounds checks, typed structs at addresses, and the buffer
 * lists of reads and writes.
 *
 * Addresses and lengths from a program are unsigned 32-bit numbers once `>>> 0` was applied; their sum cannot
 * overflow a JavaScript number. Nothing here is reached without a check by `holds` first. The memory may be
 * changed by the program's other threads at any time, so a value that matters is read once and kept.
 */
import { errno } from "../kernel/errno.ts";
import { type Accessor, type Fields, layoutOf, overlay, type StructType } from "../memory/index.ts";
import type { WasiProcess } from "./services.ts";
import {
  Address,
  DescriptorStat,
  DirectoryEntry,
  guestFormat,
  IoVector,
  JoinStatus,
  OptionPid,
  PollEvent,
  Prestat,
  Quantity,
  ReceivedFlags,
  SocketAddress,
  Word,
} from "./structs.ts";

/** Buffers in one call; the same limit as POSIX systems have. */
const mostVectors = 1024;
/** Lists of buffers up to this size can be gathered in private memory. */
export const gatherLimit_bytes = 65_536;
/** Shorter runs of bytes are copied one by one: making a view to copy from costs as much. */
const byteLoop_bytes_max = 32;
/** The most a call can report as moved. */
const mostMoved_bytes = 0xffff_ffff;
const wordSize = layoutOf(Word, guestFormat).size;
const quantitySize = layoutOf(Quantity, guestFormat).size;
const vectorSize = layoutOf(IoVector, guestFormat).size;

/** The lower 32 bits of a whole number of up to 64 bits, for setters that take halves. */
export function lowHalf(value: number): number {
  return value - Math.floor(value / 4_294_967_296) * 4_294_967_296;
}

/** The upper 32 bits. */
export function highHalf(value: number): number {
  return Math.floor(value / 4_294_967_296);
}

export class GuestMemory {
  /** The memory as of the last `refresh`. */
  bytes: Uint8Array;
  readonly words: Accessor<typeof Word.fields>;
  readonly quantities: Accessor<typeof Quantity.fields>;
  /** Whose memory it is; another one when the object is used again for a later process. */
  process: WasiProcess;
  private readonly vectors: Accessor<typeof IoVector.fields>;
  /** Every accessor made so far, for when the memory grows. */
  private readonly made: { rebind(buffer: ArrayBufferLike): unknown }[] = [];
  private addressAccessor: Accessor<typeof Address.fields> | undefined;
  private prestatAccessor: Accessor<typeof Prestat.fields> | undefined;
  private descriptorStatAccessor: Accessor<typeof DescriptorStat.fields> | undefined;
  private directoryEntryAccessor: Accessor<typeof DirectoryEntry.fields> | undefined;
  private optionPidAccessor: Accessor<typeof OptionPid.fields> | undefined;
  private joinStatusAccessor: Accessor<typeof JoinStatus.fields> | undefined;
  private pollEventAccessor: Accessor<typeof PollEvent.fields> | undefined;
  private socketAddressAccessor: Accessor<typeof SocketAddress.fields> | undefined;
  private receivedFlagsAccessor: Accessor<typeof ReceivedFlags.fields> | undefined;

  /** The buffer list that `readVectors` decoded: buffers that are not empty. */
  vectorCount = 0;
  /** The first of them. */
  firstAddress = 0;
  firstLength = 0;
  private readonly vectorAddresses: number[] = [];
  private readonly vectorLengths: number[] = [];
  private gathered: Uint8Array | undefined;

  constructor(process: WasiProcess) {
    this.process = process;
    this.bytes = process.bytes;
    this.words = this.over(Word);
    this.quantities = this.over(Quantity);
    this.vectors = this.over(IoVector);
  }

  /** An accessor for structs in this memory, by address; it follows the memory when that grows. */
  over<F extends Fields>(type: StructType<F>): Accessor<F> {
    const accessor = overlay(type, this.bytes.buffer, { format: guestFormat, addressing: "address" });
    this.made.push(accessor);
    return accessor;
  }

  get addresses(): Accessor<typeof Address.fields> {
    this.addressAccessor ??= this.over(Address);
    return this.addressAccessor;
  }

  get prestats(): Accessor<typeof Prestat.fields> {
    this.prestatAccessor ??= this.over(Prestat);
    return this.prestatAccessor;
  }

  get descriptorStats(): Accessor<typeof DescriptorStat.fields> {
    this.descriptorStatAccessor ??= this.over(DescriptorStat);
    return this.descriptorStatAccessor;
  }

  get directoryEntries(): Accessor<typeof DirectoryEntry.fields> {
    this.directoryEntryAccessor ??= this.over(DirectoryEntry);
    return this.directoryEntryAccessor;
  }

  get optionPids(): Accessor<typeof OptionPid.fields> {
    this.optionPidAccessor ??= this.over(OptionPid);
    return this.optionPidAccessor;
  }

  get joinStatuses(): Accessor<typeof JoinStatus.fields> {
    this.joinStatusAccessor ??= this.over(JoinStatus);
    return this.joinStatusAccessor;
  }

  get pollEvents(): Accessor<typeof PollEvent.fields> {
    this.pollEventAccessor ??= this.over(PollEvent);
    return this.pollEventAccessor;
  }

  get socketAddresses(): Accessor<typeof SocketAddress.fields> {
    this.socketAddressAccessor ??= this.over(SocketAddress);
    return this.socketAddressAccessor;
  }

  get receivedFlags(): Accessor<typeof ReceivedFlags.fields> {
    this.receivedFlagsAccessor ??= this.over(ReceivedFlags);
    return this.receivedFlagsAccessor;
  }

  /** To be called first by every system call: the program may have grown its memory since the last one. */
  refresh(): void {
    if (this.process.bytes !== this.bytes) this.adopt(this.process.bytes);
  }

  private adopt(bytes: Uint8Array): void {
    this.bytes = bytes;
    for (const accessor of this.made) accessor.rebind(bytes.buffer);
  }

  /**
   * Whether all of `[address, address + length)` is memory, which then can be used: pages that are missing come. Both
   * must be unsigned.
   */
  holds(address: number, length: number): boolean {
    if (address + length > this.bytes.length) return false;
    this.process.paging?.ensure(address, length);
    return true;
  }

  /** Whether there is memory for a `Word` at an address. */
  holdsWord(address: number): boolean {
    return this.holds(address, wordSize);
  }

  /** Whether there is memory for a `Quantity` at an address. */
  holdsQuantity(address: number): boolean {
    return this.holds(address, quantitySize);
  }

  /** Size in bytes of an instance of a struct in this memory. */
  sizeOf(accessor: { readonly area: { readonly layout: { readonly size: number } } }): number {
    return accessor.area.layout.size;
  }

  setQuantity(address: number, value: number): void {
    this.quantities.setValueHalves(address, lowHalf(value), highHalf(value));
  }

  /** Copies `source` to a place that was checked. */
  put(address: number, source: Uint8Array): void {
    const { bytes } = this;
    if (source.length > byteLoop_bytes_max) bytes.set(source, address);
    else for (let n = 0; n < source.length; n++) bytes[address + n] = source[n];
  }

  /**
   * Decodes a list of `count` buffers at `address` and checks that each of them is memory. The total length,
   * or −EFAULT, or −EINVAL for too many buffers or bytes.
   */
  readVectors(address: number, count: number): number {
    if (count !== 1) return this.readVectorList(address, count);
    const { vectors } = this;
    if (!this.holds(address, vectorSize)) return -errno.FAULT;
    const start = vectors.buffer(address);
    const length = vectors.size(address);
    if (!this.holds(start, length)) return -errno.FAULT;
    this.vectorCount = 1;
    this.firstAddress = start;
    this.firstLength = length;
    return length;
  }

  private readVectorList(address: number, count: number): number {
    if (count > mostVectors) return -errno.INVAL;
    const { vectors, vectorAddresses, vectorLengths } = this;
    if (!this.holds(address, count * vectorSize)) return -errno.FAULT;
    let total = 0;
    let used = 0;
    for (let n = 0; n < count; n++) {
      const start = vectors.buffer(address + n * vectorSize);
      const length = vectors.size(address + n * vectorSize);
      if (!this.holds(start, length)) return -errno.FAULT;
      if (length === 0) continue;
      vectorAddresses[used] = start;
      vectorLengths[used] = length;
      used++;
      total += length;
    }
    if (total > mostMoved_bytes) return -errno.INVAL;
    this.vectorCount = used;
    this.firstAddress = used === 0 ? 0 : vectorAddresses[0];
    this.firstLength = used === 0 ? 0 : vectorLengths[0];
    return total;
  }

  /** Address of buffer `n` of the list. */
  vectorAddress(n: number): number {
    return n === 0 ? this.firstAddress : this.vectorAddresses[n];
  }

  vectorLength(n: number): number {
    return n === 0 ? this.firstLength : this.vectorLengths[n];
  }

  /** The bytes of the list's buffers, one after the other, in private memory; `gatherLimit_bytes` at most. */
  gather(): Uint8Array {
    const target = this.scratch();
    let at = 0;
    for (let n = 0; n < this.vectorCount; n++) {
      const start = this.vectorAddress(n);
      const length = this.vectorLength(n);
      target.set(this.bytes.subarray(start, start + length), at);
      at += length;
    }
    return target;
  }

  /** Private memory of `gatherLimit_bytes`, the same at every call. */
  scratch(): Uint8Array {
    this.gathered ??= new Uint8Array(gatherLimit_bytes);
    return this.gathered;
  }

  /** Fills the list's buffers, one after the other, with the first `length` bytes of `scratch`. */
  scatter(length: number): void {
    const source = this.scratch();
    let at = 0;
    for (let n = 0; n < this.vectorCount && at < length; n++) {
      const end = Math.min(length, at + this.vectorLength(n));
      this.bytes.set(source.subarray(at, end), this.vectorAddress(n));
      at = end;
    }
  }
}
