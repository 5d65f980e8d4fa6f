/**
 * Ways of keeping 20,000 records of five fields, ours and others': for each, how code reaches a record
 * and reads and writes its fields. `compile` makes a loop of its own for each, because functions that
 * share code would share (and spoil) what the compiler learns about them.
 */
import { createRequire } from "node:module";
import { addComponent, addEntity, createWorld, query } from "bitecs";
import { ByteBuffer } from "flatbuffers";
import { View } from "structurae";
import { Struct } from "typed-struct";
import { f64, layoutOf, struct, TypedMemory, u8, u16, u32 } from "../../src/memory/index.ts";

/** Its ES module entry cannot be imported from Node.js. */
const BufferBacked: typeof import("buffer-backed-object") = createRequire(import.meta.url)(
  "buffer-backed-object",
);

export const recordCount = 20_000;

export const Item = struct("Item", { id: u32, kind: u8, flags: u16, size: u32, weight: f64 });
const fieldNames = ["id", "kind", "flags", "size", "weight"] as const;
type FieldName = (typeof fieldNames)[number];

/** Where the fields lie in hand-written code; the layout is the same as ours. */
const places: Readonly<
  Record<FieldName, { readonly type: string; readonly offset: number; readonly bytes: number }>
> = {
  id: { type: "Uint32", offset: 0, bytes: 4 },
  kind: { type: "Uint8", offset: 4, bytes: 1 },
  flags: { type: "Uint16", offset: 6, bytes: 2 },
  size: { type: "Uint32", offset: 8, bytes: 4 },
  weight: { type: "Float64", offset: 16, bytes: 8 },
};
const strideBytes = 24;

export interface Candidate {
  readonly name: string;
  /** What the code below calls `store`. */
  readonly store: unknown;
  /** Statement that makes what `read` and `write` need from the record number `i`. */
  readonly reach: string;
  readonly read: (field: FieldName) => string;
  /** Statement. */
  readonly write: (field: FieldName, value: string) => string;
}

/** What loops do with each record: an expression or statements over a candidate's fields. */
export type Operation = "sequential read" | "random read" | "sequential write" | "random read-modify-write";
export const operations: readonly Operation[] = [
  "sequential read",
  "random read",
  "sequential write",
  "random read-modify-write",
];

/** A loop over all records; returns a sum that depends on everything read. */
export type Loop = () => number;

/** Record numbers in an order that no prefetcher guesses, each once. */
function shuffled(): Uint32Array {
  const order = Uint32Array.from({ length: recordCount }, (_, i) => i);
  let seed = 12_345;
  for (let i = recordCount - 1; i > 0; i--) {
    seed = (Math.imul(seed, 1_103_515_245) + 12_345) >>> 0;
    const j = seed % (i + 1);
    [order[i], order[j]] = [order[j], order[i]];
  }
  return order;
}

/** Compiles the loop of an operation for one candidate. */
export function compile(candidate: Candidate, operation: Operation): Loop {
  const { reach, read, write } = candidate;
  const bodies: Readonly<Record<Operation, string>> = {
    "sequential read": `sum += ${fieldNames.map(read).join(" + ")};`,
    "random read": `sum += ${fieldNames.map(read).join(" + ")};`,
    "sequential write": [
      write("id", "n"),
      write("kind", "n & 255"),
      write("flags", "n & 1023"),
      write("size", "n * 3"),
      write("weight", "n * 0.5"),
    ].join(" "),
    "random read-modify-write": [
      write("size", `${read("size")} + 1`),
      write("flags", `${read("flags")} + 1`),
      write("weight", `${read("weight")} + 0.5`),
    ].join(" "),
  };
  const index = operation.startsWith("random") ? "order[n]" : "n";
  const text = `/* ${candidate.name}, ${operation} */ "use strict";
    return () => {
      let sum = 0;
      for (let n = 0; n < ${recordCount}; n++) { const i = ${index}; ${reach} ${bodies[operation]} }
      return sum;
    };`;
  const made: unknown = new Function("store", "order", text)(candidate.store, shuffled());
  if (typeof made !== "function") throw new TypeError("no loop");
  return () => Number(made());
}

/** Our accessors: unchecked, checked and from the type table, over one area each. */
export function ourCandidates(): Candidate[] {
  const layout = layoutOf(Item, "lp64");
  if (
    layout.size !== strideBytes ||
    layout.fields.some(({ name, offset }) => places[name as FieldName].offset !== offset)
  ) {
    throw new Error("the hand-written code no longer has our layout");
  }
  const memory = TypedMemory.format(new SharedArrayBuffer(4 * recordCount * strideBytes));
  const make = (name: string, options: { checked: boolean; strategy: "generated" | "table" }): Candidate => ({
    name,
    store: memory.create(name, Item, { count: recordCount, ...options }),
    reach: "",
    read: (field) => `store.${field}(i)`,
    write: (field, value) => `store.set${field[0].toUpperCase()}${field.slice(1)}(i, ${value});`,
  });
  return [
    make("unchecked", { checked: false, strategy: "generated" }),
    make("checked", { checked: true, strategy: "generated" }),
    make("type table", { checked: true, strategy: "table" }),
  ];
}

/** What people write by hand. */
export function handWritten(): Candidate[] {
  const view = new DataView(new SharedArrayBuffer(recordCount * strideBytes));
  const end = (field: FieldName): string => (places[field].bytes === 1 ? "" : ", true");
  const buffer = new SharedArrayBuffer(recordCount * strideBytes);
  const arrays = {
    Uint8: new Uint8Array(buffer),
    Uint16: new Uint16Array(buffer),
    Uint32: new Uint32Array(buffer),
    Float64: new Float64Array(buffer),
  };
  const cell = (field: FieldName): string => {
    const { type, offset, bytes } = places[field];
    return `store.${type}[i * ${strideBytes / bytes} + ${offset / bytes}]`;
  };
  return [
    {
      name: "DataView",
      store: view,
      reach: `const o = i * ${strideBytes};`,
      read: (field) => `store.get${places[field].type}(o + ${places[field].offset}${end(field)})`,
      write: (field, value) =>
        `store.set${places[field].type}(o + ${places[field].offset}, ${value}${end(field)});`,
    },
    {
      name: "typed arrays",
      store: arrays,
      reach: "",
      read: cell,
      write: (field, value) => `${cell(field)} = ${value};`,
    },
  ];
}

/** Records that are objects with a property per field. */
function asProperties(name: string, store: unknown): Candidate {
  return {
    name,
    store,
    reach: "const r = store[i];",
    read: (field) => `r.${field}`,
    write: (field, value) => `r.${field} = ${value};`,
  };
}

function bufferBackedObject(): Candidate {
  const store = BufferBacked.ArrayOfBufferBackedObjects(new ArrayBuffer(recordCount * strideBytes), {
    id: BufferBacked.Uint32(),
    kind: BufferBacked.Uint8(),
    flags: BufferBacked.Uint16({ align: 2 }),
    size: BufferBacked.Uint32({ align: 4 }),
    weight: BufferBacked.Float64({ align: 8 }),
  });
  return asProperties("buffer-backed-object", store);
}

function typedStruct(): Candidate {
  const Record = new Struct("Item")
    .UInt32LE("id")
    .UInt8("kind")
    .UInt16LE("flags")
    .UInt32LE("size")
    .Float64LE("weight")
    .compile();
  const Records = new Struct("Items").StructArray("items", Record, recordCount).compile();
  return asProperties("typed-struct", new Records().items);
}

interface Plain {
  id: number;
  kind: number;
  flags: number;
  size: number;
  weight: number;
}

/** With one view object per record kept, the fastest way to use it. */
function structurae(): Candidate {
  const RecordView = new View().create<Plain>({
    $id: "Item",
    type: "object",
    properties: {
      id: { type: "integer", btype: "uint32" },
      kind: { type: "integer", btype: "uint8" },
      flags: { type: "integer", btype: "uint16" },
      size: { type: "integer", btype: "uint32" },
      weight: { type: "number", btype: "float64" },
    },
  });
  const length = RecordView.viewLength;
  const buffer = new ArrayBuffer(recordCount * length);
  return {
    name: "structurae",
    store: Array.from({ length: recordCount }, (_, i) => new RecordView(buffer, i * length, length)),
    reach: "const r = store[i];",
    read: (field) => `r.get("${field}")`,
    write: (field, value) => `r.set("${field}", ${value});`,
  };
}

/** A struct class as the FlatBuffers compiler writes it, moved from record to record. */
class FlatItem {
  bytes: ByteBuffer;
  position = 0;
  constructor(bytes: ByteBuffer) {
    this.bytes = bytes;
  }
  at(position: number): this {
    this.position = position;
    return this;
  }
  id(): number {
    return this.bytes.readUint32(this.position);
  }
  kind(): number {
    return this.bytes.readUint8(this.position + 4);
  }
  flags(): number {
    return this.bytes.readUint16(this.position + 6);
  }
  size(): number {
    return this.bytes.readUint32(this.position + 8);
  }
  weight(): number {
    return this.bytes.readFloat64(this.position + 16);
  }
  mutate_id(value: number): void {
    this.bytes.writeUint32(this.position, value);
  }
  mutate_kind(value: number): void {
    this.bytes.writeUint8(this.position + 4, value);
  }
  mutate_flags(value: number): void {
    this.bytes.writeUint16(this.position + 6, value);
  }
  mutate_size(value: number): void {
    this.bytes.writeUint32(this.position + 8, value);
  }
  mutate_weight(value: number): void {
    this.bytes.writeFloat64(this.position + 16, value);
  }
}

function flatbuffers(): Candidate {
  return {
    name: "flatbuffers",
    store: new FlatItem(new ByteBuffer(new Uint8Array(recordCount * strideBytes))),
    reach: `const r = store.at(i * ${strideBytes});`,
    read: (field) => `r.${field}()`,
    write: (field, value) => `r.mutate_${field}(${value});`,
  };
}

/** Components as bitECS advises: a typed array per field, indexed by entity, found by a query. */
function bitEcs(): Candidate {
  const length = recordCount + 1;
  const component = {
    id: new Uint32Array(length),
    kind: new Uint8Array(length),
    flags: new Uint16Array(length),
    size: new Uint32Array(length),
    weight: new Float64Array(length),
  };
  const world = createWorld();
  for (let i = 0; i < recordCount; i++) addComponent(world, addEntity(world), component);
  return {
    name: "bitecs",
    store: { component, entities: query(world, [component]) },
    reach: "const c = store.component, e = store.entities[i];",
    read: (field) => `c.${field}[e]`,
    write: (field, value) => `c.${field}[e] = ${value};`,
  };
}

export function npmPeers(): Candidate[] {
  return [bufferBackedObject(), structurae(), typedStruct(), flatbuffers(), bitEcs()];
}
