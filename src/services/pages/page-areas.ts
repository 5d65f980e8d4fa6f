/**
 * The areas of independent page allocators: `NAME` (a control record for each kernel), `NAME.zones`, `NAME.frees`,
 * `NAME.frames`, and the table of page blocks, `NAME.table` and `NAME.blocks`. Records of different kernels lie in
 * different 4 KiB pages, so that software coherence has nothing to do while no page block changes hands.
 */
import { type Accessor, layoutOf, type StructType, type TypedMemory } from "../../memory/index.ts";
import { PagesError } from "./errors.ts";
import {
  blockOrder_min,
  kernels_max,
  LocalPages,
  order_max,
  PageBlock,
  PageBlockTable,
  PageFrame,
  PageZone,
  page_bytes,
  pageBlocks_max,
  RedirectedFree,
  redirectedFrees_max,
} from "./layout.ts";

export interface PageAreasOptions {
  /** Name of the areas. */
  readonly name: string;
  /** Byte offset in the island's memory of the first page, a multiple of 4096. */
  readonly base: number;
  /** Number of pages; the last page block may be smaller than the others. */
  readonly count: number;
  /** Kernels that can have an allocator. */
  readonly kernels: number;
  /** Pages of a page block, as a power of two: 8 to 12. Default 12, 16 MiB. */
  readonly blockOrder?: number;
}

export interface PageAreas {
  readonly name: string;
  readonly local: Accessor<typeof LocalPages.fields>;
  /** Record `kernel * zonesPerKernel + block`. */
  readonly zones: Accessor<typeof PageZone.fields>;
  readonly zonesPerKernel: number;
  /** Record `kernel * redirectedFrees_max + n`. */
  readonly frees: Accessor<typeof RedirectedFree.fields>;
  readonly frames: Accessor<typeof PageFrame.fields>;
  readonly table: Accessor<typeof PageBlockTable.fields>;
  readonly blocks: Accessor<typeof PageBlock.fields>;
}

/** Bytes between records so that a whole number of them fills a page. */
function pageStride(struct: StructType): number {
  return 2 ** Math.ceil(Math.log2(layoutOf(struct, "lp64").size));
}

function roundUp(count: number, unit: number): number {
  return Math.ceil(count / unit) * unit;
}

function zonesPerKernel(blockCount: number): number {
  return roundUp(blockCount, page_bytes / pageStride(PageZone));
}

function requireOptions(memory: TypedMemory, options: PageAreasOptions, blockOrder: number): void {
  const { name, base, count, kernels } = options;
  const refuse = (what: string): never => {
    throw new PagesError(`pages ${name}: ${what}`);
  };
  if (!Number.isSafeInteger(base) || base < 0 || base % page_bytes !== 0) {
    refuse(`base ${base} must be a multiple of ${page_bytes}`);
  }
  if (!Number.isInteger(count) || count < 1) refuse(`count ${count} must be a positive integer`);
  if (base + count * page_bytes > memory.buffer.byteLength) {
    refuse(`${count} pages at ${base} exceed the ${memory.buffer.byteLength} bytes there are`);
  }
  if (!Number.isInteger(kernels) || kernels < 1 || kernels > kernels_max) {
    refuse(`${kernels} kernels: there can be 1 to ${kernels_max}`);
  }
  if (!Number.isInteger(blockOrder) || blockOrder < blockOrder_min || blockOrder > order_max) {
    refuse(`block order ${blockOrder} must be ${blockOrder_min} to ${order_max}`);
  }
  if (Math.ceil(count / 2 ** blockOrder) > pageBlocks_max) {
    refuse(`${count} pages are more than ${pageBlocks_max} page blocks of order ${blockOrder}`);
  }
}

/**
 * Creates the areas; all page blocks are nobody's.
 * @param shared where the table of page blocks is to be: memory that every kernel reaches at any time.
 * @throws PagesError for options out of range, AreaError when a name is taken or memory is short.
 */
export function createPageAreas(memory: TypedMemory, shared: TypedMemory, options: PageAreasOptions): void {
  const { name, base, count, kernels } = options;
  const blockOrder = options.blockOrder ?? order_max;
  requireOptions(memory, options, blockOrder);
  const blockCount = Math.ceil(count / 2 ** blockOrder);
  const inPages = (records: number, struct: StructType, stride = pageStride(struct)) => {
    return { count: roundUp(records, page_bytes / stride), stride, align: page_bytes, checked: false };
  };
  memory.create(`${name}.frames`, PageFrame, inPages(count, PageFrame));
  memory.create(`${name}.frees`, RedirectedFree, inPages(kernels * redirectedFrees_max, RedirectedFree));
  memory.create(`${name}.zones`, PageZone, inPages(kernels * zonesPerKernel(blockCount), PageZone));
  memory.create(name, LocalPages, inPages(kernels, LocalPages, page_bytes));
  shared.create(`${name}.blocks`, PageBlock, { count: blockCount, checked: false });
  const table = shared.create(`${name}.table`, PageBlockTable, { count: 1, checked: false });
  table.setBase(0, base);
  table.setPageCount(0, count);
  table.setBlockOrder(0, blockOrder);
  table.setBlockCount(0, blockCount);
  table.setKernelCount(0, kernels);
}

/**
 * Attaches to areas that another kernel created.
 * @throws AttachError when there are none of that name.
 */
export function attachPageAreas(memory: TypedMemory, shared: TypedMemory, name: string): PageAreas {
  const unchecked = { checked: false };
  const table = shared.attachArea(`${name}.table`, PageBlockTable, unchecked);
  return {
    name,
    local: memory.attachArea(name, LocalPages, unchecked),
    zones: memory.attachArea(`${name}.zones`, PageZone, unchecked),
    zonesPerKernel: zonesPerKernel(table.blockCount(0)),
    frees: memory.attachArea(`${name}.frees`, RedirectedFree, unchecked),
    frames: memory.attachArea(`${name}.frames`, PageFrame, unchecked),
    table,
    blocks: shared.attachArea(`${name}.blocks`, PageBlock, unchecked),
  };
}
