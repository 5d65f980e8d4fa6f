/**
 * Walks the instructions of a function body or a constant expression. One cursor can be moved over many bodies;
 * it allocates nothing while it walks. Passes look at `opcode`, and read immediates only where they need them.
 *
 * @example
 * ```ts
 * const cursor = new InstructionCursor(module.bytes);
 * cursor.moveTo(start, end);
 * while (cursor.next()) if (cursor.opcode === op.call) callees.add(cursor.readIndex());
 * ```
 */
import { MalformedModuleError } from "../errors.ts";
import { immediate, memoryIndexFlag } from "./immediates.ts";
import { opcodeTables, prefixBase, prefixLimit } from "./opcodes.ts";
import { ByteReader } from "./reader.ts";

const { immediates } = opcodeTables;

export class InstructionCursor {
  readonly bytes: Uint8Array;
  /** One past the last byte of the code. */
  end = 0;
  /** Number of the current instruction (see `opcodes.ts`). */
  opcode = 0;
  /** First byte of the current instruction. */
  start = 0;
  /** First byte of its immediates. */
  immediates = 0;
  /** One past its last byte: where the next instruction starts. */
  position = 0;
  private readonly reader: ByteReader;

  constructor(bytes: Uint8Array) {
    this.bytes = bytes;
    this.reader = new ByteReader(bytes);
  }

  /** Puts the cursor before the instruction at `start`. */
  moveTo(start: number, end: number): void {
    this.position = start;
    this.end = end;
    this.reader.end = end;
  }

  /** Steps to the next instruction. False at the end of the code. */
  next(): boolean {
    const bytes = this.bytes;
    let position = this.position;
    if (position >= this.end) return false;
    this.start = position;
    let opcode = bytes[position++];
    if (opcode >= 0xfb) {
      this.position = position;
      opcode = this.prefixedOpcode(opcode);
      position = this.position;
    }
    this.opcode = opcode;
    this.immediates = position;
    switch (immediates[opcode]) {
      case immediate.none:
        break;
      case immediate.index:
      case immediate.function:
      case immediate.signed32:
      case immediate.memory:
        position = this.pastLeb(position, 5);
        break;
      case immediate.signed64:
        position = this.pastLeb(position, 10);
        break;
      case immediate.memoryArgument:
        position = this.pastMemoryArgument(position);
        break;
      case immediate.blockType:
        position = this.pastBlockType(position);
        break;
      case immediate.bytes1:
        position += 1;
        break;
      case immediate.bytes4:
        position += 4;
        break;
      case immediate.bytes8:
        position += 8;
        break;
      case immediate.bytes16:
        position += 16;
        break;
      case immediate.indexPair:
      case immediate.callIndirect:
      case immediate.memoryPair:
      case immediate.dataMemory:
        position = this.pastLeb(this.pastLeb(position, 5), 5);
        break;
      case immediate.memoryArgumentLane:
        position = this.pastMemoryArgument(position) + 1;
        break;
      default:
        position = this.pastRareImmediates(position);
    }
    if (position > this.end) this.fail("the immediates of an instruction", position);
    this.position = position;
    return true;
  }

  /** The first immediate as an index (call, local, global, label...). */
  readIndex(): number {
    return this.readerAt(this.immediates).u32("an index");
  }

  /** The immediate of `i32.const`. */
  readSigned32(): number {
    return this.readerAt(this.immediates).s33("an integer") | 0;
  }

  /** Type and table index of an indirect call. */
  readCallIndirect(): { typeIndex: number; tableIndex: number } {
    const reader = this.readerAt(this.immediates);
    return { typeIndex: reader.u32("a type index"), tableIndex: reader.u32("a table index") };
  }

  /** Alignment (log2), memory index and offset of a load or store. */
  readMemoryArgument(): { alignment: number; memoryIndex: number; offset: number } {
    const reader = this.readerAt(this.immediates);
    const flags = reader.u32("an alignment");
    const memoryIndex = flags & memoryIndexFlag ? reader.u32("a memory index") : 0;
    return { alignment: flags & ~memoryIndexFlag, memoryIndex, offset: reader.u64("an offset") };
  }

  /** A reader at the catch clauses of the current `try_table`: their number comes first. */
  readClauses(): ByteReader {
    return this.readerAt(this.pastBlockType(this.immediates));
  }

  /** A reader over the immediates of the current instruction, for what has no method of its own. */
  readerAt(position: number): ByteReader {
    this.reader.position = position;
    return this.reader;
  }

  fail(expected: string, position = this.start): never {
    throw new MalformedModuleError(position, expected);
  }

  private prefixedOpcode(prefix: number): number {
    const limit = prefixLimit(prefix);
    const reader = this.readerAt(this.position);
    const number = limit === 0 ? 0 : reader.u32("an opcode");
    if (number >= limit) this.fail("an instruction");
    this.position = reader.position;
    return prefixBase[prefix as keyof typeof prefixBase] + number;
  }

  private pastLeb(start: number, bytes_max: number): number {
    const bytes = this.bytes;
    let position = start;
    // Beyond the end of the buffer the byte is undefined and the loop stops; `next` then sees it went too far.
    while (bytes[position++] >= 0x80);
    if (position - start > bytes_max) this.fail(`an integer of at most ${bytes_max} bytes`, start);
    return position;
  }

  private pastMemoryArgument(start: number): number {
    const flags = this.bytes[start];
    const plain = flags < memoryIndexFlag;
    if (plain) return this.pastLeb(start + 1, 10);
    if (flags < 0x80) return this.pastLeb(this.pastLeb(start + 1, 5), 10);
    // An alignment in a padded integer: never seen from a compiler, but allowed.
    const reader = this.readerAt(start);
    const hasIndex = (reader.u32("an alignment") & memoryIndexFlag) !== 0;
    const next = hasIndex ? this.pastLeb(reader.position, 5) : reader.position;
    return this.pastLeb(next, 10);
  }

  private pastBlockType(start: number): number {
    const first = this.bytes[start];
    const next = this.pastLeb(start, 5);
    return isTypedReference(first) ? this.pastLeb(next, 5) : next;
  }

  private pastRareImmediates(start: number): number {
    const reader = this.readerAt(start);
    switch (immediates[this.opcode]) {
      case immediate.labels: {
        const count = reader.count("labels");
        for (let index = 0; index <= count; index++) reader.skipLeb(5);
        return reader.position;
      }
      case immediate.valueTypes: {
        const count = reader.count("value types");
        for (let index = 0; index < count; index++) {
          if (isTypedReference(reader.u8("a value type"))) reader.skipLeb(5);
        }
        return reader.position;
      }
      case immediate.heapType:
        reader.skipLeb(5);
        return reader.position;
      case immediate.catches: {
        reader.position = this.pastBlockType(start);
        const count = reader.count("catch clauses", 2);
        for (let index = 0; index < count; index++) {
          const kind = reader.u8("a catch clause");
          if (kind > 3) reader.fail("a catch clause", `kind ${kind}`, reader.position - 1);
          if (kind < 2) reader.skipLeb(5);
          reader.skipLeb(5);
        }
        return reader.position;
      }
      case immediate.castBranch:
        reader.skip(1);
        for (let index = 0; index < 3; index++) reader.skipLeb(5);
        return reader.position;
      default:
        return this.fail("an instruction");
    }
  }
}

/** The first byte of `(ref null? heaptype)`: a heap type follows. */
function isTypedReference(byte: number): boolean {
  return byte === 0x63 || byte === 0x64;
}
