/** The ground under random bodies: locals, labels, fuel, and the parts of instructions. */
import { op } from "../../../src/engine/wasm/opcodes.ts";
import { ByteWriter } from "../../../src/engine/wasm/writer.ts";
import {
  type Letter,
  letters,
  type Random,
  typeByte,
  writeConstant,
  writeOpcode,
} from "./random-operators.ts";

export interface Signature {
  /** Letters. */
  readonly params: string;
  readonly results: string;
}

/** What bodies may refer to. */
export interface Shape {
  readonly random: Random;
  readonly vectors: boolean;
  readonly tailCalls: boolean;
  readonly exceptions: "none" | "legacy" | "new";
  /** Whether handlers of exceptions of the first kind may call and loop. */
  readonly busyHandlers: boolean;
  /** All functions, imported ones first. */
  readonly functions: readonly Signature[];
  /** Function indices of the table's elements. */
  readonly table: readonly number[];
  /** Types of the mutable globals by index; the first is the fuel. */
  readonly globals: readonly Letter[];
  /** Parameters of the tags by index. */
  readonly tags: readonly string[];
  typeIndex(signature: Signature): number;
}

export interface Label {
  /** What a branch to it takes. */
  readonly types: string;
  /** Local that bounds how often a loop is begun again; null for other constructs. */
  readonly counter: number | null;
}

/** Global that holds the fuel. */
export const fuelGlobal = 0;
const localsPerType = 3;

/** A body that is being written; what is written where is up to `BodyWriter`. */
export abstract class BodyBase {
  readonly writer = new ByteWriter(512);
  readonly shape: Shape;
  readonly random: Random;
  /** No calls and loops here: a handler that cannot be captured. */
  quiet = false;
  readonly signature: Signature;
  /** Innermost last. */
  protected readonly labels: Label[] = [];
  private readonly locals: Letter[];
  /** Locals that any code may use, by type. */
  private readonly common: Readonly<Record<string, number[]>>;
  protected budget: number;
  protected depth = 0;

  constructor(shape: Shape, signature: Signature, budget: number) {
    this.shape = shape;
    this.random = shape.random;
    this.signature = signature;
    this.budget = budget;
    const params = [...signature.params] as Letter[];
    const used = letters.filter((type) => type !== "v" || shape.vectors);
    this.locals = [...params, ...used.flatMap((type) => Array<Letter>(localsPerType).fill(type))];
    const { locals } = this;
    this.common = Object.fromEntries(
      used.map((type) => [type, [...locals.keys()].filter((index) => locals[index] === type)]),
    );
  }

  /** Locals and code. */
  protected body(): Uint8Array {
    const body = new ByteWriter();
    const declared = this.locals.slice(this.signature.params.length);
    body.u32(declared.length);
    for (const type of declared) body.raw([1, typeByte[type]]);
    body.raw(this.writer.written());
    return body.written().slice();
  }

  instruction(opcode: number, ...indices: number[]): void {
    writeOpcode(this.writer, opcode);
    for (const index of indices) this.writer.u32(index);
  }

  number(value: number): void {
    this.writer.u8(op.i32Const);
    this.writer.s32(value);
  }

  blockType(signature: Signature): void {
    const { params, results } = signature;
    if (params === "" && results === "") this.writer.u8(0x40);
    else if (params === "" && results.length === 1) this.writer.u8(typeByte[results as Letter]);
    else this.writer.s32(this.shape.typeIndex(signature));
  }

  /** A local of a type that any code may use. */
  local(type: Letter): number {
    return this.common[type][this.random(this.common[type].length)];
  }

  newLocal(type: Letter): number {
    return this.locals.push(type) - 1;
  }

  randomType(): Letter {
    return letters[this.random(this.shape.vectors ? 5 : 4)];
  }

  randomTypes(count_max: number): string {
    let types = "";
    for (let n = this.random(count_max + 1); n > 0; n--) types += this.randomType();
    return types;
  }

  /** Writes what is inside a construct whose instruction stands already. */
  enter(label: Label, inside: () => void): void {
    this.labels.push(label);
    this.depth++;
    inside();
    this.depth--;
    this.labels.pop();
  }

  /** The construct that a branch of a depth goes to. */
  label(depth: number): Label {
    return this.labels[this.labels.length - 1 - depth];
  }

  /** How many constructs lie between here and a label that fits; null if none does. */
  findLabel(accept: (label: Label) => boolean): number | null {
    const fitting = [...this.labels.keys()].filter((index) => accept(this.labels[index]));
    return fitting.length === 0 ? null : this.labels.length - 1 - fitting[this.random(fitting.length)];
  }

  /** Takes operands of types off the stack. */
  consume(types: string): void {
    for (const type of [...types].reverse()) {
      if (this.random(3) === 0) this.instruction(op.drop);
      else this.instruction(op.localSet, this.local(type as Letter));
    }
  }

  protected spendFuel(): void {
    this.instruction(op.globalGet, fuelGlobal);
    this.number(1);
    this.instruction(op.i32Sub);
    this.instruction(op.globalSet, fuelGlobal);
    this.instruction(op.globalGet, fuelGlobal);
    this.number(0);
    this.instruction(op.i32LtS);
    this.writer.raw([op.if, 0x40]);
    for (const type of this.signature.results) writeConstant(this.writer, type as Letter, this.random);
    this.writer.raw([op.return, op.end]);
  }
}
