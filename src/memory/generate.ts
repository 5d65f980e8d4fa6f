/**
 * Generated accessors: JavaScript text for one layout, one way of addressing and checked or not,
 * turned into a class. Offsets, strides and byte order are constants in the text, so an access compiles
 * to the same few instructions as hand-written `DataView` code.
 *
 * Two things in the text look odd and are there for V8's optimising compiler:
 * - Positions end in `| 0`: 32-bit arithmetic then needs no overflow checks.
 * - Checks are reads from a `DataView` whose length is the bound, not comparisons. An inlined branch
 *   that leaves the method keeps the compiler from peeling the caller's loop, and then everything about
 *   the accessor is looked up again in every round: 1.9 times the time of unchecked code, where a
 *   read costs 1.1. The read throws the platform's own RangeError, and `catch` turns it into one that
 *   names the field; neither costs anything until it happens. `i | -(i !== (i | 0))` is `i` for whole
 *   numbers below 2^31 and -1 for anything else; it folds away where the compiler knows that `i` is one.
 *
 * Every name that gets into the text is an identifier checked at declaration, or quoted; numbers come
 * from the layout. Nothing from shared memory is ever evaluated.
 */
import * as atomics from "./atomics.ts";
import { type AccessorClass, BoundAccessor } from "./binding.ts";
import { bodyOf, guarded, type Shape } from "./generate-body.ts";
import { methodText } from "./generate-methods.ts";
import { formats, hostLittleEndian } from "./layout.ts";
import { methodsOf } from "./names.ts";
import * as support from "./support.ts";

/**
 * Compiles an accessor class.
 * @throws EvalError (or whatever the platform throws) where generating code is forbidden.
 */
export function generateClass(shape: Shape): AccessorClass {
  const make: unknown = new Function("Base", "S", "A", generateText(shape));
  if (typeof make !== "function") throw new TypeError("generated accessor is not a function");
  return make(BoundAccessor, support, atomics);
}

/** The text of the class; exported so that tests can look at it. */
export function generateText(shape: Shape): string {
  const { layout } = shape;
  const lines: string[] = ['"use strict";'];
  layout.fields.forEach((field, slot) => {
    if (field.type.kind !== "atomic") return;
    const swapped = formats[layout.format].littleEndian !== hostLittleEndian;
    lines.push(`const f${slot} = ${JSON.stringify({ path: field.path, stored: field.stored, swapped })};`);
  });
  lines.push("const one = new DataView(new ArrayBuffer(1));", ...limitViews(shape));
  lines.push(`return class ${layout.struct}_${layout.format} extends Base {`, ...recordMethods(shape));
  layout.fields.forEach((field, slot) => {
    for (const method of methodsOf(field.name, field.type))
      lines.push(...methodText(shape, field, slot, method));
  });
  lines.push("};");
  return lines.join("\n");
}

/** Constants that array indices are checked with: one view per array length, as long as the array. */
function limitViews(shape: Shape): string[] {
  if (!guarded(shape)) return [];
  const lengths = new Set(
    shape.layout.fields.flatMap((field) => field.dimensions.map(({ length }) => length)),
  );
  return [...lengths].map((length) => `const limit${length} = new DataView(new ArrayBuffer(${length}));`);
}

function recordMethods(shape: Shape): string[] {
  const { parameters, checks, position, announcement } = bodyOf(shape, undefined, -1);
  const announce = announcement("set");
  const head = parameters.join(", ");
  return [
    `  offset(${head}) { ${checks} return this.$base + (${position(0)}); }`,
    `  clear(${head}) { ${checks}${announce === "" ? "" : ` ${announce}`} const x = ${position(0)}; this.$bytes.fill(0, x, x + ${shape.layout.size}); }`,
  ];
}
