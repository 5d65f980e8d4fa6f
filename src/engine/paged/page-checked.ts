/**
 * The page-checked variant of a program, for a process whose memory has not come yet: each access to the process
 * memory, those of the engine's own functions included, first looks up its pages in the page map and asks for
 * the ones that are absent (`abi.ts`). It is made from the finished module, and functions, locals and call sites
 * stay what they are: a context that was captured in one variant can be resumed in the other.
 */
import { bodyCode } from "../capture/locals.ts";
import { engineImport, engineNamespace } from "../passes/abi.ts";
import { type BodyHook, BodyRewriter, noBodyPlan } from "../passes/body.ts";
import { ModuleEditor } from "../passes/editor.ts";
import { BranchHints, readBranchHints } from "../passes/hints.ts";
import { renumberMemoryArgument, renumberPass, renumberPlain } from "../passes/renumber.ts";
import { InstructionCursor } from "../wasm/cursor.ts";
import { decodeModule } from "../wasm/decode.ts";
import { encodeModule } from "../wasm/encode.ts";
import { immediate } from "../wasm/immediates.ts";
import {
  allMemories,
  type Body,
  functionTypeAt,
  functionTypeIndices,
  type Module,
  type ValueType,
  valueType,
} from "../wasm/module.ts";
import { op, opcodeTables } from "../wasm/opcodes.ts";
import { ByteWriter } from "../wasm/writer.ts";
import { mapMemoryPages, pagedImport } from "./abi.ts";
import { accessSizes } from "./accesses.ts";
import { AddressFinder } from "./address-finder.ts";
import { CheckedBodies, missingFunction } from "./checked-body.ts";
import {
  type CheckedRange,
  type CheckTargets,
  checkedAccess,
  checkedBulk,
  ensureFunction,
  signatureTypes,
} from "./checks.ts";

/** A larger offset is outside of every memory, whatever the address: the access traps by itself. */
const reach_bytes = 2 ** 32;
/** Larger than every alignment, and every lane: what a key is made of besides the offset. */
const alignments = 32;
const lanes = 16;

const { memoryInit, memoryCopy, memoryFill } = op;

/**
 * @param instrumented a module as `instrument` has made it.
 * @returns the module's page-checked variant; the module itself if it has no process memory.
 */
export function pageChecked(instrumented: Uint8Array): Uint8Array {
  const module = decodeModule(instrumented);
  return hasProcessMemory(module) ? new PageCheckTransform(module).run() : instrumented;
}

function hasProcessMemory(module: Module): boolean {
  const first = module.imports.find(({ description }) => description.kind === "memory");
  return first !== undefined && first.module === engineNamespace && first.name === engineImport.memory;
}

class PageCheckTransform {
  private readonly module: Module;
  private readonly editor: ModuleEditor;
  private readonly sizes = accessSizes();
  private readonly targets: CheckTargets;
  private readonly originalHints: ReadonlyMap<number, readonly (readonly [offset: number, value: number])[]>;
  private readonly hints = new BranchHints();
  /** Functions that stand for instructions, by instruction number and key. */
  private readonly checks = new Map<number, Map<number, number>>();
  /** Where the rare branches of added functions are, by body index. */
  private readonly rareBranches = new Map<number, number>();
  private readonly types = new Map<string, number>();
  /** Bodies whose accesses are functions, because their addresses cannot be followed. */
  private readonly opaque = new Set<number>();
  private readonly finder: AddressFinder;
  private readonly inline: CheckedBodies;

  constructor(module: Module) {
    this.module = module;
    this.editor = new ModuleEditor(module, functionTypeIndices(module));
    // Before anything is added: code refers to functions as they were.
    this.finder = new AddressFinder(module, this.sizes);
    const { editor } = this;
    const { i32, i64 } = valueType;
    this.originalHints = readBranchHints(module, editor.importedFunctions);
    const fault = editor.importFunction(engineNamespace, pagedImport.fault, [i32, i32], [i32]);
    const pages = editor.importMemory(engineNamespace, pagedImport.pages, {
      minimum: mapMemoryPages,
      maximum: mapMemoryPages,
      shared: true,
      wide: false,
    });
    editor.closeImports();
    const ensure = editor.firstBodyFunction + module.functions.length;
    this.targets = { pages, fault, ensure, wide: allMemories(module)[0].wide };
    editor.addFunction(editor.functionType([i64, i64], []), ensureFunction(this.targets));
    const missing = editor.addFunction(editor.functionType([i32], []), missingFunction(fault));
    const { hints, originalHints } = this;
    const bulk = (cursor: InstructionCursor) => this.bulkFunction(cursor);
    this.inline = new CheckedBodies({ module, editor, hints, originalHints, pages, missing, bulk });
  }

  run(): Uint8Array {
    const { module, editor, hints } = this;
    this.addChecks();
    this.replaceAccesses();
    renumberPass.define?.(editor);
    this.keepHints();
    const parameters = (bodyIndex: number): number =>
      functionTypeAt(module, module.functions[bodyIndex])?.params.length ?? 0;
    const rewriter = new BodyRewriter(module, editor, new ByteWriter(0), parameters);
    hints.firstFunctionIndex = editor.firstBodyFunction;
    return encodeModule(module, {
      renumbering: editor,
      encodeBody: (writer, body, index) => {
        this.writeBody(rewriter, writer, body, index);
        const rareBranchAt = this.rareBranches.get(index);
        if (rareBranchAt !== undefined) hints.mark(index, rareBranchAt, 0);
      },
      beforeCode: () => hints.section(),
    });
  }

  private writeBody(rewriter: BodyRewriter, writer: ByteWriter, body: Body, index: number): void {
    const accesses =
      body instanceof Uint8Array || this.opaque.has(index) ? null : this.finder.find(index, body);
    if (accesses !== null && !(body instanceof Uint8Array)) {
      this.inline.write(writer, body, index, accesses);
      return;
    }
    this.enterBody(index);
    rewriter.rewrite(writer, body, index, noBodyPlan);
  }

  /**
   * Walks all code and adds a function for each distinct instruction that is to be called: bulk instructions, and
   * accesses in bodies that do not get checks in line.
   */
  private addChecks(): void {
    const { module, editor, targets, opaque, finder } = this;
    const simple = !targets.wide && !editor.memoriesRenumbered;
    const cursor = new InstructionCursor(module.bytes);
    for (const [index, body] of [...module.bodies.entries()]) {
      if (body instanceof Uint8Array) continue;
      const code = bodyCode(module, body);
      let mayBeOpaque = false;
      cursor.moveTo(code, body.end);
      while (cursor.next()) {
        if (isBulk(cursor.opcode)) this.addCheckOnce(cursor);
        else mayBeOpaque ||= finder.mayNotFollow(cursor);
      }
      if (simple && (!mayBeOpaque || finder.find(index, body) !== null)) continue;
      opaque.add(index);
      cursor.moveTo(code, body.end);
      while (cursor.next()) if (this.sizes[cursor.opcode] > 0) this.addCheckOnce(cursor);
    }
  }

  private addCheckOnce(cursor: InstructionCursor): void {
    const key = this.keyOf(cursor);
    if (key < 0) return;
    const checks = this.checksOf(cursor.opcode);
    if (!checks.has(key)) checks.set(key, this.addCheck(cursor));
  }

  private checksOf(opcode: number): Map<number, number> {
    const known = this.checks.get(opcode);
    if (known !== undefined) return known;
    const checks = new Map<number, number>();
    this.checks.set(opcode, checks);
    return checks;
  }

  /** Distinguishes instructions with the same number by their immediates; -1 for what needs no check. */
  private keyOf(cursor: InstructionCursor): number {
    const { opcode } = cursor;
    const size_bytes = this.sizes[opcode];
    if (size_bytes > 0) {
      const { alignment, memoryIndex, offset } = cursor.readMemoryArgument();
      if (memoryIndex !== 0) return -1;
      if (this.targets.wide && offset + size_bytes > reach_bytes) return -1;
      const hasLane = opcodeTables.immediates[opcode] === immediate.memoryArgumentLane;
      const lane = hasLane ? cursor.bytes[cursor.position - 1] : 0;
      return (offset * alignments + alignment) * lanes + lane;
    }
    if (!isBulk(opcode)) return -1;
    const [first, second] = bulkImmediates(cursor);
    switch (opcode) {
      case memoryInit:
        return second === 0 ? first : -1;
      case memoryFill:
        return first === 0 ? 0 : -1;
      default:
        return first === 0 || second === 0 ? first * 2 ** 20 + second : -1;
    }
  }

  private addCheck(cursor: InstructionCursor): number {
    const { opcode, bytes } = cursor;
    const { editor, module, targets } = this;
    const size_bytes = this.sizes[opcode];
    if (size_bytes === 0) return this.addBulkCheck(cursor);
    const instruction = bytes.slice(cursor.start, cursor.position);
    const signature = opcodeTables.signatures[opcode];
    const { params, results } = signatureTypes(signature, targets.wide);
    const { offset } = cursor.readMemoryArgument();
    const { body, rareBranchAt } = checkedAccess(targets, instruction, params.length, size_bytes, offset);
    this.rareBranches.set(module.bodies.length, rareBranchAt);
    return editor.addFunction(this.typeOf(params, results), body);
  }

  /** The function to call in place of a bulk instruction; -1 for every other instruction. */
  private bulkFunction(cursor: InstructionCursor): number {
    const { opcode } = cursor;
    if (!isBulk(opcode)) return -1;
    const key = this.keyOf(cursor);
    return key < 0 ? -1 : (this.checks.get(opcode)?.get(key) ?? -1);
  }

  private addBulkCheck(cursor: InstructionCursor): number {
    const { opcode, bytes } = cursor;
    const { editor, targets } = this;
    const [first, second] = bulkImmediates(cursor);
    const { i32, i64 } = valueType;
    const width = (memory: number): ValueType => (this.isWide(memory) ? i64 : i32);
    const writer = new ByteWriter(16);
    writer.copy(bytes, cursor.start, cursor.immediates);
    let params: ValueType[];
    let ranges: CheckedRange[];
    switch (opcode) {
      case memoryInit:
        writer.u32(first);
        writer.u32(0);
        params = [width(0), i32, i32];
        ranges = [{ address: 0, length: 2, lengthIsWide: false }];
        break;
      case memoryFill:
        writer.u32(0);
        params = [width(0), i32, width(0)];
        ranges = [{ address: 0, length: 2, lengthIsWide: targets.wide }];
        break;
      default: {
        writer.u32(editor.memory(first));
        writer.u32(editor.memory(second));
        const lengthIsWide = this.isWide(first) && this.isWide(second);
        params = [width(first), width(second), lengthIsWide ? i64 : i32];
        ranges = [first, second].flatMap((memory, address) =>
          memory === 0 ? [{ address, length: 2, lengthIsWide }] : [],
        );
      }
    }
    const body = checkedBulk(targets, writer.written().slice(), params.length, ranges);
    return editor.addFunction(this.typeOf(params, []), body);
  }

  /** @param memory an index of the module as it was. */
  private isWide(memory: number): boolean {
    return allMemories(this.module)[this.editor.memory(memory)].wide;
  }

  private typeOf(params: readonly ValueType[], results: readonly ValueType[]): number {
    const key = `${params}>${results}`;
    const known = this.types.get(key);
    if (known !== undefined) return known;
    const index = this.editor.functionType(params, results);
    this.types.set(key, index);
    return index;
  }

  private replaceAccesses(): void {
    const { editor } = this;
    for (const [opcode, checks] of this.checks) {
      const renumber = this.renumbering(opcode);
      editor.replace(opcode, (body) => {
        const key = this.keyOf(body.cursor);
        if (key < 0) {
          renumber(body);
          return;
        }
        const check = checks.get(key);
        if (check === undefined) throw new Error("an access to memory would stay unchecked");
        body.seekReplace();
        body.writer.u8(op.call);
        body.writer.u32(check);
      });
    }
  }

  /** What to do with an instruction that accesses another memory. */
  private renumbering(opcode: number): BodyHook {
    const { editor } = this;
    if (!editor.memoriesRenumbered) return () => {};
    switch (opcodeTables.immediates[opcode]) {
      case immediate.dataMemory:
        return (body) => renumberPlain(editor, body, [false, true]);
      case immediate.memoryPair:
        return (body) => renumberPlain(editor, body, [true, true]);
      case immediate.memory:
        return (body) => renumberPlain(editor, body, [true]);
      default:
        return (body) => renumberMemoryArgument(editor, body);
    }
  }

  private enterBody: (bodyIndex: number) => void = () => {};

  /** Branch hints go along with their branches. */
  private keepHints(): void {
    const { editor, module, hints } = this;
    let bodyStart = 0;
    let left: readonly (readonly [offset: number, value: number])[] = [];
    let next = 0;
    this.enterBody = (bodyIndex) => {
      const body = module.bodies[bodyIndex];
      bodyStart = body instanceof Uint8Array ? 0 : body.start;
      left = this.originalHints.get(bodyIndex) ?? [];
      next = 0;
    };
    const keep: BodyHook = (body) => {
      if (next >= left.length || left[next][0] !== body.cursor.start - bodyStart) return;
      body.seekBefore();
      hints.mark(body.bodyIndex, body.writer.position - body.bodyStart, left[next][1]);
      next++;
    };
    editor.before(op.if, keep);
    editor.before(op.branchIf, keep);
  }
}

function isBulk(opcode: number): boolean {
  return opcode === memoryInit || opcode === memoryCopy || opcode === memoryFill;
}

/** Two indices; the second is 0 where there is only one. */
function bulkImmediates(cursor: InstructionCursor): [first: number, second: number] {
  const reader = cursor.readerAt(cursor.immediates);
  const first = reader.u32("an index");
  return [first, cursor.opcode === memoryFill ? 0 : reader.u32("an index")];
}
