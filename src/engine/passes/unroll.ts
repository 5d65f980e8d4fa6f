/**
 * The shape of polled inner loops. Small loops without calls are where a poll in every iteration shows, so they
 * are written out several times and poll once per round:
 *
 * ```wat
 * block $done (result ...)
 *   loop $again
 *     loop $round
 *       block $next  <body, continuing = br $next>  br $done  end
 *       ...
 *       (br_if $round (i32.eqz (poll byte)))
 *     end
 *     call $poll
 *     br $again
 *   end
 *   unreachable
 * end
 * ```
 *
 * The call stands outside of the inner loop. The compiler can therefore treat that as a leaf: keep values in
 * registers and unroll further. Because nothing in it has a side effect that would force the poll byte to be
 * read again, that read must be atomic. The poll comes last, so that the program gets on even while the byte
 * stays set, and loops of few iterations do not poll at all.
 */
import { InstructionCursor } from "../wasm/cursor.ts";
import { op } from "../wasm/opcodes.ts";
import type { ByteWriter } from "../wasm/writer.ts";
import type { Loop } from "./loops.ts";

/** Code that a polled loop needs. */
export interface PollCode {
  /** Leaves the poll byte on the stack, read anew each time. */
  readonly testAtomic: Uint8Array;
  readonly callPoll: Uint8Array;
}

/** Constructs around a copy of the body besides `$next`, which takes the loop's place. */
const addedDepth = 3;

export class LoopUnroller {
  private readonly bytes: Uint8Array;
  private readonly cursor: InstructionCursor;
  private readonly code: PollCode;

  constructor(bytes: Uint8Array, code: PollCode) {
    this.bytes = bytes;
    this.cursor = new InstructionCursor(bytes);
    this.code = code;
  }

  /**
   * Writes a loop and all that it contains.
   * @param copies how often its body is written; at least 1.
   * @param markLikely called before the branch that repeats the loop is written.
   */
  write(writer: ByteWriter, loop: Loop, copies: number, markLikely: () => void): void {
    const blockType = this.bytes.subarray(loop.start + 1, loop.bodyStart);
    writer.u8(op.block);
    writer.raw(blockType);
    writer.raw([op.loop, 0x40, op.loop, 0x40]);
    for (let copy = 0; copy < copies; copy++) {
      writer.raw([op.block, 0x40]);
      this.copyBody(writer, loop);
      writer.raw([op.branch, addedDepth, op.end]);
    }
    writer.raw(this.code.testAtomic);
    writer.u8(op.i32Eqz);
    markLikely();
    writer.raw([op.branchIf, 0, op.end]);
    writer.raw(this.code.callPoll);
    writer.raw([op.branch, 0, op.end, op.unreachable, op.end]);
  }

  /** Copies the body; labels of constructs around the loop are further away than before. */
  private copyBody(writer: ByteWriter, loop: Loop): void {
    const { bytes, cursor } = this;
    let depth = 0;
    let copiedTo = loop.bodyStart;
    const moved = (label: number): number => (label > depth ? label + addedDepth : label);
    cursor.moveTo(loop.bodyStart, loop.bodyEnd);
    while (cursor.next()) {
      switch (cursor.opcode) {
        case op.block:
        case op.if:
          depth++;
          break;
        case op.end:
          depth--;
          break;
        case op.branch:
        case op.branchIf: {
          const label = cursor.readIndex();
          if (label <= depth) break;
          writer.copy(bytes, copiedTo, cursor.immediates);
          writer.u32(label + addedDepth);
          copiedTo = cursor.position;
          break;
        }
        case op.branchTable: {
          writer.copy(bytes, copiedTo, cursor.immediates);
          const reader = cursor.readerAt(cursor.immediates);
          const count = reader.count("labels");
          writer.u32(count);
          for (let index = 0; index <= count; index++) writer.u32(moved(reader.u32("a label")));
          copiedTo = cursor.position;
          break;
        }
      }
    }
    writer.copy(bytes, copiedTo, loop.bodyEnd);
  }
}
