/** The text of the methods of one field, by kind of field. Positions and checks come from generate-body.ts. */
import { type Body, bodyOf, type Shape, write } from "./generate-body.ts";
import { formats, hostLittleEndian, type LayoutField } from "./layout.ts";
import type { Method } from "./names.ts";
import { boundsOf } from "./support.ts";

/** The text of one method of field number `slot`. */
export function methodText(shape: Shape, field: LayoutField, slot: number, method: Method): string[] {
  const body = bodyOf(shape, field, slot);
  switch (field.type.kind) {
    case "scalar":
    case "pointer":
      return field.size === 8 && field.stored !== "f64"
        ? wideMethod(shape, field, method, body)
        : scalarMethod(shape, field, method, body);
    case "bytes":
      return bytesMethod(field, method, body);
    case "atomic":
      return atomicMethod(shape, field, slot, method, body);
    case "lock":
      return lockMethod(shape, field, method, body);
  }
}

/** Methods of plain fields of up to 32 bits, and of f64. */
function scalarMethod(shape: Shape, field: LayoutField, method: Method, body: Body): string[] {
  const end = formats[shape.layout.format].littleEndian;
  const element = load(field, body.position(0), end);
  switch (method.operation) {
    case "get":
      return write(method, body, [], [`return ${element};`]);
    case "set":
      return write(
        method,
        body,
        ["value"],
        [narrowingCheck(field), `${store(field, body.position(0), "value", end)};`],
      );
    // The rest are methods of 64-bit fields: an attaché declared 64 bits where the area has fewer.
    case "low":
      return write(method, body, [], [`return ${element} >>> 0;`]);
    case "high":
      return write(method, body, [], [`return ${element} < 0 ? 4294967295 : 0;`]);
    default: {
      const half = field.declared === "i64" ? "| 0" : ">>> 0";
      const setter = `set${method.name.slice("set".length, -"Halves".length)}`;
      const value = `(high ${half}) * 4294967296 + (low >>> 0)`;
      return write(
        method,
        body,
        ["low", "high"],
        [`this.${setter}(${[...body.parameters, value].join(", ")});`],
      );
    }
  }
}

/**
 * Methods of 64-bit integers, which are read and written as two halves: BigInts would cost four times
 * as much. Numbers are exact when the upper 11 bits of the high half are its sign; `one` is a view of
 * one byte, so reading it at those bits (or, for signed fields, at what the bias makes of them) is the
 * check.
 */
function wideMethod(shape: Shape, field: LayoutField, method: Method, body: Body): string[] {
  const path = JSON.stringify(field.path);
  const end = formats[shape.layout.format].littleEndian;
  const signed = field.stored === "i64";
  const low = body.position(end ? 0 : 4);
  const high = body.position(end ? 4 : 0);
  const minimum = signed ? "-9007199254740992" : "0";
  const excess = signed ? "(h + 2097152) >>> 22" : "h >>> 21";
  switch (method.operation) {
    case "get":
      return write(
        method,
        body,
        [],
        [
          `const v = this.$view, h = v.get${signed ? "Int32" : "Uint32"}(${high}, ${end});`,
          `const value = h * 4294967296 + v.getUint32(${low}, ${end});`,
          `try { one.getUint8(${excess}); } catch { throw S.inexact(this, ${path}, value); }`,
          "return value;",
        ],
      );
    case "set":
      return write(
        method,
        body,
        ["value"],
        [
          // Bits, not `||`: alternatives would be branches.
          `try { one.getUint8((Math.floor(value) !== value) | (value < ${minimum}) | (value > 9007199254740991)); }`,
          `catch { throw S.inexact(this, ${path}, value); }`,
          `const v = this.$view; v.setUint32(${low}, value, ${end});`,
          `v.setUint32(${high}, Math.floor(value / 4294967296), ${end});`,
        ],
      );
    case "low":
      return write(method, body, [], [`return this.$view.getUint32(${low}, ${end});`]);
    case "high":
      return write(method, body, [], [`return this.$view.getUint32(${high}, ${end});`]);
    default:
      return write(
        method,
        body,
        ["low", "high"],
        [`const v = this.$view; v.setUint32(${low}, low, ${end}); v.setUint32(${high}, high, ${end});`],
      );
  }
}

const viewNames: Readonly<Record<string, string>> = {
  u8: "Uint8",
  i8: "Int8",
  u16: "Uint16",
  i16: "Int16",
  u32: "Uint32",
  i32: "Int32",
  f32: "Float32",
  f64: "Float64",
};

function load(field: LayoutField, position: string, littleEndian: boolean): string {
  if (field.stored === "bool") return `(this.$view.getUint8(${position}) !== 0)`;
  const end = field.size === 1 ? "" : `, ${littleEndian}`;
  return `this.$view.get${viewNames[field.stored]}(${position}${end})`;
}

function store(field: LayoutField, position: string, value: string, littleEndian: boolean): string {
  if (field.stored === "bool") return `this.$view.setUint8(${position}, ${value} ? 1 : 0)`;
  const end = field.size === 1 ? "" : `, ${littleEndian}`;
  return `this.$view.set${viewNames[field.stored]}(${position}, ${value}${end})`;
}

/** Where the area's field is narrower than the declared one, a write must fit the area's. */
function narrowingCheck(field: LayoutField): string {
  if (field.declared === field.stored || field.stored === "bytes") return "";
  const path = JSON.stringify(field.path);
  if (field.stored === "f32") {
    return `if (Math.fround(value) !== value && value === value) S.failNarrow(this, ${path}, value);`;
  }
  const [minimum, maximum] = boundsOf(field.stored);
  return `if (!(value >= ${minimum} && value <= ${maximum}) || value % 1 !== 0) S.failNarrow(this, ${path}, value);`;
}

function bytesMethod(field: LayoutField, method: Method, body: Body): string[] {
  switch (method.operation) {
    case "get":
      return write(
        method,
        body,
        [],
        [`return new Uint8Array(this.$buffer, this.$base + (${body.position(0)}), ${field.size});`],
      );
    case "set": {
      const path = JSON.stringify(field.path);
      return write(
        method,
        body,
        ["value"],
        [`S.setByteString(this, ${path}, ${body.position(0)}, ${field.size}, value);`],
      );
    }
    default:
      return write(method, body, [], [`return this.$base + (${body.position(0)});`]);
  }
}

/** An atomic access needs an aligned position; by index that was checked once, when the accessor was bound. */
function withAlignment(shape: Shape, field: LayoutField, body: Body): Body {
  if (shape.addressing === "index" || field.size === 1) return body;
  const check = `if (i % ${field.size} !== 0) S.failAlignment(this, ${JSON.stringify(field.path)}, i);`;
  return { ...body, checks: `${body.checks} ${check}`.trim() };
}

/** The index of a field in the typed array of its size. */
function cellOf(field: LayoutField, body: Body): string {
  return field.size === 1 ? body.position(0) : `(${body.position(0)}) >>> ${Math.log2(field.size)}`;
}

function atomicMethod(shape: Shape, field: LayoutField, slot: number, method: Method, plain: Body): string[] {
  const body = withAlignment(shape, field, plain);
  const { operation } = method;
  const where = `this, f${slot}, ${body.position(0)}`;
  const inline =
    field.size === 1 || (field.size <= 4 && formats[shape.layout.format].littleEndian === hostLittleEndian);
  const cell = `this.$${field.stored}, ${cellOf(field, body)}`;
  switch (operation) {
    case "get":
      return write(
        method,
        body,
        [],
        [inline ? `return Atomics.load(${cell});` : `return A.atomicLoad(${where});`],
      );
    case "compareExchange":
      return write(
        method,
        body,
        ["expected", "value"],
        [
          inline
            ? `return Atomics.compareExchange(${cell}, expected, value);`
            : `return A.atomicCompareExchange(${where}, expected, value);`,
        ],
      );
    case "set":
      return write(
        method,
        body,
        ["value"],
        [inline ? `Atomics.store(${cell}, value);` : `A.atomicUpdate(${where}, "store", value);`],
      );
    case "wait":
      return write(
        method,
        body,
        ["value", "timeoutMs"],
        [`return A.atomicWait(${where}, value, timeoutMs);`],
      );
    case "waitAsync":
      return write(
        method,
        body,
        ["value", "timeoutMs"],
        [`return A.atomicWaitAsync(${where}, value, timeoutMs);`],
      );
    case "notify":
      return write(method, body, ["count"], [`return A.atomicNotify(this, ${body.position(0)}, count);`]);
    default:
      return write(
        method,
        body,
        ["value"],
        [
          inline
            ? `return Atomics.${operation}(${cell}, value);`
            : `return A.atomicUpdate(${where}, "${operation}", value);`,
        ],
      );
  }
}

function lockMethod(shape: Shape, field: LayoutField, method: Method, plain: Body): string[] {
  const body = withAlignment(shape, field, plain);
  const path = JSON.stringify(field.path);
  const prelude = `const w = this.$i32, x = ${cellOf(field, body)};`;
  switch (method.operation) {
    case "acquire":
      return write(
        method,
        body,
        ["owner"],
        [
          prelude,
          `if ((owner | 0) !== owner || owner <= 0 || Atomics.compareExchange(w, x, 0, owner) !== 0) S.acquire(this, ${path}, w, x, owner);`,
        ],
      );
    case "tryAcquire":
      return write(method, body, ["owner"], [prelude, `return S.tryAcquire(this, ${path}, w, x, owner);`]);
    case "release":
      return write(
        method,
        body,
        ["owner"],
        [
          prelude,
          `if ((owner | 0) !== owner || owner <= 0 || Atomics.compareExchange(w, x, owner, 0) !== owner) S.release(this, ${path}, w, x, owner);`,
        ],
      );
    default:
      return write(method, body, [], [prelude, "return S.lockOwner(w, x);"]);
  }
}
