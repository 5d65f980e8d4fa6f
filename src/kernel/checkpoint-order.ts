/**
 * What is said about one checkpoint or one restore, beside the request for it: a page of the island, filled in by
 * whoever asks, which gets it back with the answer. Its number of the page travels with the request. Whoever asked
 * frees it.
 */
import { type Accessor, array, bytes, f64, overlay, struct, type TypedMemory, u32 } from "../memory/index.ts";
import { page_bytes } from "./page-allocator.ts";

/** Room for the reason of a refusal. */
const message_bytes = 1024;

/** Standard streams of a process. */
export const streamCount = 3;

const CheckpointOrder = struct("CheckpointOrder", {
  /** Open file that the checkpoint is written to, or read from. */
  file: u32,
  // For a checkpoint.
  /** 1: descriptors that cannot be restored are left out. 0: they are a reason to refuse. */
  leaveOut: u32,
  /** 1: the file holds the program itself, too. */
  embedProgram: u32,
  // For a restore.
  /** Open files in place of what descriptors 0 to 2 were; 0 to open again what they were. */
  streams: array(u32, streamCount),
  /** 1: files that have changed since the checkpoint are opened all the same. */
  acceptChanges: u32,
  /** Pid that the process is to have; 0 for any. */
  pid: u32,
  parent: u32,
  /** Most memory, in WebAssembly pages, whatever the checkpoint says. */
  memoryLimit_pages: u32,
  /** Pages with arguments and environment in place of those of the checkpoint; 0 for none. */
  argumentOffset: f64,
  argumentOrder: u32,
  // The answer.
  file_bytes: f64,
  pages: u32,
  contents: u32,
  /** How long the process stood still. */
  pause_ns: f64,
  messageLength: u32,
  message: bytes(message_bytes),
});

export type CheckpointOrder = Accessor<typeof CheckpointOrder.fields>;

/** The order in a page of the island; its only record is number 0. Null for a page that there is not. */
export function checkpointOrder(memory: TypedMemory, page: number): CheckpointOrder | null {
  const base = page * page_bytes;
  if (base <= 0 || base + page_bytes > memory.buffer.byteLength) return null;
  return overlay(CheckpointOrder, memory.buffer, { format: "lp64", base, count: 1, guard: memory.guard });
}

/** Says in the order what went wrong. */
export function refuse(order: CheckpointOrder, reason: string): void {
  const target = new Uint8Array(message_bytes);
  const { written } = new TextEncoder().encodeInto(reason, target);
  order.setMessage(0, target);
  order.setMessageLength(0, written);
}

/** What went wrong; empty when nothing was said. */
export function refusalOf(order: CheckpointOrder): string {
  const length = Math.min(order.messageLength(0), message_bytes);
  return new TextDecoder().decode(order.message(0).slice(0, length));
}
