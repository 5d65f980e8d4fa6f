/**
 * Web streams over pipes of the system: the caller's ends of a process's standard streams. When the process has
 * ended, `finish` gives the pipe back to the system, whether or not the caller ever looked at the stream: what
 * was written and not read yet stays readable here.
 */
import { errno, errnoName } from "../kernel/errno.ts";
import type { Files } from "../services/fs/files.ts";
import type { ConsoleCore } from "./console-core.ts";

export interface PipeStreamServices {
  readonly files: Files;
  readonly console: ConsoleCore;
}

/** A stream, and the end of the process on its other side. */
export interface PipeStream<S> {
  readonly stream: S;
  finish(): void;
}

/** Reads the reading end of a pipe, which it takes over. */
export function readableFrom(
  file: number,
  { files, console }: PipeStreamServices,
): PipeStream<ReadableStream<Uint8Array>> {
  const queue = files.readQueue(file);
  /** What was in the pipe when the process had ended, or nothing after a cancellation. */
  let rest: Uint8Array[] | undefined;
  const take = (): Uint8Array | number => {
    const result = files.read(file, console.scratch, 0, console.scratch.length);
    return result > 0 ? console.scratch.slice(0, result) : result;
  };
  const close = (kept: Uint8Array[]) => {
    if (rest !== undefined) return;
    rest = kept;
    files.release(file);
    console.wake(queue);
  };
  const stream = new ReadableStream<Uint8Array>(
    {
      async pull(controller) {
        const piece = await console.until(queue, () => {
          if (rest !== undefined) return rest.shift() ?? 0;
          const result = take();
          return result === -errno.AGAIN ? undefined : result;
        });
        if (typeof piece !== "number") controller.enqueue(piece);
        else if (piece < 0) controller.error(new Error(`reading from a process failed: ${errnoName(piece)}`));
        else controller.close();
        if (typeof piece === "number") close([]);
      },
      cancel: () => {
        close([]);
        rest = [];
      },
    },
    { highWaterMark: 0 },
  );
  const finish = () => {
    if (rest !== undefined) return;
    const kept: Uint8Array[] = [];
    for (let piece = take(); typeof piece !== "number"; piece = take()) kept.push(piece);
    close(kept);
  };
  return { stream, finish };
}

/** Writes to the writing end of a pipe, which it takes over; closing the stream is the end of file. */
export function writableTo(
  file: number,
  { files, console }: PipeStreamServices,
): PipeStream<WritableStream<Uint8Array>> {
  const queue = files.writeQueue(file);
  let open = true;
  const close = () => {
    if (!open) return;
    open = false;
    files.release(file);
    console.wake(queue);
  };
  const stream = new WritableStream<Uint8Array>({
    async write(chunk, controller) {
      for (let sent = 0; sent < chunk.length; ) {
        const count = await console.until(queue, () => {
          const result = open ? files.write(file, chunk, sent, chunk.length - sent) : -errno.PIPE;
          return result === -errno.AGAIN ? undefined : result;
        });
        if (count < 0) {
          close();
          controller.error(new Error(`writing to a process failed: ${errnoName(count)}`));
          return;
        }
        sent += count;
      }
    },
    close,
    abort: close,
  });
  return { stream, finish: close };
}
