/** The open files that a process starts with, and the streams of whoever starts it. */
import { openFileKind } from "../kernel/state.ts";
import { SystemError } from "./errors.ts";
import type { FileAccess } from "./file-access.ts";
import type { PipeEnd, StandardStream } from "./options.ts";
import { type PipeStream, readableFrom, writableTo } from "./pipe-streams.ts";
import type { ProcessServices, ProcessStreams } from "./process.ts";

/** The open files a process will start with, and this side's streams to them. */
export class InitialFiles {
  readonly files: number[] = [];
  readonly preopens: string[] = [];
  private readonly services: ProcessServices;
  private readonly access: FileAccess;
  /** Ends of pipes that the caller handed over. */
  private readonly ends: number[] = [];
  private stdin: PipeStream<WritableStream<Uint8Array>> | null = null;
  /** Standard output and standard error. */
  private readonly outputs: (PipeStream<ReadableStream<Uint8Array>> | null)[] = [];

  constructor(services: ProcessServices, access: FileAccess) {
    this.services = services;
    this.access = access;
  }

  /**
   * Takes the ends of pipes among the standard streams from the caller, whatever happens next.
   * @throws RangeError when one of them was given to a process before.
   */
  takeOver(streams: readonly StandardStream[], givenBefore: WeakSet<PipeEnd>): void {
    const ends = [...new Set(streams.filter((stream) => typeof stream === "object"))];
    if (ends.some((end) => givenBefore.has(end))) {
      throw new RangeError("this end of a pipe was given to a process before; every process needs its own");
    }
    for (const end of ends) {
      givenBefore.add(end);
      this.ends.push(end.file);
    }
  }

  /** A standard stream that the caller has no part in. */
  leave(direction: "read" | "write"): void {
    if (direction === "write") this.outputs.push(null);
  }

  /** Connects the next standard stream: input first, then output, then errors. Gives its open file. */
  connect(what: StandardStream, direction: "read" | "write"): number {
    const { files } = this.services;
    let output: PipeStream<ReadableStream<Uint8Array>> | null = null;
    if (typeof what === "object") {
      if (
        files.kind(what.file) !== (direction === "read" ? openFileKind.pipeReader : openFileKind.pipeWriter)
      ) {
        throw new RangeError(`a process cannot ${direction} this end of a pipe; it needs the other one`);
      }
      files.retain(what.file);
      this.files.push(what.file);
    } else if (what === "pipe") {
      const pipe = files.makePipe();
      if (typeof pipe === "number") throw new SystemError(pipe, "pipe");
      this.files.push(direction === "read" ? pipe.reader : pipe.writer);
      if (direction === "read") this.stdin = writableTo(pipe.writer, this.services);
      else output = readableFrom(pipe.reader, this.services);
    } else {
      const path = what === "null" ? "/dev/null" : "/dev/tty";
      this.files.push(this.access.open(path, { write: direction === "write", read: direction === "read" }));
    }
    if (direction === "write") this.outputs.push(output);
    return this.files[this.files.length - 1];
  }

  /** A directory that the process may use under a name. */
  preopen(name: string, file: number): void {
    this.preopens.push(name);
    this.files.push(file);
  }

  /** The caller's streams; `finish` gives up everything that is still held. */
  takeStreams(): ProcessStreams {
    const [stdout, stderr] = this.outputs;
    return {
      stdin: this.stdin?.stream ?? null,
      stdout: stdout?.stream ?? null,
      stderr: stderr?.stream ?? null,
      finish: () => this.finish(),
    };
  }

  /** Gives up this side's references to the process's files, once: the processes have their own. */
  release(): void {
    for (const file of this.files.splice(0)) this.services.files.release(file);
    for (const file of this.ends.splice(0)) this.services.files.release(file);
  }

  /** Gives up everything, this side's ends of pipes included: nothing was started, or all of it has ended. */
  finish(): void {
    this.release();
    for (const stream of [this.stdin, ...this.outputs]) stream?.finish();
  }
}
