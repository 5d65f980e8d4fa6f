/**
 * Branch hints: which of the branches that passes add are rarely taken. The optimising compiler then moves the
 * rare side out of the way and keeps its register pressure away from the loop.
 */
import type { CustomSection, Module } from "../wasm/module.ts";
import { ByteReader } from "../wasm/reader.ts";
import { ByteWriter } from "../wasm/writer.ts";
import type { BodyRewriter } from "./body.ts";

export const branchHintSection = "metadata.code.branch_hint";

export class BranchHints {
  private readonly functions = new ByteWriter(4096);
  private functionCount = 0;
  /** New index of the first function with a body. Set before bodies are written. */
  firstFunctionIndex = 0;
  private bodyIndex = -1;
  private readonly offsets: number[] = [];
  private readonly values: number[] = [];

  /** The branch that will be written next, an `if` or `br_if`, is rarely taken. */
  unlikely(body: BodyRewriter): void {
    this.mark(body.bodyIndex, body.writer.position - body.bodyStart, 0);
  }

  /** The branch that will be written next is nearly always taken. */
  likely(body: BodyRewriter): void {
    this.mark(body.bodyIndex, body.writer.position - body.bodyStart, 1);
  }

  /** The section that holds the hints given so far; it must stand in front of the code. */
  section(): CustomSection[] {
    this.flush();
    if (this.functionCount === 0) return [];
    const writer = new ByteWriter(this.functions.position + 8);
    writer.u32(this.functionCount);
    writer.raw(this.functions.written());
    return [{ name: branchHintSection, contents: writer.written().slice(), after: 0 }];
  }

  /** The branch at an offset in a function is rarely (0) or nearly always (1) taken. To be called in order. */
  mark(bodyIndex: number, offset: number, value: number): void {
    if (bodyIndex !== this.bodyIndex) this.flush();
    this.bodyIndex = bodyIndex;
    this.offsets.push(offset);
    this.values.push(value);
  }

  private flush(): void {
    const { offsets, values, functions } = this;
    if (offsets.length === 0) return;
    this.functionCount++;
    functions.u32(this.firstFunctionIndex + this.bodyIndex);
    functions.u32(offsets.length);
    for (let index = 0; index < offsets.length; index++) {
      functions.u32(offsets[index]);
      functions.u8(1);
      functions.u8(values[index]);
    }
    offsets.length = 0;
    values.length = 0;
  }
}

/** The hints of a module by body index, which it then no longer has. */
export function readBranchHints(
  module: Module,
  firstFunctionIndex: number,
): Map<number, (readonly [offset: number, value: number])[]> {
  const hints = new Map<number, (readonly [offset: number, value: number])[]>();
  const section = module.custom.find(({ name }) => name === branchHintSection);
  if (section === undefined) return hints;
  module.custom = module.custom.filter((other) => other !== section);
  const { contents } = section;
  const reader =
    contents instanceof Uint8Array
      ? new ByteReader(contents)
      : new ByteReader(module.bytes, contents.start, contents.end);
  const functions = reader.count("functions with hints");
  for (let index = 0; index < functions; index++) {
    const bodyIndex = reader.u32("a function") - firstFunctionIndex;
    const list: (readonly [number, number])[] = [];
    const count = reader.count("hints");
    for (let hint = 0; hint < count; hint++) {
      const offset = reader.u32("an offset");
      reader.u32("the size of a hint");
      list.push([offset, reader.u32("a hint")]);
    }
    hints.set(bodyIndex, list);
  }
  return hints;
}
