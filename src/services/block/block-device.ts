/**
 * Block devices: a range of the island's memory that holds a whole device.
 *
 * A file system reads and writes the bytes in place. A ramdisk is all there from the start (`resident`); an
 * image file is filled page by page on first touch and written back on `flush`, so users of such a device say
 * before they touch bytes (`load`, `claim`) and after they changed some (`changed`). Every kernel of the
 * island has its own object over the same bytes.
 */
import type { MemoryGuard } from "../../memory/index.ts";

export interface BlockDevice {
  /** The memory that holds the device. */
  readonly buffer: SharedArrayBuffer;
  /** Byte offset of the device in `buffer`. */
  readonly base: number;
  /** To be told of every access to the device's bytes beforehand, if there is one. */
  readonly guard?: MemoryGuard;
  readonly size_bytes: number;
  readonly readOnly: boolean;
  /** True when every byte is present and nothing is written back: the calls below do nothing. */
  readonly resident: boolean;

  /**
   * Makes bytes `[offset, offset + length)` present. Zero, or a negated errno when the disk fails.
   * Safe to call on any kernel at any time.
   */
  load(offset: number, length: number): number;
  /**
   * As `load`, for bytes that the caller is about to overwrite completely: pages that lie whole inside the
   * range are not read from the disk. The caller holds whatever lock keeps others off these bytes.
   */
  claim(offset: number, length: number): number;
  /** Notes that present bytes were changed. Call it after the change, never before: see `ImageDevice`. */
  changed(offset: number, length: number): void;
  /** Writes changes back and makes them durable. Zero, or a negated errno; what failed stays marked. */
  flush(): number;
}
