/**
 * Bodies of random functions: typed, always valid, always ending. Values are expressions that leave operands of
 * given types; statements leave nothing. Everything that may run long or recurse spends fuel, and a function
 * without fuel returns at once.
 */
import { op } from "../../../src/engine/wasm/opcodes.ts";
import { BodyBase, fuelGlobal, type Signature } from "./random-body-base.ts";
import { writeCatching } from "./random-catching.ts";
import { writeLeaving } from "./random-leaving.ts";
import {
  addressMask,
  type Letter,
  operatorsFor,
  typeByte,
  withoutNaN,
  writeConstant,
  writeOperator,
} from "./random-operators.ts";

const depth_max = 6;
const [select, selectTyped, i32GtS] = [0x1b, 0x1c, 0x4a];
const memoryFill = 0x20b;
const memoryCopy = 0x20a;

export class BodyWriter extends BodyBase {
  /** The whole body. */
  write(): Uint8Array {
    this.labels.push({ types: this.signature.results, counter: null });
    this.spendFuel();
    for (let n = 1 + this.random(4); n > 0; n--) this.statement();
    this.values(this.signature.results);
    this.writer.u8(op.end);
    return this.body();
  }

  values(types: string): void {
    if (types.length > 1 && !this.tired() && this.random(2) === 0) {
      const known = this.quiet ? [] : this.functions((results) => results === types);
      if (known.length > 0 && this.random(2) === 0) {
        this.call(known[this.random(known.length)]);
        return;
      }
      this.block(types);
      return;
    }
    for (const type of types) this.value(type as Letter);
  }

  value(type: Letter): void {
    this.budget--;
    if (this.tired()) {
      this.leaf(type);
      return;
    }
    this.depth++;
    this.compound(type);
    this.depth--;
  }

  private tired(): boolean {
    return this.budget <= 0 || this.depth > depth_max;
  }

  private leaf(type: Letter): void {
    const globals = [...this.shape.globals.keys()].filter(
      (index) => index !== fuelGlobal && this.shape.globals[index] === type,
    );
    const choice = this.random(4);
    if (choice === 0) writeConstant(this.writer, type, this.random);
    else if (choice === 1 && globals.length > 0) {
      this.instruction(op.globalGet, globals[this.random(globals.length)]);
    } else this.instruction(op.localGet, this.local(type));
  }

  private compound(type: Letter): void {
    switch (this.random(16)) {
      case 0:
        this.leaf(type);
        break;
      case 1:
        this.value(type);
        this.instruction(op.localTee, this.local(type));
        break;
      case 2:
      case 3:
        this.block(type);
        break;
      case 4:
        this.condition(type);
        break;
      case 5:
      case 6:
      case 7:
        this.callFor(type);
        break;
      case 8:
        this.value(type);
        this.value(type);
        this.value("i");
        if (type !== "v" && this.random(2) === 0) {
          this.writer.u8(select);
          return;
        }
        this.writer.raw([selectTyped, 1, typeByte[type]]);
        break;
      case 9: {
        this.value(type);
        this.value("i");
        const depth = this.findLabel((label) => label.types === type && label.counter === null);
        if (depth === null) this.instruction(op.drop);
        else this.instruction(op.branchIf, depth);
        break;
      }
      case 10:
        // A value waits under a statement.
        this.value(type);
        this.statement();
        break;
      case 11:
        if (this.shape.exceptions === "none" || this.quiet) this.leaf(type);
        else writeCatching(this, type);
        break;
      case 12:
        if (type !== "i") {
          this.operate(type);
          return;
        }
        if (this.random(4) > 0) {
          this.instruction(op.memorySize, 0);
          return;
        }
        this.number(this.random(2));
        this.instruction(op.memoryGrow, 0);
        break;
      default:
        this.operate(type);
    }
  }

  private operate(type: Letter | null): void {
    const known = operatorsFor(type, this.shape.vectors);
    const operator = known[this.random(known.length)];
    for (const operand of operator.operands) {
      if (operand === "a") this.address();
      else this.value(operand as Letter);
    }
    writeOperator(this.writer, operator, this.random);
    withoutNaN(this.writer, operator, (of) => this.newLocal(of));
  }

  private address(): void {
    this.value("i");
    this.number(addressMask);
    this.instruction(op.i32And);
  }

  // Constructs.

  /** A block or loop that leaves values, with or without parameters. */
  block(results: string): void {
    const params = this.random(3) === 0 ? this.randomTypes(3) : "";
    const looping = !this.quiet && this.random(3) === 0;
    const counter = looping ? this.newLocal("i") : null;
    if (counter !== null) {
      this.number(1 + this.random(4));
      this.instruction(op.localSet, counter);
    }
    this.values(params);
    this.instruction(counter === null ? op.block : op.loop);
    this.blockType({ params, results });
    this.enter({ types: counter === null ? results : params, counter }, () => {
      if (counter !== null) this.spendFuel();
      // Parameters may wait under what follows.
      if (this.random(2) === 0) this.statement();
      this.consume(params);
      for (let n = this.random(3); n > 0; n--) this.statement();
      if (counter !== null) this.again(0);
      this.values(results);
    });
    this.instruction(op.end);
  }

  /** Begins the loop at a depth again while its counter lasts. */
  private again(depth: number): void {
    const { types, counter } = this.label(depth);
    if (counter === null) return;
    this.values(types);
    this.countDown(counter);
    this.instruction(op.branchIf, depth);
    this.consume(types);
  }

  private countDown(counter: number): void {
    this.instruction(op.localGet, counter);
    this.number(1);
    this.instruction(op.i32Sub);
    this.instruction(op.localTee, counter);
    this.number(0);
    this.instruction(i32GtS);
  }

  /** `if` with or without parameters and results. */
  private condition(results: string): void {
    const params = this.random(4) === 0 ? this.randomTypes(2) : "";
    this.values(params);
    this.value("i");
    this.instruction(op.if);
    this.blockType({ params, results });
    const arm = () => {
      this.consume(params);
      if (this.random(2) === 0) this.statement();
      this.values(results);
    };
    this.enter({ types: results, counter: null }, arm);
    if (results !== params || this.random(2) === 0) {
      this.instruction(op.else);
      this.enter({ types: results, counter: null }, arm);
    }
    this.instruction(op.end);
  }

  // Calls.

  functions(accept: (results: string) => boolean): number[] {
    const { functions } = this.shape;
    return [...functions.keys()].filter((index) => accept(functions[index].results));
  }

  private callFor(type: Letter): void {
    const known = this.quiet ? [] : this.functions((results) => results.includes(type));
    if (known.length === 0) {
      this.leaf(type);
      return;
    }
    const index = known[this.random(known.length)];
    this.call(index);
    const { results } = this.shape.functions[index];
    if (results === type) return;
    // Keeps one of several results.
    const kept = results.lastIndexOf(type);
    const local = this.newLocal(type);
    this.consume(results.slice(kept + 1));
    this.instruction(op.localSet, local);
    this.consume(results.slice(0, kept));
    this.instruction(op.localGet, local);
  }

  /** Calls a function directly, or one of its type through the table. */
  call(index: number): void {
    const signature = this.shape.functions[index];
    this.values(signature.params);
    const positions = this.tablePositions(signature);
    if (positions.length === 0 || this.random(2) === 0) {
      this.instruction(op.call, index);
      return;
    }
    this.callee(positions);
    this.instruction(op.callIndirect, this.shape.typeIndex(signature), 0);
  }

  tablePositions({ params, results }: Signature): number[] {
    const { table, functions } = this.shape;
    return [...table.keys()].filter((position) => {
      const known = functions[table[position]];
      return known.params === params && known.results === results;
    });
  }

  callee(positions: readonly number[]): void {
    this.number(positions[this.random(positions.length)]);
    this.number(positions[this.random(positions.length)]);
    this.value("i");
    this.writer.u8(select);
  }

  // Statements.

  statement(): void {
    this.budget--;
    if (this.tired()) return;
    this.depth++;
    this.act();
    this.depth--;
  }

  private act(): void {
    const type = this.randomType();
    switch (this.random(14)) {
      case 0:
      case 1:
        this.value(type);
        this.instruction(op.localSet, this.local(type));
        break;
      case 2: {
        const global = 1 + this.random(this.shape.globals.length - 1);
        this.value(this.shape.globals[global]);
        this.instruction(op.globalSet, global);
        break;
      }
      case 3:
      case 4:
        this.operate(null);
        break;
      case 5: {
        const types = this.randomTypes(3);
        this.values(types);
        this.consume(types);
        break;
      }
      case 6:
        this.condition("");
        break;
      case 7:
        this.block("");
        break;
      case 8: {
        if (this.quiet) return;
        const index = this.random(this.shape.functions.length);
        this.call(index);
        this.consume(this.shape.functions[index].results);
        break;
      }
      case 9:
        this.bulk();
        break;
      case 10: {
        const depth = this.findLabel((label) => label.counter === null);
        if (depth === null) return;
        const { types } = this.label(depth);
        this.values(types);
        this.value("i");
        this.instruction(op.branchIf, depth);
        this.consume(types);
        break;
      }
      case 11: {
        const depth = this.findLabel((label) => label.counter !== null);
        if (depth === null) writeLeaving(this);
        else this.again(depth);
        break;
      }
      default:
        writeLeaving(this);
    }
  }

  private bulk(): void {
    this.address();
    if (this.random(2) === 0) {
      this.value("i");
      this.number(this.random(40));
      this.instruction(memoryFill, 0);
      return;
    }
    this.address();
    this.number(this.random(40));
    this.instruction(memoryCopy, 0, 0);
  }
}
