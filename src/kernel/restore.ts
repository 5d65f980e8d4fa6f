/**
 * Makes a process from a checkpoint file.
 *
 * 1. `restore_request` (see `protocol.ts`): the sender has filled in a `CheckpointOrder`.
 * 2. This core reads the file and checks all of it, memory included, into objects that nobody else knows. Only then
 *    it claims a process, opens its files, and queues its thread.
 * 3. `restore_reply`: the pid, or a negated errno with the reason in the order; then nothing has changed.
 */
import {
  CheckpointError,
  type CheckpointSource,
  countFrames,
  type Digest,
  decodeCheckpoint,
  type StoredCheckpoint,
} from "../checkpoint/index.ts";
import { type Program, ProgramError, type ProgramLoader } from "../engine/index.ts";
import type { Clock, Core } from "../machine/machine.ts";
import type { TypedMemory } from "../memory/index.ts";
import type { Endpoint } from "../message/index.ts";
import type { Areas } from "./areas.ts";
import { type DecodedArguments, decodeArguments } from "./argument-block.ts";
import type { CapturedProcess } from "./captured-process.ts";
import type { CheckpointFiles } from "./checkpoint.ts";
import { type CheckpointOrder, checkpointOrder, refuse, streamCount } from "./checkpoint-order.ts";
import { errno, errnoName } from "./errno.ts";
import type { FrameTables } from "./frame-tables.ts";
import { type PageAllocator, page_bytes } from "./page-allocator.ts";
import type { Personality } from "./personality.ts";
import type { ProcessTable } from "./processes.ts";
import type { ProgramRunner } from "./program-runner.ts";
import { restore } from "./protocol.ts";
import { migratability } from "./state.ts";
import type { WaitService } from "./wait.ts";

export interface RestoreParts {
  readonly core: Core;
  /** Number of this kernel. */
  readonly kernel: number;
  readonly endpoint: Endpoint;
  readonly table: ProcessTable;
  readonly areas: Areas;
  readonly memory: TypedMemory;
  readonly pages: PageAllocator;
  readonly waits: WaitService;
  readonly clock: Clock;
  readonly loader: ProgramLoader;
  readonly runner: ProgramRunner;
  readonly personality: Personality;
  readonly files: CheckpointFiles;
  readonly frameTables: FrameTables;
  readonly digest: Digest;
}

/** A checkpoint whose program and memory are at hand. */
interface Loaded {
  readonly checkpoint: StoredCheckpoint;
  readonly program: Program;
  readonly memory: WebAssembly.Memory | null;
}

/** Restores processes on one core. */
export class Restores {
  private readonly parts: RestoreParts;

  constructor(parts: RestoreParts) {
    this.parts = parts;
    parts.endpoint.serve(restore, ({ page }) => this.restore(page));
  }

  /** Serves the order in a page: the pid of the new process, or a negated errno. */
  private restore(page: number): number {
    const { areas, core, memory, pages, waits } = this.parts;
    // What is no order must not be given an answer.
    if (!pages.holds(page * page_bytes, 0)) return -errno.INVAL;
    const order = checkpointOrder(memory, page);
    if (order === null) return -errno.INVAL;
    // Reading a large file takes long, and nobody is answered meanwhile.
    areas.cores.setDeaf(core.id, 1);
    try {
      return this.start(this.load(order), order);
    } catch (error) {
      if (!(error instanceof CheckpointError)) throw error;
      refuse(order, error.message);
      return -errno.INVAL;
    } finally {
      areas.cores.setDeaf(core.id, 0);
      waits.wake(areas.cores.deafQueue(core.id));
    }
  }

  /** Reads and checks everything. Changes nothing that anybody else sees. */
  private load(order: CheckpointOrder): Loaded {
    const { digest, frameTables } = this.parts;
    const { instrumenter } = this.parts.loader;
    const checkpoint = decodeCheckpoint(this.source(order.file(0)), digest);
    if (checkpoint.threads.length !== 1) {
      throw new CheckpointError(
        `the process has ${checkpoint.threads.length} threads, and this system runs one`,
      );
    }
    if (checkpoint.program.instrumenter !== instrumenter) {
      throw new CheckpointError(
        `the checkpoint was taken by "${checkpoint.program.instrumenter}", whose stack frames "${instrumenter}" cannot read; restore it with the version that took it, and on a simulated machine if it was taken on one`,
      );
    }
    const program = this.findProgram(checkpoint);
    if (!program.migratable) throw new CheckpointError(`the program cannot be restored: ${program.obstacle}`);
    const table = frameTables.of(program);
    if (checkpoint.program.frameTable !== table.digest) {
      throw new CheckpointError(
        "the stack frames in the checkpoint are laid out in another way than this system's; restore it with the version that took it",
      );
    }
    if (countFrames(checkpoint.threads[0].frames, table.shapes) === 0) {
      throw new CheckpointError("the checkpoint has no stack");
    }
    return { checkpoint, program, memory: this.loadMemory(checkpoint, program, order) };
  }

  private source(file: number): CheckpointSource {
    const { files } = this.parts;
    const size_bytes = files.size(file);
    if (size_bytes < 0) throw new CheckpointError(`the file cannot be read: ${errnoName(size_bytes)}`);
    let buffer = new Uint8Array(0);
    return {
      size_bytes,
      read: (position, length) => {
        if (buffer.length < length) buffer = new Uint8Array(Math.max(length, 2 * buffer.length));
        for (let done = 0; done < length; ) {
          const count = files.readAt(file, buffer, done, length - done, position + done);
          if (count <= 0) {
            throw new CheckpointError(
              `the file cannot be read: ${count === 0 ? "it got shorter" : errnoName(count)}`,
            );
          }
          done += count;
        }
        return buffer.subarray(0, length);
      },
    };
  }

  private findProgram({ program: wanted }: StoredCheckpoint): Program {
    const { loader, personality } = this.parts;
    const known = loader.findStored(wanted.hash);
    if (known !== undefined) return known;
    try {
      if (wanted.module !== null) return loader.load(wanted.module);
      const found = personality.findExecutable(wanted.path);
      if (typeof found !== "number") {
        const program = loader.load(found.read());
        if (program.hash === wanted.hash) return program;
      }
    } catch (error) {
      throw new CheckpointError(
        `its program ${wanted.path} cannot be loaded: ${error instanceof Error ? error.message : error}`,
      );
    }
    throw new CheckpointError(
      `its program is not at ${wanted.path} any more, or another one is; put the program back, or take the checkpoint with the program in it`,
    );
  }

  private loadMemory(
    { memory: stored, process }: StoredCheckpoint,
    { memory: declared }: Program,
    order: CheckpointOrder,
  ): WebAssembly.Memory | null {
    if (stored === null || declared === null) {
      if (stored !== null || declared !== null)
        throw new CheckpointError("the program and the checkpoint do not fit");
      return null;
    }
    const limit_pages = Math.min(process.memoryLimit_pages, order.memoryLimit_pages(0));
    if (stored.size_pages > limit_pages) {
      throw new CheckpointError(
        `the process needs ${stored.size_pages} pages of memory, and may have ${limit_pages}`,
      );
    }
    if (stored.size_pages < declared.initial || stored.size_pages > declared.maximum) {
      throw new CheckpointError("the program and the checkpoint do not fit: the memory has the wrong size");
    }
    const memory = makeMemory(stored.size_pages, declared.maximum);
    stored.load(new Uint8Array(memory.buffer));
    return memory;
  }

  /** From here on the system sees it. */
  private start(loaded: Loaded, order: CheckpointOrder): number {
    const { areas, core, kernel, table, personality, files, runner, clock } = this.parts;
    const { checkpoint, program, memory } = loaded;
    const { process } = checkpoint;
    const slot = table.allocate({
      kernel,
      core: core.id,
      parent: order.parent(0),
      priority: process.priority,
      detached: false,
      name: process.name,
      argumentOffset: 0,
      argumentOrder: 0,
      memoryLimitPages: Math.min(process.memoryLimit_pages, order.memoryLimit_pages(0)),
      pid: order.pid(0),
      // To the process, no time has passed.
      clockOffset_ns: process.monotonic_ns - clock.monotonic_ns(),
    });
    if (slot < 0) {
      const taken =
        order.pid(0) !== 0 ? `process number ${order.pid(0)} is taken` : "there are too many processes";
      throw new CheckpointError(taken);
    }
    const { processes, threads } = areas;
    const thread = processes.thread(slot);
    try {
      const streams = Array.from({ length: streamCount }, (_, index) => order.streams(0, index));
      const failure = files.open(slot, checkpoint, { streams, acceptChanges: order.acceptChanges(0) !== 0 });
      if (failure !== null) throw new CheckpointError(failure);
      const [image] = checkpoint.threads;
      const captured: CapturedProcess = {
        slot,
        thread,
        pid: processes.pid(slot),
        state: {
          program: program.hash,
          phase: image.phase,
          frames: image.frames,
          globals: image.globals,
        },
        memory,
        program,
        path: checkpoint.program.path,
        ...(this.freshArguments(order) ?? checkpoint.start),
        preopens: checkpoint.start.preopens,
        call: image.answeredCall ?? undefined,
      };
      runner.adopt(captured);
      const remaining_ns = image.callRemaining_ns;
      if (remaining_ns !== null)
        threads.records.setCallDeadline_ns(thread, clock.monotonic_ns() + remaining_ns);
    } catch (error) {
      personality.releaseFiles(slot);
      table.abandon(slot);
      if (error instanceof ProgramError) throw new CheckpointError(error.message);
      throw error;
    }
    processes.setCpuTime_ns(slot, process.cpuTime_ns);
    processes.setMigratable(slot, migratability.yes);
    for (const signal of process.pendingSignals) processes.setPendingSignal(slot, signal);
    table.launch(slot);
    return processes.pid(slot);
  }

  /** Arguments and environment for calls that ask for them from now on; null to keep those of the checkpoint. */
  private freshArguments(order: CheckpointOrder): Pick<DecodedArguments, "arguments" | "environment"> | null {
    const offset = order.argumentOffset(0);
    if (offset === 0) return null;
    const decoded = decodeArguments(this.parts.memory, offset, page_bytes * 2 ** order.argumentOrder(0));
    if (decoded === null) throw new CheckpointError("the arguments for the process are damaged");
    return { arguments: decoded.arguments, environment: decoded.environment };
  }
}

/** @throws CheckpointError when the host has none left. */
function makeMemory(initial: number, maximum: number): WebAssembly.Memory {
  try {
    return new WebAssembly.Memory({ initial, maximum, shared: true });
  } catch {
    throw new CheckpointError(`there is no memory for its ${initial} pages`);
  }
}
