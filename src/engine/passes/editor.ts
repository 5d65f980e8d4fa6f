/**
 * What passes use to change a module. A pass works in two steps, so that index spaces are final before code is
 * written: in `declare` it adds imports, in `define` it adds functions and says what to do with instructions.
 * `ModuleEditor.encode` then walks all bodies once and applies what every pass asked for.
 *
 * New imports go behind the module's own imports of their kind, new types and functions to the end. So only
 * functions with a body and memories of the module's own are renumbered.
 */
import { UnsupportedModuleError } from "../errors.ts";
import {
  functionTypeAt,
  importCount,
  type Limits,
  type Module,
  type ValueType,
  valueType,
} from "../wasm/module.ts";
import { op } from "../wasm/opcodes.ts";
import type { BodyHook, BodyPlan } from "./body.ts";
import { noBodyPlan } from "./body.ts";

export interface Pass {
  readonly name: string;
  /** Adds imports. No function may be added yet. */
  declare?(editor: ModuleEditor): void;
  /** Adds functions and instruction hooks. No import may be added any more. */
  define?(editor: ModuleEditor): void;
}

export class ModuleEditor {
  readonly module: Module;
  /** How many functions the original module imports, and has in all. */
  readonly importedFunctions: number;
  readonly functionCount: number;
  /** Type indices of the original functions. */
  readonly originalTypes: Uint32Array;
  /** Hooks by instruction number, run in the order given; see `BodyRewriter`. */
  readonly beforeInstruction = new Map<number, BodyHook[]>();
  readonly afterInstruction = new Map<number, BodyHook[]>();
  readonly replaceInstruction = new Map<number, BodyHook>();
  /** Decides locals and entry code per function. */
  planBody: (bodyIndex: number) => BodyPlan = () => noBodyPlan;
  /**
   * Added functions that may suspend, by new index: a context captured in one goes on by calling it again. With
   * each, the number that frames know it by: of the original it stands for, or one past all originals.
   */
  readonly restartable = new Map<number, number>();

  /** Globals that are 1 once a passive data segment has been dropped, by segment. */
  readonly dropped = new Map<number, number>();

  /** Function types by what they look like, as far as types have been looked at. */
  private readonly typeIndices = new Map<string, number>();
  private typesSeen = 0;
  private readonly importedMemories: number;
  private readonly redirects = new Map<number, number>();
  private addedFunctionImports = 0;
  private memoryShift = 0;
  private importsClosed = false;

  constructor(module: Module, originalTypes: Uint32Array) {
    this.module = module;
    this.originalTypes = originalTypes;
    this.importedFunctions = importCount(module, "function");
    this.importedMemories = importCount(module, "memory");
    this.functionCount = this.importedFunctions + module.functions.length;
  }

  /** The index of a function type, new or already there. */
  functionType(params: readonly ValueType[], results: readonly ValueType[]): number {
    const { module, typeIndices } = this;
    for (let index = this.typesSeen; index < module.types.length; index++) {
      const type = functionTypeAt(module, index);
      const key = type === null ? "" : `${type.params}>${type.results}`;
      if (!typeIndices.has(key)) typeIndices.set(key, index);
    }
    this.typesSeen = module.types.length;
    const key = `${params}>${results}`;
    const known = typeIndices.get(key);
    if (known !== undefined) return known;
    const type = { kind: "function", params, results } as const;
    module.typeGroups.push({ types: [type], raw: null });
    return module.types.push(type) - 1;
  }

  /** @returns the index of the new function. */
  importFunction(
    module: string,
    name: string,
    params: readonly ValueType[],
    results: readonly ValueType[],
  ): number {
    this.assertImportsOpen();
    const typeIndex = this.functionType(params, results);
    this.module.imports.push({ module, name, description: { kind: "function", typeIndex } });
    return this.importedFunctions + this.addedFunctionImports++;
  }

  /**
   * Imports one more memory. The process memory must already be an import if there is one; memories of the
   * module's own move up.
   * @returns the index of the new memory.
   */
  importMemory(module: string, name: string, memory: Limits): number {
    this.assertImportsOpen();
    const index = importCount(this.module, "memory");
    this.module.imports.push({ module, name, description: { kind: "memory", memory } });
    this.memoryShift++;
    return index;
  }

  /** Turns the first memory, which the module defines, into an import. Its index stays. */
  importOwnMemory(module: string, name: string, memory: Limits): void {
    this.assertImportsOpen();
    this.module.memories.shift();
    this.module.imports.push({ module, name, description: { kind: "memory", memory } });
  }

  /** Imports are complete: from now on the index of every function is known. */
  closeImports(): void {
    this.importsClosed = true;
  }

  /** @returns the index of the new function. */
  addFunction(typeIndex: number, body: Uint8Array): number {
    if (!this.importsClosed) throw new Error("functions can be added only once all imports are declared");
    const { module } = this;
    module.functions.push(typeIndex);
    module.bodies.push(body);
    return this.firstBodyFunction + module.functions.length - 1;
  }

  /** Adds a mutable i32 global that starts as zero. @returns its index. */
  addGlobal(): number {
    const { module } = this;
    const index = importCount(module, "global") + module.globals.length;
    const initial = Uint8Array.from([op.i32Const, 0, op.end]);
    module.globals.push({ type: { type: valueType.i32, mutable: true }, initial });
    return index;
  }

  /** Adds and exports a tag without parameters. @returns its index. */
  addTag(name: string): number {
    const { module } = this;
    const index = importCount(module, "tag") + module.tags.length;
    module.tags.push(this.functionType([], []));
    module.exports.push({ name, kind: "tag", index, added: true });
    return index;
  }

  /** Exports a function that was added. */
  exportFunction(name: string, index: number): void {
    this.module.exports.push({ name, kind: "function", index, added: true });
  }

  /** All uses of an original function go to another one, given by its new index. */
  redirectFunction(original: number, replacement: number): void {
    this.redirects.set(original, replacement);
  }

  /** New index of the first function with a body. */
  get firstBodyFunction(): number {
    return this.importedFunctions + this.addedFunctionImports;
  }

  /** New index of an original function. */
  function(original: number): number {
    if (original >= this.functionCount) {
      throw new UnsupportedModuleError(`function ${original}`, "the module has no such function");
    }
    const redirected = this.redirects.size === 0 ? undefined : this.redirects.get(original);
    if (redirected !== undefined) return redirected;
    return original < this.importedFunctions ? original : original + this.addedFunctionImports;
  }

  /** New index of an original memory. */
  memory(original: number): number {
    return original < Math.max(this.importedMemories, 1) ? original : original + this.memoryShift;
  }

  /** True when memories other than the first have moved, so that code must be rewritten. */
  get memoriesRenumbered(): boolean {
    const own = this.module.memories.length;
    return own > 0 && this.memoryShift > 0;
  }

  /** Whether a pass asked to change or add to an instruction. */
  isHooked(opcode: number): boolean {
    return (
      this.beforeInstruction.has(opcode) ||
      this.replaceInstruction.has(opcode) ||
      this.afterInstruction.has(opcode)
    );
  }

  before(opcode: number, hook: BodyHook): void {
    addHook(this.beforeInstruction, opcode, hook);
  }

  after(opcode: number, hook: BodyHook): void {
    addHook(this.afterInstruction, opcode, hook);
  }

  replace(opcode: number, hook: BodyHook): void {
    if (this.replaceInstruction.has(opcode)) throw new Error(`two passes replace instruction ${opcode}`);
    this.replaceInstruction.set(opcode, hook);
  }

  private assertImportsOpen(): void {
    if (this.importsClosed) throw new Error("imports can be added only in the first step of a pass");
  }
}

function addHook(hooks: Map<number, BodyHook[]>, opcode: number, hook: BodyHook): void {
  const list = hooks.get(opcode);
  if (list === undefined) hooks.set(opcode, [hook]);
  else list.push(hook);
}
