/** Where the code of a body starts, and what types its locals have. */
import { decodeValueType } from "../wasm/decode-types.ts";
import type { ByteRange, Module, ValueType } from "../wasm/module.ts";
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
    declare(count, decodeValueType(reader));
  }
  return reader.position;
}
