/** The devices without hardware: /dev/null, zero, full, random and urandom. They never block. */
import { errno } from "../../kernel/errno.ts";
import { type CharacterDevice, type Devices, deviceNumber } from "./devices.ts";

/** Sources of random bytes refuse shared memory and long requests: random data goes through a small buffer. */
const randomChunk_bytes = 1024;
/** What a poll of a device that is always ready says. */
const alwaysReady = 65_536;

abstract class MemoryDevice implements CharacterDevice {
  readonly name: string;
  readonly isTerminal = false;
  readonly readQueue = 0;
  readonly writeQueue = 0;

  constructor(name: string) {
    this.name = name;
  }

  abstract read(target: Uint8Array, offset: number, length: number): number;
  abstract write(source: Uint8Array, offset: number, length: number): number;

  pollRead(): number {
    return alwaysReady;
  }

  pollWrite(): number {
    return alwaysReady;
  }
}

class NullDevice extends MemoryDevice {
  override read(): number {
    return 0;
  }

  override write(_source: Uint8Array, _offset: number, length: number): number {
    return length;
  }

  /** At the end of input from the start. */
  override pollRead(): number {
    return 0;
  }
}

class ZeroDevice extends MemoryDevice {
  override read(target: Uint8Array, offset: number, length: number): number {
    target.fill(0, offset, offset + length);
    return length;
  }

  override write(_source: Uint8Array, _offset: number, length: number): number {
    return length;
  }
}

class FullDevice extends ZeroDevice {
  override write(_source: Uint8Array, _offset: number, length: number): number {
    return length === 0 ? 0 : -errno.NOSPC;
  }
}

class RandomDevice extends MemoryDevice {
  private readonly fill: (target: Uint8Array) => void;
  private readonly chunk = new Uint8Array(randomChunk_bytes);

  constructor(name: string, fill: (target: Uint8Array) => void) {
    super(name);
    this.fill = fill;
  }

  override read(target: Uint8Array, offset: number, length: number): number {
    for (let done = 0; done < length; done += randomChunk_bytes) {
      const piece = this.chunk.subarray(0, Math.min(randomChunk_bytes, length - done));
      this.fill(piece);
      target.set(piece, offset + done);
    }
    return length;
  }

  /** Contributed entropy is accepted and not needed. */
  override write(_source: Uint8Array, _offset: number, length: number): number {
    return length;
  }
}

/** Registers the devices of this file under their usual numbers. `fill` is the machine's source of random bytes. */
export function registerMemoryDevices(devices: Devices, fill: (target: Uint8Array) => void): void {
  devices.register(deviceNumber.null, new NullDevice("null"));
  devices.register(deviceNumber.zero, new ZeroDevice("zero"));
  devices.register(deviceNumber.full, new FullDevice("full"));
  devices.register(deviceNumber.random, new RandomDevice("random", fill));
  devices.register(deviceNumber.urandom, new RandomDevice("urandom", fill));
}
