/**
 * Branch hints: which of the branches that passes add are rarely taken. The optimising compiler then moves the
 * rare side out of the way and keeps its register pressure away from the loop.
 */
import type { CustomSection } from "../wasm/module.ts";
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
    this.add(body, 0);
  }

  /** The branch that will be written next is nearly always taken. */
  likely(body: BodyRewriter): void {
    this.add(body, 1);
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

  private add(body: BodyRewriter, value: number): void {
    if (body.bodyIndex !== this.bodyIndex) this.flush();
    this.bodyIndex = body.bodyIndex;
    this.offsets.push(body.writer.position - body.bodyStart);
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
