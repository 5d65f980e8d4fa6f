/**
 * Typed memory: a SharedArrayBuffer that knows what it holds. One kernel (or thread) formats it and
 * creates areas; others attach to the same buffer, look areas up by name and get accessors morphed to
 * the areas' formats.
 */
import type { Area } from "./accessor.ts";
import { describe, type Strategy } from "./binding.ts";
import { type AreaDescription, type Contract, Directory, type DirectoryAccess } from "./directory.ts";
import { AreaError, AttachError } from "./errors.ts";
import { guardedPage_bytes, type MemoryGuard } from "./guard.ts";
import { type Format, layoutOf } from "./layout.ts";
import { decodeStruct, encodeStruct, morph } from "./morph.ts";
import { bind } from "./overlay.ts";
import { Pool } from "./pool.ts";
import { readBytes, writeBytes, zeroBytes } from "./raw.ts";
import type { Fields, StructType } from "./types.ts";
import { threadWaiting, type Waiting } from "./waiting.ts";

export interface MemoryOptions {
  /** Where the memory starts in the buffer, a multiple of 64. Default 0. */
  readonly base?: number;
  /** Bytes of the memory. Default: up to the end of the buffer. Only for `format`. */
  readonly byteLength?: number;
  /** How many areas the directory can name. Default 256. Only for `format`. */
  readonly areasMax?: number;
  /** How locks and atomic fields wait. Default: spin, then park the thread. */
  readonly waiting?: Waiting;
  /** Strategy of accessors that do not ask for one. Default: generated code where it is allowed. */
  readonly strategy?: Strategy;
  /** Is told of every access to the memory before it happens, the directory's own included. Default: none. */
  readonly guard?: MemoryGuard;
  /** Groups that pools made here get if they do not say; see `PoolOptions`. Default: pools are not grouped. */
  readonly poolGroups?: number;
  /** Group that this user of the memory allocates from first, in pools that have groups. Default 0. */
  readonly poolGroup?: number;
  /**
   * Positive number below 2^30 by which this user of the memory is known, unique among those at any time, for whoever
   * is to clean up behind it: see `recover`. Default: one that nobody else gets.
   */
  readonly user?: number;
}

function accessOf({ waiting = threadWaiting, guard, user }: MemoryOptions): DirectoryAccess {
  return { waiting, guard, user };
}

export interface AttachOptions {
  /** Whether record numbers and array indices are checked. Default true. */
  readonly checked?: boolean;
  readonly strategy?: Strategy;
}

export interface CreateOptions extends AttachOptions {
  /** Number of records. */
  readonly count: number;
  /** Data format of the area. Default `lp64`. */
  readonly format?: Format;
  /** Default: coherent memory, latencies unknown. */
  readonly contract?: Partial<Contract>;
  /** Alignment of record 0, a power of two. Default 64, a cache line. */
  readonly align?: number;
  /** Bytes between records, for example a cache line each. Default: the struct's size. */
  readonly stride?: number;
  /**
   * Records are mostly used by one user each: in a memory whose pools have groups, which is kept in step page by page,
   * each record then has pages of its own.
   */
  readonly separate?: boolean;
}

export interface PoolOptions extends CreateOptions {
  /**
   * Splits the pool into so many groups that share no page of 4 KiB, neither by their records nor by their bookkeeping,
   * so that users who allocate from different groups do not take pages from each other where memory is kept in step
   * page by page. Records are then up to twice as far apart.
   */
  readonly groups?: number;
}

const areasMaxDefault = 256;
const alignDefault = 64;

export class TypedMemory {
  readonly buffer: SharedArrayBuffer;
  /** All bytes of the buffer. */
  readonly bytes: Uint8Array<SharedArrayBuffer>;
  /** What is told of every access. Whoever goes through `bytes` or `buffer` must tell it too; see `touch`. */
  readonly guard: MemoryGuard | undefined;
  /** Group of a pool that is allocated from unless another is asked for. */
  readonly poolGroup: number;
  readonly #directory: Directory;
  readonly #waiting: Waiting;
  readonly #strategy: Strategy | undefined;
  readonly #poolGroups: number | undefined;

  private constructor(buffer: SharedArrayBuffer, directory: Directory, options: MemoryOptions) {
    this.buffer = buffer;
    this.bytes = new Uint8Array(buffer, 0, buffer.byteLength);
    this.guard = options.guard;
    this.poolGroup = options.poolGroup ?? 0;
    this.#poolGroups = options.poolGroups;
    this.#directory = directory;
    this.#waiting = options.waiting ?? threadWaiting;
    this.#strategy = options.strategy;
  }

  /**
   * Makes a buffer a typed memory without areas. What it held is lost.
   * @throws AreaError when there is no room for the directory.
   */
  static format(buffer: SharedArrayBuffer, options: MemoryOptions = {}): TypedMemory {
    const base = options.base ?? 0;
    const end = options.byteLength === undefined ? buffer.byteLength : base + options.byteLength;
    const access = accessOf(options);
    const directory = Directory.format(buffer, base, end, options.areasMax ?? areasMaxDefault, access);
    return new TypedMemory(buffer, directory, options);
  }

  /**
   * Uses a buffer that somebody has formatted.
   * @throws AreaError when nobody has.
   */
  static attach(buffer: SharedArrayBuffer, options: MemoryOptions = {}): TypedMemory {
    const access = accessOf(options);
    const directory = Directory.attach(buffer, options.base ?? 0, access);
    return new TypedMemory(buffer, directory, options);
  }

  /**
   * Announces that code other than accessors is about to read, or (`write`) read and write, `length` bytes at `offset`
   * of the buffer: through `bytes`, say. What was announced holds until the next access to other bytes, here or by an
   * accessor. Does nothing without a guard.
   */
  touch(offset: number, length: number, write: boolean): void {
    this.guard?.access(offset, length, write);
  }

  /** A copy of `length` bytes at `offset` of the buffer. */
  read(offset: number, length: number): Uint8Array<ArrayBuffer> {
    return readBytes(this.buffer, this.guard, offset, length);
  }

  /** Copies bytes that lie elsewhere to `offset` of the buffer. */
  write(offset: number, bytes: Uint8Array): void {
    writeBytes(this.buffer, this.guard, offset, bytes);
  }

  /** Fills `length` bytes at `offset` of the buffer with zeros. */
  zero(offset: number, length: number): void {
    zeroBytes(this.buffer, this.guard, offset, length);
  }

  /**
   * Creates an area of `count` zeroed records and returns its accessor.
   * @throws AreaError when the name is taken or there is no room.
   */
  create<F extends Fields>(name: string, struct: StructType<F>, options: CreateOptions): Area<F> {
    const format = options.format ?? "lp64";
    const layout = layoutOf(struct, format);
    // Where memory is kept in step page by page, areas have pages of their own.
    const byPage = this.#poolGroups !== undefined;
    const align = options.align ?? (byPage ? guardedPage_bytes : alignDefault);
    const stride =
      options.stride ??
      (byPage && options.separate === true
        ? Math.ceil(layout.size / guardedPage_bytes) * guardedPage_bytes
        : layout.size);
    const where = describe({ name, struct: struct.name });
    if (!Number.isSafeInteger(options.count) || options.count < 1 || options.count > 0x7ffffffe) {
      throw new AreaError(`${where}: count ${options.count} must be a positive integer`);
    }
    if (!Number.isSafeInteger(Math.log2(align)) || align < layout.align) {
      throw new AreaError(`${where}: alignment ${align} must be a power of two of at least ${layout.align}`);
    }
    if (!Number.isSafeInteger(stride) || stride < layout.size || stride % layout.align !== 0) {
      throw new AreaError(
        `${where}: stride ${stride} must be a multiple of ${layout.align} of at least ${layout.size}`,
      );
    }
    const description = this.#directory.create({
      name,
      format,
      contract: { coherence: byPage ? "dsm" : "coherent", latenciesNs: [], ...options.contract },
      count: options.count,
      stride,
      byteLength: options.count * stride,
      align,
      structText: encodeStruct(struct),
    });
    return this.#bind(struct, description, options);
  }

  /**
   * Attaches to an area: looks it up and morphs the accessor code to its format. `struct` may declare
   * fewer fields than the creator's, and wider ones; a write that the area's own type cannot hold is
   * then a ValueError.
   * @throws AttachError when there is no such area, or attaching would lose information; it names the
   * field.
   */
  attachArea<F extends Fields>(name: string, struct: StructType<F>, options: AttachOptions = {}): Area<F> {
    const description = this.#directory.lookup(name);
    if (description === undefined) {
      const known = this.areas().map((area) => area.name);
      throw new AttachError(
        `there is no area ${name} to attach to; ${known.length === 0 ? "the memory has none" : `the memory has ${known.join(", ")}`}`,
      );
    }
    return this.#bind(struct, description, options);
  }

  /** What the directory says about an area, or nothing if there is none of that name. */
  lookup(name: string): AreaDescription | undefined {
    return this.#directory.lookup(name);
  }

  areas(): AreaDescription[] {
    return this.#directory.list();
  }

  /**
   * Removes an area. Accessors that others still hold must not be used any more: the room may get
   * another area.
   * @throws AreaError when there is none of that name.
   */
  remove(name: string): void {
    if (!this.#directory.remove(name)) throw new AreaError(`there is no area ${name} to remove`);
  }

  /** Names this user of the memory to others, who may have to clean up behind it; see `recover`. */
  get user(): number {
    return this.#directory.user;
  }

  /** Cleans up behind a user that died while it created, removed or looked up an area. Harmless otherwise. */
  recover(deadUser: number): void {
    this.#directory.recover(deadUser);
  }

  /** Bytes that no area has taken; they need not lie together. */
  freeBytes(): number {
    return this.#directory.freeBytes();
  }

  /**
   * Creates an area from which records are allocated and freed one by one; `count` of them can be in
   * use at once.
   * @throws AreaError as `create`, and for a number of groups that is none.
   */
  createPool<F extends Fields>(name: string, struct: StructType<F>, options: PoolOptions): Pool<F> {
    return Pool.create(this, name, struct, { groups: this.#poolGroups, ...options });
  }

  /**
   * Attaches to a pool.
   * @throws AttachError as `attachArea`, and when the area is not a pool.
   */
  attachPool<F extends Fields>(name: string, struct: StructType<F>, options: AttachOptions = {}): Pool<F> {
    return Pool.attach(this, name, struct, options);
  }

  /**
   * Removes a pool with its bookkeeping.
   * @throws AreaError when there is none of that name.
   */
  removePool(name: string): void {
    Pool.remove(this, name);
  }

  #bind<F extends Fields>(
    struct: StructType<F>,
    description: AreaDescription,
    options: AttachOptions,
  ): Area<F> {
    const { name, format, structText, base, count, stride } = description;
    const layout = morph(name, struct, decodeStruct(name, structText), format);
    return bind(struct, layout, name, this.buffer, {
      format,
      base,
      count,
      stride,
      checked: options.checked ?? true,
      strategy: options.strategy ?? this.#strategy,
      waiting: this.#waiting,
      guard: this.guard,
    });
  }
}
