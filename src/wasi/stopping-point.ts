/**
 * Stops a program at a point of its own: before a certain system call, so that a checkpoint taken there holds the
 * program as it was right then. Used for snapshots of programs that have finished their initialisation.
 *
 * The import functions of one process are wrapped. At the point they return BLOCKED without doing anything, and the
 * process sleeps until it is captured; the call is made when it goes on from the capture, most often in another system
 * and without these wrappers.
 */
import { wasiCallPolicy } from "../engine/index.ts";
import { BLOCKED, DIED } from "../kernel/wait.ts";
import { GuestMemory } from "./guest-memory.ts";
import type { ImportFunction, ImportTable, WantedImport } from "./imports.ts";
import type { WasiProcess, WasiServices } from "./services.ts";

/** Where a program is to stop. */
export type StoppingPoint =
  /** Where it would wait for standard input. */
  | { readonly kind: "input" }
  /** Before a system call is made for the nth time, counted from 1. */
  | { readonly kind: "call"; readonly name: string; readonly count: number }
  /** Before it opens a path that ends in a text. */
  | { readonly kind: "open"; readonly path: string }
  /** At the first system call after it has written a text to standard output or standard error. */
  | { readonly kind: "output"; readonly text: string };

/**
 * Reads a point as people write it: `input`, `call:NAME`, `call:NAME:N`, `open:PATH`, `output:TEXT`. Null for
 * anything else.
 */
export function parseStoppingPoint(text: string): StoppingPoint | null {
  if (text === "input") return { kind: "input" };
  const match = /^(call|open|output):(.+)$/s.exec(text);
  if (match === null) return null;
  const [, kind, rest] = match;
  if (kind === "open") return { kind, path: rest };
  if (kind === "output") return { kind, text: rest };
  const call = /^(\w+)(?::([1-9]\d{0,8}))?$/.exec(rest);
  if (call === null || !canStopAt(call[1])) return null;
  return { kind: "call", name: call[1], count: Number(call[2] ?? 1) };
}

/** A call that never waits cannot say that it is to be made again. */
function canStopAt(name: string): boolean {
  return !wasiCallPolicy.neverBlocks.includes(name) && !wasiCallPolicy.neverReturns.includes(name);
}

/** The kernel's side: a process that can be stopped. */
export interface StoppingProcess extends WasiProcess {
  /** It has reached its point: tells who waits for it. */
  stop(): void;
  /** It has reached its point, and is not to go on. */
  readonly isStopped: boolean;
}

/** Import functions that stop their process at a point. */
export function stoppingImports(
  table: ImportTable,
  wanted: readonly WantedImport[],
  process: StoppingProcess,
  point: StoppingPoint,
  services: Pick<WasiServices, "files" | "waits">,
): ImportTable {
  const stopper = new Stopper(process, point, services);
  const wrapped: ImportTable = {};
  for (const { module, name, results } of wanted) {
    const original = table[module]?.[name];
    if (original === undefined) continue;
    wrapped[module] ??= {};
    const mayBlock = wasiCallPolicy.namespaces.includes(module);
    const canStop = mayBlock && canStopAt(name) && results?.length !== 0;
    wrapped[module][name] = canStop ? stopper.wrap(name, original) : original;
  }
  return wrapped;
}

class Stopper {
  private readonly process: StoppingProcess;
  private readonly point: StoppingPoint;
  private readonly services: Pick<WasiServices, "files" | "waits">;
  private readonly memory: GuestMemory;
  private calls = 0;
  /** The last call was BLOCKED: the next one is the same once more. */
  private repeats = false;
  private hasStopped = false;
  private hasWritten = false;
  /** The end of what was written, as far as the text that is looked for can begin in it. */
  private written = "";
  private readonly decoder = new TextDecoder();

  constructor(
    process: StoppingProcess,
    point: StoppingPoint,
    services: Pick<WasiServices, "files" | "waits">,
  ) {
    this.process = process;
    this.point = point;
    this.services = services;
    this.memory = new GuestMemory(process);
  }

  wrap(name: string, original: ImportFunction): ImportFunction {
    const call = original as (...values: number[]) => number;
    return (...values: number[]) => {
      // A process that was told to go on goes on for good.
      if (this.hasStopped && !this.process.isStopped) return call(...values);
      if (this.hasStopped) return this.process.dying() ? DIED : BLOCKED;
      if (!this.repeats && this.isBefore(name, values)) return this.stop();
      const result = call(...values);
      this.repeats = result === BLOCKED;
      if (this.repeats && this.point.kind === "input" && this.waitsForInput()) return this.stop();
      if (result === 0 && name === "fd_write") this.noteOutput(values);
      return result;
    };
  }

  private stop(): number {
    this.hasStopped = true;
    this.process.stop();
    return BLOCKED;
  }

  private isBefore(name: string, values: readonly number[]): boolean {
    const { point } = this;
    if (point.kind === "output") return this.hasWritten;
    if (point.kind === "call") return name === point.name && ++this.calls === point.count;
    if (point.kind === "open")
      return name === "path_open" && this.textAt(values[2], values[3]).endsWith(point.path);
    return false;
  }

  private textAt(address: number, length: number): string {
    this.memory.refresh();
    const start = address >>> 0;
    if (!this.memory.holds(start, length >>> 0)) return "";
    return this.decoder.decode(this.memory.bytes.slice(start, start + (length >>> 0)));
  }

  private waitsForInput(): boolean {
    const { files, waits } = this.services;
    const file = files.lookup(this.process.slot, 0, 0);
    const queue = file < 0 ? 0 : files.readQueue(file);
    return queue !== 0 && waits.isWaiting(this.process.thread, queue);
  }

  private noteOutput([descriptor, vectors, count]: readonly number[]): void {
    if (this.point.kind !== "output" || (descriptor !== 1 && descriptor !== 2)) return;
    const { memory } = this;
    memory.refresh();
    if (memory.readVectors(vectors >>> 0, count >>> 0) < 0) return;
    for (let n = 0; n < memory.vectorCount; n++) {
      this.written += this.textAt(memory.vectorAddress(n), memory.vectorLength(n));
    }
    this.hasWritten ||= this.written.includes(this.point.text);
    this.written = this.written.slice(-this.point.text.length);
  }
}
