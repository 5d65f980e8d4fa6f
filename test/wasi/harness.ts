/**
 * A process without a program: its memory, its descriptors and the real file service, so that tests make
 * system calls as a program would. Values in memory are read and written with plain offsets from the C
 * headers, independent of the structs under test.
 */
import { createAreas } from "../../src/kernel/areas.ts";
import { errnoName } from "../../src/kernel/errno.ts";
import { limits, mountType } from "../../src/kernel/state.ts";
import { WaitService } from "../../src/kernel/wait.ts";
import { Ram } from "../../src/machine/ram.ts";
import { TypedMemory } from "../../src/memory/index.ts";
import { type CharacterDevice, Devices } from "../../src/services/device/devices.ts";
import { Files } from "../../src/services/fs/files.ts";
import { Mounts } from "../../src/services/fs/mounts.ts";
import { NetworkService } from "../../src/services/network/network.ts";
import { Pages } from "../../src/services/pages/index.ts";
import { archipelagoFunctions } from "../../src/wasi/archipelago.ts";
import { wasiFunctions } from "../../src/wasi/functions.ts";
import { hostFunctions } from "../../src/wasi/host-imports.ts";
import {
  applicableRights,
  type ImportTable,
  preopenRights,
  right,
  type WantedImport,
  WasiCalls,
  type WasiProcess,
} from "../../src/wasi/index.ts";
import { wasixFunctions } from "../../src/wasi/wasix.ts";
import { MemoryFileSystem } from "./memory-filesystem.ts";

export const preview1Name = "wasi_snapshot_preview1";
export const unstableName = "wasi_unstable";

const owner = 1;
const slot = 1;
/** Where a test's own values in program memory begin, and how large that memory is. */
const arena = 1024;
const memory_bytes = 1 << 20;
/** Last word of the memory: a place that a call may write and that no test reads. */
export const lastWord = memory_bytes - 4;

/** A terminal whose input the test gives and whose output it reads. */
export class FakeTerminal implements CharacterDevice {
  readonly name = "tty";
  readonly isTerminal = true;
  readonly readQueue: number;
  readonly writeQueue = 0;
  input: number[] = [];
  output: number[] = [];

  constructor(readQueue: number) {
    this.readQueue = readQueue;
  }

  read(target: Uint8Array, offset: number, length: number): number {
    if (this.input.length === 0) return -6;
    const part = this.input.splice(0, length);
    target.set(part, offset);
    return part.length;
  }

  write(source: Uint8Array, offset: number, length: number): number {
    for (let n = 0; n < Math.min(length, 1000); n++) this.output.push(source[offset + n]);
    return length;
  }

  pollRead(): number {
    return this.input.length === 0 ? -6 : this.input.length;
  }

  pollWrite(): number {
    return 1;
  }
}

export interface HarnessOptions {
  arguments?: string[];
  environment?: string[];
  /** Without preopens, the process has standard streams only. */
  preopens?: string[];
  readOnlyPreopens?: boolean;
}

const allWanted: WantedImport[] = [preview1Name, unstableName].flatMap((module) =>
  Object.keys(wasiFunctions).map((name) => ({ module, name })),
);
const extraFunctions: typeof hostFunctions = {
  ...hostFunctions,
  wasix_32v1: wasixFunctions,
  archipelago_1: archipelagoFunctions,
};
for (const [module, functions] of Object.entries(extraFunctions)) {
  for (const name of Object.keys(functions)) allWanted.push({ module, name });
}

export class Harness {
  readonly buffer: SharedArrayBuffer;
  readonly view: DataView;
  readonly fileSystem = new MemoryFileSystem();
  readonly devices = new Devices();
  readonly terminal: FakeTerminal;
  readonly files: Files;
  readonly network: NetworkService;
  /** The island's memory, and its pages. */
  readonly memory: TypedMemory;
  readonly pages: Pages;
  readonly waits: WaitService;
  readonly areas: ReturnType<typeof createAreas>;
  readonly imports: ImportTable;
  readonly thread: number;
  /** Threads that were woken since the test last emptied the list. */
  readonly woken: number[] = [];
  readonly now = { monotonic_ns: 1e9, realtime_ns: 1.7e18 };
  exitCode: number | undefined;
  raised: number[] = [];
  yields = 0;
  dying = false;
  process: WasiProcess & { bytes: Uint8Array };
  private next = arena;

  constructor(options: HarnessOptions = {}) {
    const island = new SharedArrayBuffer(32 << 20);
    const memory = TypedMemory.format(island);
    const areas = createAreas(memory);
    this.areas = areas;
    this.memory = memory;
    const pages = Pages.create(memory, { name: "pages", base: 16 << 20, count: 1024, owner });
    this.pages = pages;
    this.waits = new WaitService(
      { waitQueues: areas.waitQueues.records, waiters: areas.waiters, threads: areas.threads.records },
      (thread) => this.woken.push(thread),
      owner,
    );
    const mounts = new Mounts(areas, { ext2: { open: () => this.fileSystem } }, owner);
    const ram = new Ram(memory.buffer);
    this.network = NetworkService.create({
      memory,
      waitQueues: areas.waitQueues,
      ram,
      pages,
      waits: this.waits,
      owner,
      hardware: null,
    });
    this.files = new Files({
      areas,
      ram,
      network: this.network,
      mounts,
      devices: this.devices,
      pages,
      waits: this.waits,
      owner,
    });
    const root = mounts.mountExt2("/", 0, false);
    if (root < 0) throw new Error(`mounting failed: ${errnoName(root)} (type ${mountType.ext2})`);
    this.terminal = new FakeTerminal(areas.waitQueues.allocate(owner));
    this.devices.register(1, this.terminal);
    this.thread = areas.threads.allocate(owner);
    areas.threads.records.setDeadline_ns(this.thread, Infinity);

    this.buffer = new SharedArrayBuffer(memory_bytes);
    this.view = new DataView(this.buffer);
    const encoder = new TextEncoder();
    const preopens = options.preopens ?? ["/"];
    const self = this;
    this.process = {
      slot,
      thread: this.thread,
      pid: 4711,
      bytes: new Uint8Array(this.buffer),
      arguments: (options.arguments ?? []).map((text) => encoder.encode(text)),
      environment: (options.environment ?? []).map((text) => encoder.encode(text)),
      preopens,
      dying: () => self.dying,
      exit(code) {
        self.exitCode = code;
        self.dying = true;
      },
      raise(signal) {
        self.raised.push(signal);
        self.dying = true;
      },
      signal: () => 0,
      migrate: () => 0,
      parent: 0,
      childQueue: 0,
      fork: () => 4712,
      join: () => -12,
      exec: () => {
        self.dying = true;
      },
      clockOffset_ns: 0,
      yield: () => {
        self.yields++;
      },
    };
    let seed = 1;
    const calls = new WasiCalls({
      files: this.files,
      waits: this.waits,
      threads: areas.threads.records,
      clock: {
        monotonic_ns: () => this.now.monotonic_ns,
        realtime_ns: () => this.now.realtime_ns,
        coarse_ns: () => this.now.realtime_ns,
        resolution_ns: 1,
      },
      random: (target) => {
        for (let n = 0; n < target.length; n++) {
          seed = (Math.imul(seed, 1103515245) + 12345) >>> 0;
          target[n] = seed >>> 16;
        }
      },
      cpuTime_ns: () => 123_456,
    });
    calls.admit(this.process).enter();
    this.imports = calls.imports(allWanted);
    const streams = applicableRights(2, true);
    for (let fd = 0; fd < 3; fd++) this.install(this.files.openDevice(1), streams);
    preopens.forEach((_, index) => {
      const granted = preopenRights(options.readOnlyPreopens === true);
      this.install(this.files.openRoot(), granted.rights, granted.inheriting, index);
    });
  }

  install(file: number, rights: number, inheriting = 0, preopen?: number): number {
    if (file < 0) throw new Error(errnoName(file));
    return this.files.install(slot, file, rights, inheriting, preopen);
  }

  /** A pipe's ends as descriptors of the process. */
  pipe(): { reader: number; writer: number } {
    const ends = this.files.makePipe();
    if (typeof ends === "number") throw new Error(errnoName(ends));
    const rights = applicableRights(0, false);
    return {
      reader: this.install(ends.reader, rights & ~right.FD_WRITE),
      writer: this.install(ends.writer, rights & ~right.FD_READ),
    };
  }

  /** Calls a function of preview 1, or of `module`; 64-bit values are passed in halves, as the engine does it. */
  call(name: string, ...values: (number | bigint)[]): number {
    return this.callIn(preview1Name, name, ...values);
  }

  callIn(module: string, name: string, ...values: (number | bigint)[]): number {
    const known = extraFunctions[module]?.[name] ?? wasiFunctions[name];
    const letters = known.parameters;
    if (letters.length !== values.length) throw new Error(`${name} takes ${letters.length} values`);
    const passed = values.flatMap((value, n) =>
      letters[n] === "l" ? halves(BigInt(value)) : Number(value) | 0,
    );
    return this.imports[module][name](...(passed as never[]));
  }

  /** Room in program memory, zeroed, aligned to 8. */
  room(size_bytes: number): number {
    const at = (this.next + 7) & ~7;
    this.next = at + size_bytes;
    if (this.next > memory_bytes) throw new Error("the test's memory is full");
    this.process.bytes.fill(0, at, at + size_bytes);
    return at;
  }

  /** Puts text into program memory: its address and length. */
  text(text: string | Uint8Array): [number, number] {
    const bytes = typeof text === "string" ? new TextEncoder().encode(text) : text;
    const at = this.room(Math.max(1, bytes.length));
    this.process.bytes.set(bytes, at);
    return [at, bytes.length];
  }

  vectors(...list: (readonly [number, number])[]): number {
    const at = this.room(list.length * 8);
    list.forEach(([address, length], n) => {
      this.view.setUint32(at + n * 8, address, true);
      this.view.setUint32(at + n * 8 + 4, length, true);
    });
    return at;
  }

  u8(at: number): number {
    return this.view.getUint8(at);
  }

  u16(at: number): number {
    return this.view.getUint16(at, true);
  }

  u32(at: number): number {
    return this.view.getUint32(at, true);
  }

  u64(at: number): number {
    return Number(this.view.getBigUint64(at, true));
  }

  string(at: number, length: number): string {
    return new TextDecoder("utf-8", { ignoreBOM: true }).decode(this.process.bytes.slice(at, at + length));
  }

  /** Another process writes to (or reads from) a pipe whose end this process has too. */
  otherWrites(fd: number, text: string): number {
    const bytes = new TextEncoder().encode(text);
    return this.files.write(this.files.lookup(slot, fd, 0), bytes, 0, bytes.length);
  }

  otherReads(fd: number, length: number): number {
    return this.files.read(this.files.lookup(slot, fd, 0), new Uint8Array(length), 0, length);
  }

  // What programs do all the time.

  /** Opens a path below descriptor 3; a descriptor, or a negated errno. */
  open(
    path: string,
    options: { oflags?: number; rights?: number; inheriting?: number; flags?: number; follow?: number } = {},
  ): number {
    const result = this.room(4);
    const rights = options.rights ?? (1 << 30) - 1;
    const inheriting = options.inheriting ?? 0;
    const failure = this.call(
      "path_open",
      3,
      options.follow ?? 1,
      ...this.text(path),
      options.oflags ?? 0,
      BigInt(rights & this.grantable),
      BigInt(inheriting),
      options.flags ?? 0,
      result,
    );
    return failure === 0 ? this.u32(result) : -failure;
  }

  get grantable(): number {
    return this.files.inheriting(slot, 3);
  }

  /** Writes text; bytes written or a negated errno or BLOCKED as NaN. */
  write(fd: number, text: string): number {
    const result = this.room(4);
    const failure = this.call("fd_write", fd, this.vectors(this.text(text)), 1, result);
    return failure === 0 ? this.u32(result) : failure < 0 ? Number.NaN : -failure;
  }

  /** Reads up to `length` bytes as text, or a number: a negated errno, NaN when it would wait. */
  read(fd: number, length: number): string | number {
    const result = this.room(4);
    const at = this.room(length);
    const failure = this.call("fd_read", fd, this.vectors([at, length]), 1, result);
    if (failure !== 0) return failure < 0 ? Number.NaN : -failure;
    return this.string(at, this.u32(result));
  }

  /** A file with content, made without system calls. */
  file(name: string, content: string): void {
    const inode = this.fileSystem.createFile(1, name, 0o644);
    const handle = this.fileSystem.open(inode);
    const bytes = new TextEncoder().encode(content);
    this.fileSystem.write(handle, bytes, 0, bytes.length, 0);
    this.fileSystem.close(handle);
  }

  /** Forgets the values put into program memory so far. */
  reset(): void {
    this.next = arena;
  }

  close(): void {
    this.files.closeAll(slot);
    if (this.areas.openFiles.used() !== 0)
      throw new Error(`${this.areas.openFiles.used()} open files leaked`);
    if (this.fileSystem.openHandles !== 0) throw new Error(`${this.fileSystem.openHandles} handles leaked`);
    if (this.areas.threads.records.waitersLinked(this.thread) !== 0)
      throw new Error("the thread still waits");
  }
}

export const descriptorsMax = limits.descriptorsPerProcess;

/** A 64-bit argument as import functions get it. */
function halves(value: bigint): [low: number, high: number] {
  return [Number(BigInt.asIntN(32, value)), Number(BigInt.asIntN(32, value >> 32n))];
}
