/** Runs the page-checked variant of a module over a memory whose pages come from another one when they are asked for. */
import { instrument } from "../../../src/engine/instrument.ts";
import { mapMemoryPages, mapPage_bytes } from "../../../src/engine/paged/abi.ts";
import { pageChecked } from "../../../src/engine/paged/page-checked.ts";
import { type Exports, newControl, type TestImports } from "./plain-host.ts";

/** What absent pages hold: nothing that a program would go on with unnoticed. */
const poison = 0xa5;

export interface PagedInstance {
  readonly exports: Exports;
  readonly bytes: Uint8Array;
  readonly map: Uint8Array;
  /** Every page that was asked for while it was absent, in order. */
  readonly faults: number[];
}

export interface PlainInstance {
  readonly exports: Exports;
  readonly bytes: Uint8Array;
}

const pages = 4;

function engineImports(memory: WebAssembly.Memory): Record<string, WebAssembly.ImportValue> {
  return {
    memory,
    control: newControl(),
    ram: new WebAssembly.Memory({ initial: 1, maximum: 1, shared: true }),
    frames: new WebAssembly.Memory({ initial: 2048, maximum: 2048 }),
    interrupt: () => 0,
    suspend: new WebAssembly.Suspending(async () => 0),
    grow: () => -1,
    die: () => {},
  };
}

function link(
  bytes: Uint8Array,
  engine: Record<string, WebAssembly.ImportValue>,
  imports: TestImports,
): Exports {
  const module = new WebAssembly.Module(bytes as Uint8Array<ArrayBuffer>);
  return new WebAssembly.Instance(module, { ...imports, archipelago: engine }).exports as Exports;
}

/** Both variants of a module, over memories of four 64 KiB pages with the same bytes to begin with. */
export function bothVariants(
  module: Uint8Array,
  content: (bytes: Uint8Array) => void,
  isPresent: (page: number) => boolean,
  imports: TestImports = {},
): { plain: PlainInstance; paged: PagedInstance } {
  const instrumented = instrument(module).bytes;
  const memory = new WebAssembly.Memory({ initial: pages, maximum: 20, shared: true });
  const bytes = new Uint8Array(memory.buffer);
  content(bytes);
  const source = bytes.slice();
  const plain = { exports: link(instrumented, engineImports(memory), imports), bytes };

  const target = new WebAssembly.Memory({ initial: pages, maximum: 20, shared: true });
  const targetBytes = new Uint8Array(target.buffer).fill(poison);
  const mapMemory = new WebAssembly.Memory({
    initial: mapMemoryPages,
    maximum: mapMemoryPages,
    shared: true,
  });
  const map = new Uint8Array(mapMemory.buffer);
  const faults: number[] = [];
  const count = source.length / mapPage_bytes;
  const fetch = (page: number): void => {
    if (page >= count || map[page] !== 0) return;
    const start = page * mapPage_bytes;
    targetBytes.set(source.subarray(start, start + mapPage_bytes), start);
    map[page] = 1;
  };
  map.fill(1, count);
  for (let page = 0; page < count; page++) if (isPresent(page)) fetch(page);
  const fault = (first: number, last: number): number => {
    const wanted =
      first <= last ? Array.from({ length: last - first + 1 }, (_, n) => first + n) : [first, last];
    for (const page of wanted) {
      if (page < count && map[page] === 0) faults.push(page);
      fetch(page);
    }
    return 0;
  };
  const engine = { ...engineImports(target), pages: mapMemory, fault };
  const exports = link(pageChecked(instrumented), engine, imports);
  return { plain, paged: { exports, bytes: targetBytes, map, faults } };
}

/** Where the memories differ, looking only at pages that are present. */
export function firstDifference(plain: PlainInstance, paged: PagedInstance): number {
  for (let page = 0; page < plain.bytes.length / mapPage_bytes; page++) {
    if (paged.map[page] === 0) continue;
    const [start, end] = [page * mapPage_bytes, (page + 1) * mapPage_bytes];
    const [left, right] = [plain.bytes.subarray(start, end), paged.bytes.subarray(start, end)];
    if (Buffer.compare(left, right) !== 0)
      return start + left.findIndex((byte, index) => byte !== right[index]);
  }
  return -1;
}
