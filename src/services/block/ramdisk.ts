/** The ramdisk: a block device that lives and dies with the island's memory. */
import type { MemoryGuard } from "../../memory/index.ts";
import type { BlockDevice } from "./block-device.ts";

export interface RamdiskOptions {
  readonly buffer: SharedArrayBuffer;
  /** Byte offset of the device in `buffer`; default 0. */
  readonly base?: number;
  /** Default: up to the end of `buffer`. */
  readonly size_bytes?: number;
  readonly readOnly?: boolean;
  /** The memory's guard, if it has one. */
  readonly guard?: MemoryGuard;
}

export class Ramdisk implements BlockDevice {
  readonly buffer: SharedArrayBuffer;
  readonly base: number;
  readonly guard: MemoryGuard | undefined;
  readonly size_bytes: number;
  readonly readOnly: boolean;
  readonly resident = true;

  /** @throws RangeError when the range is not inside the buffer. */
  constructor(options: RamdiskOptions) {
    this.buffer = options.buffer;
    this.base = options.base ?? 0;
    this.guard = options.guard;
    this.size_bytes = options.size_bytes ?? this.buffer.byteLength - this.base;
    this.readOnly = options.readOnly ?? false;
    requireRange("ramdisk", this.buffer, this.base, this.size_bytes);
  }

  load(_offset: number, _length: number): number {
    return 0;
  }

  claim(_offset: number, _length: number): number {
    return 0;
  }

  changed(_offset: number, _length: number): void {}

  flush(): number {
    return 0;
  }
}

/** @throws RangeError naming the device when its range is not whole bytes inside the buffer. */
export function requireRange(
  device: string,
  buffer: SharedArrayBuffer,
  base: number,
  size_bytes: number,
): void {
  const whole = Number.isSafeInteger(base) && Number.isSafeInteger(size_bytes) && base >= 0 && size_bytes > 0;
  if (!whole || base + size_bytes > buffer.byteLength) {
    throw new RangeError(
      `${device}: bytes ${base} to ${base + size_bytes} are not inside the memory of ${buffer.byteLength} bytes`,
    );
  }
}
