/**
 * Moves pages from one process memory to another, at the speed of `memory.copy`: copying between typed arrays over
 * shared buffers takes several times as long. A page of zeros is not touched in the target, which has zeros there.
 */

import { emptyModule } from "../wasm/decode.ts";
import { encodeModule } from "../wasm/encode.ts";
import { memoryIndexFlag } from "../wasm/immediates.ts";
import { type Limits, valueType } from "../wasm/module.ts";
import { op } from "../wasm/opcodes.ts";
import { ByteWriter } from "../wasm/writer.ts";
import { mapMemoryPages, mapPage_bytes, mapPageShift, pageState } from "./abi.ts";

const [source, target, pages] = [0, 1, 2];
const memoryNames = ["source", "target", "pages"];
/** How much the search for something other than zeros looks at in one step. */
const step_bytes = 64;

/**
 * Brings pages from the first to the last, as far as they are absent and the source has them, and marks all of them
 * present. How many were brought.
 */
export type MovePages = (firstPage: number, lastPage: number) => number;

/** Makes movers. One for each core is enough. */
export class PageMovers {
  private module: WebAssembly.Module | undefined;

  /**
   * @param map the page map of the target, a shared memory of `mapMemoryPages`.
   * The source must not change any more. Both memories must be shared.
   */
  between(from: WebAssembly.Memory, to: WebAssembly.Memory, map: WebAssembly.Memory): MovePages {
    this.module ??= new WebAssembly.Module(moverModule());
    const memories = { source: from, target: to, pages: map };
    const { move } = new WebAssembly.Instance(this.module, { "": memories }).exports;
    const sourcePages = from.buffer.byteLength / mapPage_bytes;
    return (firstPage, lastPage) => (move as MoveExport)(firstPage, lastPage, sourcePages);
  }
}

type MoveExport = (firstPage: number, lastPage: number, sourcePages: number) => number;

function moverModule(): Uint8Array<ArrayBuffer> {
  const { i32 } = valueType;
  const any: Limits = { minimum: 0, maximum: 65_536, shared: true, wide: false };
  const map: Limits = { ...any, minimum: mapMemoryPages, maximum: mapMemoryPages };
  const move = { kind: "function", params: [i32, i32, i32], results: [i32] } as const;
  const isZero = { kind: "function", params: [i32], results: [i32] } as const;
  return encodeModule({
    ...emptyModule(),
    typeGroups: [move, isZero].map((type) => ({ types: [type], raw: null })),
    imports: memoryNames.map((name, index) => ({
      module: "",
      name,
      description: { kind: "memory", memory: index === pages ? map : any },
    })),
    functions: [0, 1],
    exports: [{ name: "move", kind: "function", index: 0 }],
    bodies: [moveBody(), isZeroBody()],
  }) as Uint8Array<ArrayBuffer>;
}

const [opI32LtU, opI32GtU, opI32Shl, opI32Store8] = [0x49, 0x4b, 0x74, 0x3a];

/** `(first, last, sourcePages) -> count`. */
function moveBody(): Uint8Array {
  const writer = new ByteWriter(128);
  const [page, last, sourcePages, count, address] = [0, 1, 2, 3, 4];
  writer.raw([1, 2, valueType.i32, op.block, 0x40, op.loop, 0x40]);
  writer.raw([op.localGet, page, op.localGet, last, opI32GtU, op.branchIf, 1]);
  writer.raw([op.localGet, page, op.i32Load8U, memoryIndexFlag, pages, 0, op.i32Eqz, op.if, 0x40]);
  writer.raw([op.localGet, page, op.localGet, sourcePages, opI32LtU, op.if, 0x40]);
  writer.raw([op.localGet, page, op.i32Const, mapPageShift, opI32Shl, op.localTee, address]);
  writer.raw([op.call, 1, op.i32Eqz, op.if, 0x40, op.localGet, address, op.localGet, address, op.i32Const]);
  writer.s32(mapPage_bytes);
  writer.raw([0xfc, 10, target, source, op.end]);
  writer.raw([op.localGet, count, op.i32Const, 1, op.i32Add, op.localSet, count, op.end]);
  writer.raw([op.localGet, page, op.i32Const, pageState.present]);
  writer.raw([opI32Store8, memoryIndexFlag, pages, 0, op.end]);
  writer.raw([op.localGet, page, op.i32Const, 1, op.i32Add, op.localSet, page, op.branch, 0, op.end, op.end]);
  writer.raw([op.localGet, count, op.end]);
  return writer.written().slice();
}

/** `(address) -> i32`: whether a page of the source is all zeros. */
function isZeroBody(): Uint8Array {
  const writer = new ByteWriter(64);
  const [address, end] = [0, 1];
  const [vectorLoad, vectorOr, vectorAnyTrue] = [0x00, 0x50, 0x53];
  writer.raw([1, 1, valueType.i32, op.localGet, address, op.i32Const]);
  writer.s32(mapPage_bytes);
  writer.raw([op.i32Add, op.localSet, end, op.loop, 0x40]);
  for (let offset = 0; offset < step_bytes; offset += 16) {
    writer.raw([op.localGet, address, 0xfd, vectorLoad, 0, offset]);
    if (offset > 0) writer.raw([0xfd, vectorOr]);
  }
  writer.raw([0xfd, vectorAnyTrue, op.if, 0x40, op.i32Const, 0, op.return, op.end]);
  writer.raw([op.localGet, address, op.i32Const]);
  writer.s32(step_bytes);
  writer.raw([op.i32Add, op.localTee, address, op.localGet, end, 0x47, op.branchIf, 0, op.end]);
  writer.raw([op.i32Const, 1, op.end]);
  return writer.written().slice();
}
