/**
 * Checkpoints, for the code that booted the system: asks the kernel of a process to write it to a file, and kernels to
 * make processes from files.
 */
import {
  CheckpointError,
  decodeCheckpoint,
  type FileImage,
  fileKind,
  type StoredCheckpoint,
} from "../checkpoint/index.ts";
import { argumentBlock_bytes_max, encodeArguments } from "../kernel/argument-block.ts";
import { captureKind } from "../kernel/capture.ts";
import { type CheckpointOrder, checkpointOrder, refusalOf } from "../kernel/checkpoint-order.ts";
import { errno, errnoName } from "../kernel/errno.ts";
import { orderFor, page_bytes } from "../kernel/page-allocator.ts";
import { text } from "../kernel/processes.ts";
import { restore } from "../kernel/protocol.ts";
import { contentHash } from "../machine/host/content-hash.ts";
import type { Services } from "../presets/services.ts";
import { terminalPaths } from "../services/fs/file-images.ts";
import type { CheckpointOptions, CheckpointSummary, RestoreOptions } from "./checkpoint-options.ts";
import type { ConsoleCore } from "./console-core.ts";
import { SystemError } from "./errors.ts";
import type { FileAccess } from "./file-access.ts";
import { InitialFiles } from "./initial-files.ts";
import type { PipeEnd, StandardStream } from "./options.ts";
import { Process, type ProcessServices } from "./process.ts";

export interface CheckpointAccess {
  readonly services: Services;
  readonly console: ConsoleCore;
  readonly files: FileAccess;
  readonly processServices: ProcessServices;
  readonly processMemory_pages: number;
  readonly pipeEndsGiven: WeakSet<PipeEnd>;
  /** The core to run on, of a given kernel if one is named. */
  chooseCore(kernel: number | undefined): number;
  /** Puts the files that a program of the catalogue expects into the tree. */
  placeSupport(programPath: string): void;
}

export class SystemCheckpoints {
  private readonly access: CheckpointAccess;
  /** Numbers the files that are being written: several checkpoints can be under way. */
  private taken = 0;

  constructor(access: CheckpointAccess) {
    this.access = access;
  }

  /** See `Archipelago.checkpoint`. */
  async take(pid: number, path: string, options: CheckpointOptions): Promise<CheckpointSummary> {
    const { files, services } = this.access;
    // Under another name until it is whole: there is never half a checkpoint under the one that was asked for.
    const unfinished = `${path}.unfinished-${pid}-${++this.taken}`;
    const file = files.open(unfinished, { create: true, truncate: true, write: true, read: false });
    let done = false;
    try {
      const summary = await this.withOrder(async (order, page) => {
        order.setFile(0, file);
        order.setLeaveOut(0, options.unrestorable === "close" ? 1 : 0);
        order.setEmbedProgram(0, options.embedProgram === true ? 1 : 0);
        const result = await this.ask(pid, page);
        // Answers can be overtaken by those of later requests; the order says what became of this one.
        const isWritten = result >= 0 || (result === -errno.CANCELED && order.file_bytes(0) > 0);
        if (!isWritten) throw new CheckpointError(this.refusal(result, pid, order));
        return {
          file_bytes: order.file_bytes(0),
          pages: order.pages(0),
          differentPages: order.contents(0),
          pause_ns: order.pause_ns(0),
        };
      });
      files.rename(unfinished, path);
      done = true;
      return summary;
    } finally {
      services.files.release(file);
      if (!done) files.remove(unfinished);
    }
  }

  /** See `Archipelago.restore`. */
  async restore(path: string, options: RestoreOptions): Promise<Process> {
    const { files, services, processServices, pipeEndsGiven } = this.access;
    const given = new InitialFiles(processServices, files);
    const wanted = [options.stdin, options.stdout, options.stderr];
    given.takeOver(
      wanted.filter((stream) => stream !== undefined),
      pipeEndsGiven,
    );
    let file = 0;
    try {
      file = files.open(path, {});
      const checkpoint = this.read(path, file);
      this.access.placeSupport(checkpoint.program.path);
      const streams = wanted.map((stream, descriptor) => connect(given, checkpoint, descriptor, stream));
      const core = this.access.chooseCore(options.kernel);
      const start = () => this.start(path, core, file, streams, checkpoint, options);
      const step = { path, arguments: [], environment: {}, cleanup: false };
      const process = await Process.start([step], start, processServices, given.takeStreams());
      given.release();
      return process;
    } catch (error) {
      given.finish();
      throw error;
    } finally {
      if (file > 0) services.files.release(file);
    }
  }

  /** Everything but the pages of memory, which the kernel checks when it loads them. */
  private read(path: string, file: number): StoredCheckpoint {
    const { services } = this.access;
    const read = (position: number, length: number): Uint8Array => {
      const target = new Uint8Array(length);
      for (let done = 0; done < length; ) {
        const count = services.files.readAt(file, target, done, length - done, position + done);
        if (count <= 0) throw new SystemError(count === 0 ? -errno.IO : count, path);
        done += count;
      }
      return target;
    };
    try {
      return decodeCheckpoint({ size_bytes: services.files.seek(file, 0, 2), read }, contentHash);
    } catch (error) {
      if (error instanceof CheckpointError) throw new CheckpointError(`${path}: ${error.message}`);
      throw error;
    }
  }

  private async start(
    path: string,
    core: number,
    file: number,
    streams: readonly number[],
    checkpoint: StoredCheckpoint,
    options: RestoreOptions,
  ): Promise<number> {
    const { services, processMemory_pages } = this.access;
    const { memory_bytes = Infinity } = options;
    const block = freshArguments(checkpoint, options);
    return this.withOrder(async (order, page) => {
      const argumentOrder = block === null ? 0 : orderFor(block.length);
      const argumentOffset = block === null ? 0 : services.pages.allocate(argumentOrder);
      if (argumentOffset < 0) throw new SystemError(-errno.NOMEM, `${path}: no pages for its arguments`);
      try {
        if (block !== null) services.memory.write(argumentOffset, block);
        order.setFile(0, file);
        for (const [index, stream] of streams.entries()) order.setStreams(0, index, stream);
        order.setAcceptChanges(0, options.acceptChangedFiles === true ? 1 : 0);
        order.setPid(0, options.pid === "same" ? checkpoint.process.pid : 0);
        order.setMemoryLimit_pages(0, Math.min(processMemory_pages, Math.floor(memory_bytes / 65_536)));
        order.setArgumentOffset(0, argumentOffset);
        order.setArgumentOrder(0, argumentOrder);
        const { status } = await services.endpoint.request(core, restore, { page });
        if (status >= 0) return status;
        const reason = refusalOf(order);
        throw reason === "" ? new SystemError(status, path) : new CheckpointError(`${path}: ${reason}`);
      } finally {
        if (argumentOffset > 0) services.pages.free(argumentOffset, argumentOrder);
      }
    });
  }

  /** Lends a page for an order. */
  private async withOrder<T>(use: (order: CheckpointOrder, page: number) => Promise<T>): Promise<T> {
    const { pages, memory } = this.access.services;
    const offset = pages.allocate(0);
    if (offset < 0) throw new SystemError(-errno.NOMEM, "no page for a checkpoint");
    try {
      memory.zero(offset, page_bytes);
      const order = checkpointOrder(memory, offset / page_bytes);
      if (order === null) throw new Error("the page service gave a page that there is not");
      return await use(order, offset / page_bytes);
    } finally {
      pages.free(offset, 0);
    }
  }

  private async ask(pid: number, page: number): Promise<number> {
    const { services, console } = this.access;
    const { captures, table, areas } = services;
    for (;;) {
      const slot = table.find(pid);
      if (slot < 0) return slot;
      const queue = areas.processes.exitQueue(slot);
      const ticket = captures.request(pid, captureKind.checkpoint, page);
      if (ticket === -errno.BUSY) {
        const isFree = () =>
          (areas.processes.captureClaims(slot) & captureKind.checkpoint) === 0 || undefined;
        await console.until(queue, isFree);
        continue;
      }
      if (ticket < 0) return ticket;
      return console.until(queue, () => captures.answerTo(slot, captureKind.checkpoint, ticket));
    }
  }

  private refusal(result: number, pid: number, order: CheckpointOrder): string {
    const reason = refusalOf(order);
    const start = `process ${pid} cannot be written to a checkpoint: `;
    if (reason !== "") return `${start}${reason}`;
    if (result === -errno.SRCH) return `${start}there is no such process, or it has ended`;
    if (result === -errno.NOTSUP) {
      const { table, areas } = this.access.services;
      const slot = table.find(pid);
      const obstacle = slot < 0 ? "" : text(areas.processes.obstacle(slot));
      return `${start}its program cannot be captured${obstacle === "" ? "" : ` (${obstacle})`}`;
    }
    return `${start}${errnoName(result)}`;
  }
}

/** Connects a standard stream of a process that is restored: its new open file, or 0 to open what it was. */
function connect(
  given: InitialFiles,
  { files, descriptors }: StoredCheckpoint,
  descriptor: number,
  wanted: StandardStream | undefined,
): number {
  const direction = descriptor === 0 ? "read" : "write";
  const was = descriptors.find(({ number }) => number === descriptor);
  const stream = wanted ?? (was === undefined ? undefined : usualStream(files[was.file]));
  if (was === undefined || stream === undefined) {
    given.leave(direction);
    return 0;
  }
  return given.connect(stream, direction);
}

/** What a standard stream is connected to unless somebody says otherwise; undefined for what can be opened again. */
function usualStream(file: FileImage): StandardStream | undefined {
  const isPipe = file.kind === fileKind.pipeReader || file.kind === fileKind.pipeWriter;
  if (isPipe && file.pipe === null) return "pipe";
  return file.kind === fileKind.device && terminalPaths.includes(file.path) ? "terminal" : undefined;
}

/** The block that takes the place of the arguments of a checkpoint; null to keep them. */
function freshArguments(
  { start, program }: StoredCheckpoint,
  { arguments: words, environment }: RestoreOptions,
): Uint8Array | null {
  if (words === undefined && environment === undefined) return null;
  const decoder = new TextDecoder();
  const [name = program.path, ...rest] = start.arguments.map((one) => decoder.decode(one));
  const variables = new Map<string, string>();
  for (const one of start.environment) {
    const variable = decoder.decode(one);
    variables.set(variable.split("=", 1)[0], variable);
  }
  for (const [key, value] of Object.entries(environment ?? {})) variables.set(key, `${key}=${value}`);
  const block = encodeArguments({
    program: program.path,
    arguments: [name, ...(words ?? rest)],
    environment: [...variables.values()],
    preopens: [],
  });
  if (block.length > argumentBlock_bytes_max) {
    throw new SystemError(-errno.TOOBIG, `${name}: ${block.length} bytes of arguments`);
  }
  return block;
}
