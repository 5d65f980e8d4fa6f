/**
 * The directory: typed structs at the start of a shared memory that say which named areas it holds.
 * A header, then a table of entries; each area's description (its struct, and its contract's
 * latencies) lies as text behind its records. Everything here runs under the directory's lock.
 */
import type { Accessor } from "./accessor.ts";
import { AreaError } from "./errors.ts";
import type { MemoryGuard } from "./guard.ts";
import { type Format, formatNames, layoutOf } from "./layout.ts";
import { overlay } from "./overlay.ts";
import { readBytes, writeBytes, zeroBytes } from "./raw.ts";
import { struct } from "./struct.ts";
import { atomic, bytes, lock, u8, u32, u64 } from "./types.ts";
import type { Waiting } from "./waiting.ts";

/** Whether plain loads and stores of all cores see one memory, or pages are kept in step by software. */
export type Coherence = "coherent" | "dsm";

/** What everybody who attaches to an area can rely on, besides its format. */
export interface Contract {
  readonly coherence: Coherence;
  /** Load latency in nanoseconds as seen from each core, by core id; empty when unknown. */
  readonly latenciesNs: readonly number[];
}

/** What the directory says about an area. */
export interface AreaDescription {
  readonly name: string;
  readonly format: Format;
  readonly contract: Contract;
  readonly count: number;
  /** Byte offset of record 0 in the buffer. */
  readonly base: number;
  /** Bytes from one record to the next. */
  readonly stride: number;
  /** Bytes of all records. */
  readonly byteLength: number;
  /** The creator's struct, as text for `decodeStruct`. */
  readonly structText: string;
}

/** Bytes of an area's name in UTF-8. */
const nameBytesMax = 64;

const DirectoryHeader = struct("DirectoryHeader", {
  magic: u32,
  version: u32,
  mutex: lock(),
  /** Hands every user of the memory a lock owner number of its own. */
  users: atomic(u32),
  entriesMax: u32,
  /** Grows with every change of the table. */
  generation: atomic(u32),
  /** One past the last byte that areas may take, from the start of the buffer. */
  end: u64,
});

const DirectoryEntry = struct("DirectoryEntry", {
  name: bytes(nameBytesMax),
  nameByteLength: u8,
  used: u8,
  format: u8,
  coherence: u8,
  count: u32,
  stride: u32,
  textByteLength: u32,
  /** First byte of the records. */
  base: u64,
  /** One past the last byte of the area, its text included. */
  end: u64,
});

const magic = 0x41524348; // "ARCH"
const version = 1;
/** Owner numbers that the directory gives out lie above those that callers choose for their own locks. */
const firstOwner = 0x40000000;
const cacheLineBytes = 64;
const coherences: readonly Coherence[] = ["coherent", "dsm"];

type Header = Accessor<(typeof DirectoryHeader)["fields"]>;
type Entries = Accessor<(typeof DirectoryEntry)["fields"]>;

/** How the directory reaches its own memory. */
export interface DirectoryAccess {
  readonly waiting: Waiting;
  readonly guard: MemoryGuard | undefined;
  /** Number under which the directory's lock is held; one that nobody else has if missing. */
  readonly user?: number | undefined;
}

/** What a new area needs. */
export interface AreaRequest {
  readonly name: string;
  readonly format: Format;
  readonly contract: Contract;
  readonly count: number;
  readonly stride: number;
  /** Bytes of all records. */
  readonly byteLength: number;
  readonly align: number;
  readonly structText: string;
}

export class Directory {
  readonly #buffer: SharedArrayBuffer;
  readonly #header: Header;
  readonly #entries: Entries;
  readonly #owner: number;
  readonly #guard: MemoryGuard | undefined;
  /** First byte that areas may take. */
  readonly #start: number;

  private constructor(buffer: SharedArrayBuffer, base: number, entriesMax: number, access: DirectoryAccess) {
    this.#buffer = buffer;
    this.#guard = access.guard;
    this.#header = overlay(DirectoryHeader, buffer, { ...access, format: "lp64", base, count: 1 });
    const entriesBase = base + roundUp(layoutOf(DirectoryHeader, "lp64").size, cacheLineBytes);
    this.#entries = overlay(DirectoryEntry, buffer, {
      ...access,
      format: "lp64",
      base: entriesBase,
      count: entriesMax,
    });
    this.#start = entriesBase + entriesMax * layoutOf(DirectoryEntry, "lp64").size;
    this.#owner = access.user ?? firstOwner + this.#header.addUsers(0, 1);
  }

  /** Bytes that a directory of so many entries takes. */
  static byteLength(entriesMax: number): number {
    return (
      roundUp(layoutOf(DirectoryHeader, "lp64").size, cacheLineBytes) +
      entriesMax * layoutOf(DirectoryEntry, "lp64").size
    );
  }

  /**
   * Writes an empty directory at `base`, for areas up to `end`.
   * @throws AreaError when there is no room for it.
   */
  static format(
    buffer: SharedArrayBuffer,
    base: number,
    end: number,
    entriesMax: number,
    access: DirectoryAccess,
  ): Directory {
    const length = Directory.byteLength(entriesMax);
    if (base % cacheLineBytes !== 0) {
      throw new AreaError(`a memory must start at a multiple of ${cacheLineBytes} bytes, not at ${base}`);
    }
    if (base + length > end || end > buffer.byteLength) {
      throw new AreaError(
        `a directory of ${entriesMax} areas takes ${length} bytes; there are ${Math.min(end, buffer.byteLength) - base}`,
      );
    }
    zeroBytes(buffer, access.guard, base, length);
    const header = overlay(DirectoryHeader, buffer, { ...access, format: "lp64", base, count: 1 });
    header.setVersion(0, version);
    header.setEntriesMax(0, entriesMax);
    header.setEnd(0, end);
    // The magic number comes last: a memory that has it is complete.
    header.setMagic(0, magic);
    return new Directory(buffer, base, entriesMax, access);
  }

  /**
   * Uses the directory that somebody wrote at `base`.
   * @throws AreaError when there is none, or it is of another version.
   */
  static attach(buffer: SharedArrayBuffer, base: number, access: DirectoryAccess): Directory {
    const headerSize = layoutOf(DirectoryHeader, "lp64").size;
    if (buffer.byteLength < base + headerSize) {
      throw new AreaError(`a memory of ${buffer.byteLength} bytes has no room for a directory at ${base}`);
    }
    const header = overlay(DirectoryHeader, buffer, { ...access, format: "lp64", base, count: 1 });
    if (header.magic(0) !== magic) {
      throw new AreaError(`no directory at ${base}: format the memory before others attach to it`);
    }
    if (header.version(0) !== version) {
      throw new AreaError(
        `the directory at ${base} has version ${header.version(0)}, this code knows ${version}`,
      );
    }
    return new Directory(buffer, base, header.entriesMax(0), access);
  }

  /** The number under which this user of the memory holds the directory's lock. */
  get user(): number {
    return this.#owner;
  }

  /**
   * Frees the lock if `deadUser` died holding it. What it was doing has then either happened or not: an
   * entry becomes used, or unused, by one write, the last.
   */
  recover(deadUser: number): void {
    if (this.#header.ownerOfMutex(0) === deadUser) this.#header.releaseMutex(0, deadUser);
  }

  /** Changes whenever an area is created or removed. */
  get generation(): number {
    return this.#header.generation(0);
  }

  /**
   * Reserves room for an area, zeroes its records and enters it.
   * @throws AreaError when the name is taken or unusable, or room or entries are used up.
   */
  create(request: AreaRequest): AreaDescription {
    const name = encodeName(request.name);
    const text = new TextEncoder().encode(JSON.stringify([request.structText, request.contract.latenciesNs]));
    return this.#locked(() => {
      if (this.#find(name) !== -1) {
        throw new AreaError(`area ${request.name} exists already; attach to it, or remove it first`);
      }
      const index = this.#freeEntry();
      if (index === -1) {
        throw new AreaError(
          `no room for area ${request.name}: all ${this.#entries.area.count} directory entries are taken; format the memory with more`,
        );
      }
      const base = this.#place(request.name, request.byteLength + text.length, request.align);
      const end = base + request.byteLength + text.length;
      zeroBytes(this.#buffer, this.#guard, base, request.byteLength);
      writeBytes(this.#buffer, this.#guard, base + request.byteLength, text);
      const entries = this.#entries;
      entries.setName(index, name);
      entries.setNameByteLength(index, name.length);
      entries.setFormat(index, formatNames.indexOf(request.format));
      entries.setCoherence(index, coherences.indexOf(request.contract.coherence));
      entries.setCount(index, request.count);
      entries.setStride(index, request.stride);
      entries.setTextByteLength(index, text.length);
      entries.setBase(index, base);
      entries.setEnd(index, end);
      entries.setUsed(index, 1);
      this.#header.addGeneration(0, 1);
      return this.#describe(index);
    });
  }

  /** What is known about an area, or nothing. */
  lookup(name: string): AreaDescription | undefined {
    const encoded = new TextEncoder().encode(name);
    return this.#locked(() => {
      const index = this.#find(encoded);
      return index === -1 ? undefined : this.#describe(index);
    });
  }

  /** All areas, in the order of their entries. */
  list(): AreaDescription[] {
    return this.#locked(() => this.#usedEntries().map((index) => this.#describe(index)));
  }

  /** Forgets an area; its room can be used again. False if there is none of that name. */
  remove(name: string): boolean {
    const encoded = new TextEncoder().encode(name);
    return this.#locked(() => {
      const index = this.#find(encoded);
      if (index === -1) return false;
      this.#entries.setUsed(index, 0);
      this.#header.addGeneration(0, 1);
      return true;
    });
  }

  /** Bytes not taken by any area. They need not lie together. */
  freeBytes(): number {
    return this.#locked(() => {
      const taken = this.#usedEntries().reduce(
        (sum, index) => sum + this.#entries.end(index) - this.#entries.base(index),
        0,
      );
      return this.#header.end(0) - this.#start - taken;
    });
  }

  #locked<Result>(action: () => Result): Result {
    this.#header.acquireMutex(0, this.#owner);
    try {
      return action();
    } finally {
      this.#header.releaseMutex(0, this.#owner);
    }
  }

  #usedEntries(): number[] {
    const used: number[] = [];
    for (let index = 0; index < this.#entries.area.count; index++) {
      if (this.#entries.used(index) === 1) used.push(index);
    }
    return used;
  }

  #freeEntry(): number {
    for (let index = 0; index < this.#entries.area.count; index++) {
      if (this.#entries.used(index) === 0) return index;
    }
    return -1;
  }

  #find(name: Uint8Array): number {
    const sameName = (index: number): boolean => {
      if (this.#entries.nameByteLength(index) !== name.length) return false;
      const there = this.#entries.name(index);
      return name.every((byte, position) => byte === there[position]);
    };
    return this.#usedEntries().find(sameName) ?? -1;
  }

  /** The lowest gap between areas that is long enough. */
  #place(name: string, byteLength: number, align: number): number {
    const entries = this.#entries;
    const used = this.#usedEntries().sort((one, other) => entries.base(one) - entries.base(other));
    let start = roundUp(this.#start, align);
    for (const index of used) {
      if (start + byteLength <= entries.base(index)) return start;
      start = roundUp(entries.end(index), align);
    }
    const end = this.#header.end(0);
    if (start + byteLength <= end) return start;
    throw new AreaError(
      `no room for area ${name}: it needs ${byteLength} bytes in a row, the memory ends at ${end} and the last gap starts at ${start}; use a larger buffer`,
    );
  }

  #describe(index: number): AreaDescription {
    const entries = this.#entries;
    const base = entries.base(index);
    const textBase = entries.end(index) - entries.textByteLength(index);
    const nameByteLength = entries.nameByteLength(index);
    const name = new TextDecoder().decode(entries.name(index).slice(0, nameByteLength));
    const text = readBytes(this.#buffer, this.#guard, textBase, entries.textByteLength(index));
    const [structText, latenciesNs] = decodeText(name, text);
    return Object.freeze({
      name,
      format: formatNames[entries.format(index)],
      contract: Object.freeze({ coherence: coherences[entries.coherence(index)], latenciesNs }),
      count: entries.count(index),
      base,
      stride: entries.stride(index),
      byteLength: textBase - base,
      structText,
    });
  }
}

/**
 * The two texts behind an area's records.
 * @throws AreaError when somebody wrote over them.
 */
function decodeText(name: string, text: Uint8Array): [structText: string, latenciesNs: readonly number[]] {
  try {
    const decoded: unknown = JSON.parse(new TextDecoder().decode(text));
    if (Array.isArray(decoded) && typeof decoded[0] === "string" && Array.isArray(decoded[1])) {
      return [decoded[0], decoded[1].map(Number)];
    }
  } catch (cause) {
    throw new AreaError(`area ${name}: its description in the directory is damaged`, { cause });
  }
  throw new AreaError(`area ${name}: its description in the directory is damaged`);
}

/** An area name as it is stored. */
function encodeName(name: string): Uint8Array {
  const encoded = new TextEncoder().encode(name);
  if (encoded.length === 0 || encoded.length > nameBytesMax) {
    throw new AreaError(`area name ${JSON.stringify(name)} must have 1 to ${nameBytesMax} bytes`);
  }
  return encoded;
}

function roundUp(value: number, align: number): number {
  return Math.ceil(value / align) * align;
}
