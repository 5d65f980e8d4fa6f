/**
 * Writes a captured process to a file of the system, and lets it go on in place.
 *
 * 1. Somebody asks for a capture of kind `checkpoint`; the argument is the page of a `CheckpointOrder`.
 * 2. The process is captured. Its core describes what it has open, and writes state and memory to the file.
 * 3. The answer is 0, or a negated errno with the reason in the order. The process goes on either way.
 *
 * The process stands still while its file is written: what is in the file is one moment.
 */
import {
  type Checkpoint,
  CheckpointError,
  type DescriptorImage,
  type Digest,
  encodeCheckpoint,
  type FileImage,
  type PipeImage,
  type ThreadImage,
} from "../checkpoint/index.ts";
import type { ContextState, ProgramLoader } from "../engine/index.ts";
import type { Clock } from "../machine/machine.ts";
import type { TypedMemory } from "../memory/index.ts";
import type { Areas } from "./areas.ts";
import { type CaptureHandlers, type CaptureVerdict, captureKind } from "./capture.ts";
import type { CapturedProcess } from "./captured-process.ts";
import { type CheckpointOrder, checkpointOrder, refuse } from "./checkpoint-order.ts";
import { isLent } from "./children.ts";
import { errno, errnoName } from "./errno.ts";
import type { FrameTables } from "./frame-tables.ts";
import type { Personality } from "./personality.ts";
import { cpuTime_ns, text } from "./processes.ts";
import type { RunningProcess } from "./running-process.ts";

/** Everything that a process has open, as a checkpoint holds it. */
export interface OpenFileImages {
  readonly files: readonly FileImage[];
  readonly descriptors: readonly DescriptorImage[];
  readonly pipes: readonly PipeImage[];
}

/** What checkpoints need of the file service. */
export interface CheckpointFiles {
  /** What a process has open, or a text that says what cannot be taken along. */
  describe(slot: number, options: { readonly leaveOut: boolean }): OpenFileImages | string;
  /** Opens it all for a new process. Null, or a text that says what is not possible; then nothing is open. */
  open(
    slot: number,
    images: OpenFileImages,
    options: { readonly streams: readonly number[]; readonly acceptChanges: boolean },
  ): string | null;
  /** Writes at a position of an open file: bytes written, at least one, or a negated errno. */
  writeAt(file: number, source: Uint8Array, offset: number, length: number, position: number): number;
  /** Reads at a position of an open file: bytes read, 0 at the end, or a negated errno. */
  readAt(file: number, target: Uint8Array, offset: number, length: number, position: number): number;
  /** Size of an open file, or a negated errno. */
  size(file: number): number;
}

export interface CheckpointParts {
  readonly areas: Areas;
  readonly memory: TypedMemory;
  readonly clock: Clock;
  readonly loader: Pick<ProgramLoader, "instrumenter">;
  readonly handlers: CaptureHandlers;
  readonly personality: Pick<Personality, "findExecutable">;
  readonly files: CheckpointFiles;
  readonly frameTables: FrameTables;
  readonly digest: Digest;
}

/** Serves requests for checkpoints on one core. */
export class Checkpoints {
  private readonly parts: CheckpointParts;

  constructor(parts: CheckpointParts) {
    this.parts = parts;
    parts.handlers.register(captureKind.checkpoint, (process, state, argument) =>
      this.serve(process, state, argument),
    );
  }

  private serve(process: RunningProcess, state: ContextState, page: number): CaptureVerdict {
    const { handlers, memory, clock } = this.parts;
    const order = checkpointOrder(memory, page);
    if (order === null) {
      handlers.answer(process, captureKind.checkpoint, -errno.INVAL);
      return "resume";
    }
    const from_ns = clock.monotonic_ns();
    const result = this.write(process.captured(state), order);
    order.setPause_ns(0, clock.monotonic_ns() - from_ns);
    handlers.answer(process, captureKind.checkpoint, result);
    return "resume";
  }

  private write(captured: CapturedProcess, order: CheckpointOrder): number {
    const { areas, files, digest } = this.parts;
    if (areas.processes.borrows(captured.slot) !== 0 || isLent(areas.processes, captured.slot)) {
      refuse(
        order,
        "it shares its memory with another process until that runs another program; try again then",
      );
      return -errno.BUSY;
    }
    const images = files.describe(captured.slot, { leaveOut: order.leaveOut(0) !== 0 });
    if (typeof images === "string") {
      refuse(order, images);
      return -errno.NOTSUP;
    }
    const file = order.file(0);
    let position = 0;
    try {
      const checkpoint = this.checkpointOf(captured, images, order.embedProgram(0) !== 0);
      const size = encodeCheckpoint(checkpoint, digest, (bytes) => {
        for (let done = 0; done < bytes.length; ) {
          const count = files.writeAt(file, bytes, done, bytes.length - done, position);
          if (count <= 0) throw new WriteError(count === 0 ? -errno.IO : count);
          done += count;
          position += count;
        }
      });
      order.setFile_bytes(0, size.file_bytes);
      order.setPages(0, size.pages);
      order.setContents(0, size.contents);
      return 0;
    } catch (error) {
      if (error instanceof WriteError) {
        refuse(order, `the file cannot be written: ${errnoName(error.result)}`);
        return error.result;
      }
      if (!(error instanceof CheckpointError)) throw error;
      refuse(order, error.message);
      return -errno.NOTSUP;
    }
  }

  private checkpointOf(captured: CapturedProcess, images: OpenFileImages, embed: boolean): Checkpoint {
    const { areas, clock, frameTables, loader } = this.parts;
    const { slot, memory, program } = captured;
    const { processes } = areas;
    const pendingSignal = processes.pendingSignal(slot);
    const module = this.programBytes(captured, embed);
    return {
      program: {
        hash: program.hash,
        size_bytes: module?.length ?? 0,
        path: captured.path,
        instrumenter: loader.instrumenter,
        frameTable: frameTables.of(program).digest,
        module,
      },
      start: {
        arguments: captured.arguments,
        environment: captured.environment,
        preopens: captured.preopens,
      },
      process: {
        pid: captured.pid,
        parent: processes.parent(slot),
        name: text(processes.name(slot)),
        priority: processes.priority(slot),
        memoryLimit_pages: processes.memoryLimitPages(slot),
        cpuTime_ns: cpuTime_ns(areas, slot, clock.monotonic_ns()),
        monotonic_ns: Math.max(0, clock.monotonic_ns() + processes.clockOffset_ns(slot)),
        realtime_ns: clock.realtime_ns(),
        pendingSignals: pendingSignal === 0 ? [] : [pendingSignal],
      },
      threads: [this.threadOf(captured)],
      ...images,
      memory:
        memory === null || program.memory === null
          ? null
          : {
              size_pages: memory.buffer.byteLength / 65_536,
              maximum_pages: program.memory.maximum,
              wide: program.memory.wide,
              bytes: new Uint8Array(memory.buffer),
            },
    };
  }

  private threadOf({ thread, state, call }: CapturedProcess): ThreadImage {
    const { areas, clock } = this.parts;
    const deadline_ns = areas.threads.records.callDeadline_ns(thread);
    const answered = call?.result === undefined ? null : { kind: call.kind, result: call.result };
    return {
      phase: state.phase,
      frames: state.frames,
      globals: state.globals,
      // A deadline that has passed stays one.
      callRemaining_ns: deadline_ns === 0 ? null : Math.max(0, deadline_ns - clock.monotonic_ns()),
      answeredCall: answered,
    };
  }

  /** The original module, if it is to be embedded. @throws CheckpointError when it is not there any more. */
  private programBytes({ path, program }: CapturedProcess, embed: boolean): Uint8Array | null {
    if (!embed) return null;
    const { personality, digest } = this.parts;
    const found = personality.findExecutable(path);
    const bytes = typeof found === "number" ? undefined : found.read();
    if (bytes === undefined || digest(bytes) !== program.hash) {
      throw new CheckpointError(
        `${path} is not the program any more that this process runs, so it cannot be embedded`,
      );
    }
    return bytes;
  }
}

/** The file takes no more. */
class WriteError extends Error {
  readonly result: number;

  constructor(result: number) {
    super("write");
    this.result = result;
  }
}
