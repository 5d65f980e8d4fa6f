/** Where the code of a body starts, and what types its locals have. */
import { type ByteRange, type Module, type ValueType, valueType } from "../wasm/module.ts";
import { ByteReader } from "../wasm/reader.ts";

/** Where the first instruction of a body is. */
export function bodyCode(module: Module, body: ByteRange): number {
  return readDeclarations(module, body, () => undefined);
}

/** Types of parameters and locals, by index. */
export function localTypes(
  module: Module,
  body: ByteRange,
  params: readonly ValueType[],
): { types: ValueType[]; code: number } {
  const types = [...params];
  const code = readDeclarations(module, body, (count, type) => {
    for (let index = 0; index < count; index++) types.push(type);
  });
  return { types, code };
}

function readDeclarations(
  module: Module,
  body: ByteRange,
  declare: (count: number, type: ValueType) => void,
): number {
  const reader = new ByteReader(module.bytes, body.start, body.end);
  const groups = reader.count("local declarations", 2);
  for (let index = 0; index < groups; index++) {
    const count = reader.u32("a number of locals");
    const byte = reader.u8("a value type");
    const hasHeapType = byte === valueType.nullableReference || byte === valueType.reference;
    declare(count, hasHeapType ? reader.s33("a heap type") * 256 + byte : byte);
  }
  return reader.position;
}
