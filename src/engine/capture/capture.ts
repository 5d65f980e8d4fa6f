/**
 * The last step of instrumentation: makes a module whose running functions can be captured and resumed
 * (DESIGN.md, "The engine"). Each function that can be on the stack when its context suspends is wrapped
 * (`unwinding.ts`) and gets a resume clone (`resume.ts`); all others stay as they are.
 */
import { UnsupportedModuleError } from "../errors.ts";
import {
  engineImport,
  engineNamespace,
  loadGlobalsExport,
  resumeExport,
  saveGlobalsExport,
} from "../passes/abi.ts";
import { ModuleEditor } from "../passes/editor.ts";
import { BranchHints, readBranchHints } from "../passes/hints.ts";
import { call, localGet, writeValueType } from "../wasm/code.ts";
import { InstructionCursor } from "../wasm/cursor.ts";
import { decodeModule } from "../wasm/decode.ts";
import { encodeModule } from "../wasm/encode.ts";
import {
  allMemories,
  type Body,
  type ByteRange,
  type FunctionType,
  functionTypeAt,
  type Module,
  type ValueType,
  valueType,
} from "../wasm/module.ts";
import { op } from "../wasm/opcodes.ts";
import { ByteWriter } from "../wasm/writer.ts";
import { addDispatcher, type CloneEntry } from "./dispatch.ts";
import { ExceptionValues } from "./exceptions.ts";
import { FrameTableWriter } from "./frame-table.ts";
import { FrameFunctions, frameLayout, frameTypes } from "./frames.ts";
import { bodyCode } from "./locals.ts";
import { moduleTypes, OperandWalk } from "./operands.ts";
import { type ResumeParts, writeResumeClone } from "./resume.ts";
import { dataDrop, initializeMemory } from "./segments.ts";
import { type FunctionSites, SiteFinder } from "./sites.ts";
import { findSuspendable, type Suspendable } from "./suspendable.ts";
import { exportTables } from "./tables.ts";
import { beginWrapping, endWrapping, layoutOf, writeUnwinding } from "./unwinding.ts";

/** What the passes before this one did. */
export interface InterruptibleModule {
  readonly bytes: Uint8Array;
  /**
   * Functions that suspend, by index: a context captured in one goes on by calling it again. With each, the number
   * that frames know it by.
   */
  readonly restartable: ReadonlyMap<number, number>;
  /** The number by which frames know a function with a body: its index in the original module. */
  readonly functionNumber: (index: number) => number;
  /** Tag of the exception that unwinds. */
  readonly unwind: number;
  /** The function that polls call. */
  readonly poll: number;
  /** Globals that are not zero once a data segment has been dropped, by segment. */
  readonly dropped: ReadonlyMap<number, number>;
}

/** One function that can be captured. */
interface Capturable {
  readonly index: number;
  /** By which frames know it. */
  readonly number: number;
  readonly type: FunctionType;
  readonly body: ByteRange;
}

/** A body that was written already: a range of the output, and of the list of branch hints. */
interface WrittenBody {
  readonly start: number;
  readonly end: number;
  readonly firstHint: number;
  readonly hintsEnd: number;
}

/** What V8 takes for a small function, and the share of them from which on it inlines as much as it ever does. */
const smallFunction_bytes = 50;
const smallShare_max = 0.5;
/** What V8 allows. */
const function_bytes_max = 7_654_321;
/** No locals, and its end. */
const emptyBody = Uint8Array.from([0, op.end]);
/** Takes the place of a body that comes later. */
const placeholder = new Uint8Array(0);

/**
 * @returns the bytes of a module that can be captured.
 * @throws UnsupportedModuleError naming the construct that cannot be captured.
 */
export function makeCapturable(input: InterruptibleModule): Uint8Array {
  return new CaptureTransform(input).run();
}

class CaptureTransform {
  private readonly input: InterruptibleModule;
  private readonly module: Module;
  private readonly editor: ModuleEditor;
  private readonly frames: FrameFunctions;
  private readonly exceptions: ExceptionValues;
  private readonly hints: ReadonlyMap<number, readonly (readonly [offset: number, value: number])[]>;
  private readonly firstBody: number;
  private readonly suspendable: Suspendable;
  private readonly finder: SiteFinder;
  private readonly blockTypes = new Map<string, Uint8Array>();
  /** The dispatcher for each list of results, and the clones that it may call. */
  private readonly dispatchers = new Map<
    string,
    { readonly results: readonly ValueType[]; readonly index: number; readonly clones: CloneEntry[] }
  >();
  /** Where bodies are written, one function after the other, so that little has to be remembered of each. */
  private readonly output: ByteWriter;
  private readonly written = new Map<number, WrittenBody>();
  /** Offset in its function and value of each hint, one after the other. */
  private readonly writtenHints: number[] = [];
  private readonly frameTable = new FrameTableWriter();

  constructor(input: InterruptibleModule) {
    this.input = input;
    const module = decodeModule(input.bytes);
    this.module = module;
    const types = moduleTypes(module);
    const editor = new ModuleEditor(module, types.functions);
    this.editor = editor;
    editor.closeImports();
    this.firstBody = editor.firstBodyFunction;
    this.hints = readBranchHints(module, this.firstBody);
    refuse(module);
    this.suspendable = findSuspendable(module, types.functions, input.restartable.keys());
    this.finder = new SiteFinder(
      module,
      new OperandWalk(module, types),
      this.suspendable,
      input.unwind,
      input.poll,
    );
    this.exceptions = new ExceptionValues(editor, input.unwind);
    this.frames = new FrameFunctions(editor, framesMemory(module), input.unwind, this.exceptions);
    this.output = new ByteWriter(input.bytes.length * 3);
  }

  run(): Uint8Array {
    const { module, editor, suspendable } = this;
    if (suspendable.dropsElements) {
      throw new UnsupportedModuleError("elem.drop", "it cannot be captured");
    }
    if (suspendable.changesTable) exportTables(editor, suspendable.references);
    this.reserveDispatchers();
    this.writeFunctions();
    for (const { results, index, clones } of this.dispatchers.values()) {
      module.bodies[index - this.firstBody] = addDispatcher(editor, this.frames, results, clones);
    }
    this.addExports();
    initializeMemory(editor);
    this.balanceSizes();
    module.custom.push(this.frameTable.section(this.exceptions.size_bytes));
    const hints = new BranchHints();
    hints.firstFunctionIndex = this.firstBody;
    return encodeModule(module, {
      // What was written, what stays as it was, and a little.
      capacity_bytes: this.output.position + module.bytes.length,
      encodeBody: (writer, body, index) => this.encodeBody(writer, body, index, hints),
      beforeCode: () => hints.section(),
    });
  }

  /** One for every list of results in the module: callers are not known yet. */
  private reserveDispatchers(): void {
    for (const type of [...this.module.types]) {
      if (type.kind === "function") this.reserveDispatcher(type.results);
    }
    this.reserveDispatcher([]);
  }

  private reserveDispatcher(results: readonly ValueType[]): void {
    const key = results.join();
    if (this.dispatchers.has(key)) return;
    const index = this.editor.addFunction(this.editor.functionType([], results), placeholder);
    this.dispatchers.set(key, { results, index, clones: [] });
    this.blockType(results);
  }

  private dispatcher(results: readonly ValueType[]): {
    readonly index: number;
    readonly clones: CloneEntry[];
  } {
    const dispatcher = this.dispatchers.get(results.join());
    if (dispatcher === undefined) throw new Error(`no dispatcher for results ${results}`);
    return dispatcher;
  }

  private writeFunctions(): void {
    const { module, input, firstBody, suspendable } = this;
    const parts: ResumeParts = {
      module,
      frames: this.frames,
      cursor: new InstructionCursor(module.bytes),
      unwind: input.unwind,
      legacy: suspendable.legacyExceptions,
      blockType: (results) => this.blockType(results),
      next: (results) => this.dispatcher(results).index,
    };
    const bodies = module.bodies.length;
    for (let bodyIndex = 0; bodyIndex < bodies; bodyIndex++) {
      const body = module.bodies[bodyIndex];
      const index = firstBody + bodyIndex;
      if (body instanceof Uint8Array || !suspendable.function(index)) continue;
      const type = functionTypeAt(module, module.functions[bodyIndex]);
      if (type === null) continue;
      const restart = input.restartable.get(index);
      if (restart !== undefined) this.writeRestartable(parts, { index, number: restart, type, body });
      else {
        const sites = this.finder.find(type, body);
        const number = input.functionNumber(index);
        if (sites !== null) this.writeCapturable(parts, { index, number, type, body }, sites);
      }
    }
  }

  private writeCapturable(parts: ResumeParts, one: Capturable, sites: FunctionSites): void {
    const { index, number, body } = one;
    const bodyIndex = index - this.firstBody;
    const layout = layoutOf(sites);
    this.frames.prepare(layout);
    this.frameTable.add(number, sites.sites.length, layout);
    const hinted = this.hints.get(bodyIndex) ?? [];
    const positions = hinted.map(([offset]) => body.start + offset);
    const values = new Map(hinted.map(([offset, value]) => [body.start + offset, value]));
    this.write(bodyIndex, (writer, hint) => {
      writeUnwinding(writer, parts, sites, body, number, positions, (original) =>
        hint(values.get(original) ?? 0),
      );
    });
    this.write(this.addClone(one), (writer, hint) => {
      writeResumeClone(
        writer,
        parts,
        sites,
        body,
        number,
        positions,
        (original) => hint(values.get(original) ?? 0),
        () => hint(0),
      );
    });
  }

  /** A function that suspends: its frame holds its parameters, and its clone calls it again. */
  private writeRestartable(parts: ResumeParts, one: Capturable): void {
    const { body, type, number, index } = one;
    const { bytes } = this.module;
    const layout = frameLayout(type.params.map((param, local) => [local, param] as const));
    this.frames.prepare(layout);
    this.frameTable.add(number, 0, layout);
    this.write(index - this.firstBody, (writer) => {
      const code = bodyCode(this.module, body);
      writer.copy(bytes, body.start, code);
      beginWrapping(writer, parts, type.results);
      writer.copy(bytes, code, body.end - 1);
      endWrapping(writer, parts, layout, null, number);
    });
    this.write(this.addClone(one), (writer) => {
      writer.u32(type.params.length);
      for (const param of type.params) writer.raw([1, param]);
      call(writer, this.frames.pop(valueType.i32, 2));
      writer.raw([op.drop, op.drop]);
      this.frames.writeLoad(writer, layout);
      for (let param = 0; param < type.params.length; param++) localGet(writer, param);
      call(writer, index);
      writer.u8(op.end);
    });
  }

  /** Adds the clone of a function, still without a body; gives its body index. */
  private addClone({ number, type }: Capturable): number {
    const clone = this.editor.addFunction(this.editor.functionType([], type.results), placeholder);
    this.dispatcher(type.results).clones.push([number, clone]);
    return clone - this.firstBody;
  }

  /** Writes a body to the output. `hint` says of the branch that is written next whether it is taken. */
  private write(bodyIndex: number, write: (writer: ByteWriter, hint: (value: number) => void) => void): void {
    const { output } = this;
    const start = output.position;
    const { writtenHints } = this;
    const firstHint = writtenHints.length;
    write(output, (value) => writtenHints.push(output.position - start, value));
    if (output.position - start > function_bytes_max) {
      throw new UnsupportedModuleError("a function that becomes too large", "it cannot be captured");
    }
    const hintsEnd = writtenHints.length;
    this.written.set(bodyIndex, { start, end: output.position, firstHint, hintsEnd });
  }

  private encodeBody(writer: ByteWriter, body: Body, index: number, hints: BranchHints): void {
    const written = this.written.get(index);
    if (written !== undefined) {
      for (let at = written.firstHint; at < written.hintsEnd; at += 2) {
        hints.mark(index, this.writtenHints[at], this.writtenHints[at + 1]);
      }
      writer.copy(this.output.bytes, written.start, written.end);
      return;
    }
    for (const [offset, value] of this.hints.get(index) ?? []) hints.mark(index, offset, value);
    if (body instanceof Uint8Array) writer.raw(body);
    else writer.copy(this.module.bytes, body.start, body.end);
  }

  private addExports(): void {
    const { editor, module, frames } = this;
    const empty = editor.functionType([], []);
    const resume = new ByteWriter();
    resume.u32(0);
    call(resume, this.dispatcher([]).index);
    resume.u8(op.end);
    editor.exportFunction(resumeExport, editor.addFunction(empty, resume.written().slice()));

    const globals = mutableGlobals(module);
    const save = new ByteWriter();
    save.u32(0);
    const load = new ByteWriter();
    load.u32(0);
    for (const { index, type } of globals) {
      save.u8(op.globalGet);
      save.u32(index);
      call(save, frames.push(type, 1));
    }
    for (const { index, type } of globals.toReversed()) {
      call(load, frames.pop(type, 1));
      load.u8(op.globalSet);
      load.u32(index);
    }
    for (const [segment, { offset }] of module.data.entries()) {
      // Instantiation drops active segments.
      if (offset !== null) load.raw([...dataDrop, ...unsigned(segment)]);
    }
    for (const [segment, global] of this.input.dropped) {
      load.u8(op.globalGet);
      load.u32(global);
      load.raw([op.if, 0x40, ...dataDrop]);
      load.u32(segment);
      load.u8(op.end);
    }
    save.u8(op.end);
    load.u8(op.end);
    editor.exportFunction(saveGlobalsExport, editor.addFunction(empty, save.written().slice()));
    editor.exportFunction(loadGlobalsExport, editor.addFunction(empty, load.written().slice()));
  }

  /**
   * V8 inlines little in modules with few small functions: there, it assumes, the toolchain has inlined already. The
   * wrapping and the clones must not make it believe so: empty functions restore the share that the program had.
   */
  private balanceSizes(): void {
    const { editor, module } = this;
    const isSmall = (body: Body, index: number): boolean => {
      if (this.written.has(index)) return false;
      return (body instanceof Uint8Array ? body.length : body.end - body.start) < smallFunction_bytes;
    };
    const original = module.bodies.filter((body) => !(body instanceof Uint8Array));
    const smallOriginals = original.filter((body) => isSmall(body, -1)).length;
    const share = Math.min(smallOriginals / Math.max(1, original.length), smallShare_max);
    const small = module.bodies.filter(isSmall).length;
    const missing = Math.ceil((share * module.bodies.length - small) / (1 - share));
    const empty = editor.functionType([], []);
    for (let added = 0; added < missing; added++) editor.addFunction(empty, emptyBody);
  }

  private blockType(results: readonly ValueType[]): Uint8Array {
    const key = results.join();
    const known = this.blockTypes.get(key);
    if (known !== undefined) return known;
    const writer = new ByteWriter(8);
    if (results.length === 0) writer.u8(0x40);
    else if (results.length === 1) writeValueType(writer, results[0]);
    else writer.s32(this.editor.functionType([], results));
    const type = writer.written().slice();
    this.blockTypes.set(key, type);
    return type;
  }
}

function unsigned(value: number): Uint8Array {
  const writer = new ByteWriter(8);
  writer.u32(value);
  return writer.written();
}

function framesMemory(module: Module): number {
  let memory = 0;
  for (const { module: namespace, name, description } of module.imports) {
    if (description.kind !== "memory") continue;
    if (namespace === engineNamespace && name === engineImport.frames) return memory;
    memory++;
  }
  throw new Error("the module imports no context save area");
}

function mutableGlobals(module: Module): { index: number; type: ValueType }[] {
  const imported = module.imports.filter(({ description }) => description.kind === "global").length;
  const found: { index: number; type: ValueType }[] = [];
  for (const [position, { type }] of module.globals.entries()) {
    if (type.mutable) found.push({ index: imported + position, type: type.type });
  }
  return found;
}

/** Refuses what a module may have outside of its functions that is not captured. */
function refuse(module: Module): void {
  for (const { type } of mutableGlobals(module)) {
    if (type === valueType.exnref || !frameTypes.includes(type)) {
      throw new UnsupportedModuleError("a mutable global that is a reference", "it cannot be captured");
    }
  }
  if (module.memories.length > 0) {
    throw new UnsupportedModuleError("a second memory", "it cannot be captured");
  }
  if (allMemories(module)[0]?.wide) {
    throw new UnsupportedModuleError("a memory with 64-bit addresses", "it cannot be captured");
  }
}
