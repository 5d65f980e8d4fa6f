/**
 * The skeleton of a generated accessor method: its parameters, the checks of them, and the byte position
 * they stand for. What the odd-looking text is for: see generate.ts.
 */
import type { Addressing } from "./binding.ts";
import type { Layout, LayoutField } from "./layout.ts";
import { accessOf, type Method, type Operation } from "./names.ts";

/** What a generated class is made for. */
export interface Shape {
  readonly layout: Layout;
  readonly addressing: Addressing;
  readonly checked: boolean;
  /** Bytes between records when constant in the code; undefined: taken from the instance. */
  readonly stride: number | undefined;
  /** Whether positions may be beyond 2^31, so that they need more than 32-bit arithmetic. */
  readonly far: boolean;
  /** Whether every access is announced to a `MemoryGuard` first. */
  readonly announced: boolean;
}

export interface Body {
  /** Parameters before the value: record and array indices. */
  readonly parameters: readonly string[];
  /** Statements that check them. */
  readonly checks: string;
  /** Byte position, relative to the views, so many bytes into the element. */
  readonly position: (extra: number) => string;
  /** The statement that announces what an operation does to the element; empty without a guard. */
  readonly announcement: (operation: Operation) => string;
}

/** Parameters, checks and position of a field, or of the record itself. */
export function bodyOf(shape: Shape, field: LayoutField | undefined, slot: number): Body {
  const parameters = ["i"];
  const terms = [recordStart(shape)];
  const limits = ["this.$guard"];
  for (const [depth, dimension] of (field?.dimensions ?? []).entries()) {
    const name = indexName(depth);
    parameters.push(name);
    terms.push(`${name} * ${dimension.stride}`);
    limits.push(`limit${dimension.length}`);
  }
  let checks = "";
  if (guarded(shape)) {
    const reads = parameters.map(
      (name, depth) => `${limits[depth]}.getUint8(${name} | -(${name} !== (${name} | 0)));`,
    );
    checks = `try { ${reads.join(" ")} } catch { throw S.outOfBounds(this, ${slot}, ${parameters.join(", ")}); }`;
  } else if (shape.checked) {
    // Addresses go beyond 2^31, so they are compared. The comparisons are written so that NaN fails them.
    const failures = [`!(i >= 0 && i <= this.$view.byteLength - ${shape.layout.size})`, "i % 1 !== 0"];
    for (const [depth, { length }] of (field?.dimensions ?? []).entries()) {
      const name = indexName(depth);
      failures.push(`${name} >>> 0 !== ${name} || ${name} >= ${length}`);
    }
    checks = `if (${failures.join(" || ")}) throw S.outOfBounds(this, ${slot}, ${parameters.join(", ")});`;
  }
  const sum = terms.join(" + ");
  const wrap = shape.far || shape.addressing === "address" ? "" : " | 0";
  const position = (extra: number): string => {
    const offset = (field?.offset ?? 0) + extra;
    return `${offset === 0 ? sum : `${sum} + ${offset}`}${wrap}`;
  };
  const announcement = (operation: Operation): string => {
    const access = accessOf(operation);
    if (!shape.announced || access === "none") return "";
    const size = field?.size ?? shape.layout.size;
    return `this.$memory.access(this.$base + (${position(0)}), ${size}, ${access === "write"});`;
  };
  return { parameters, checks, position, announcement };
}

/** Where the record starts, relative to the views. */
function recordStart(shape: Shape): string {
  if (shape.addressing === "address") return "i";
  return shape.stride === undefined ? "i * this.$stride" : `i * ${shape.stride}`;
}

/** The parameter for an array index, outermost dimension first. */
function indexName(depth: number): string {
  return depth < 2 ? "jk".charAt(depth) : `j${depth}`;
}

/** True when bounds are checked by reading from a view as long as the bound. */
export function guarded(shape: Shape): boolean {
  return shape.checked && shape.addressing === "index";
}

/** The text of one method. */
export function write(
  method: Method,
  body: Body,
  operands: readonly string[],
  statements: readonly string[],
): string[] {
  const parameters = [...body.parameters, ...operands].join(", ");
  const lines = [body.checks, body.announcement(method.operation), ...statements]
    .filter((line) => line !== "")
    .map((line) => `    ${line}`);
  return [`  ${method.name}(${parameters}) {`, ...lines, "  }"];
}
