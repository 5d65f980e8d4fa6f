/** Struct declarations. */
import { DeclarationError } from "./errors.ts";
import { checkNames } from "./names.ts";
import type { Fields, StructType } from "./types.ts";

/**
 * Declares a struct: `struct("Point", { x: f64, y: f64 })`. Fields lie in memory in the order written,
 * laid out as a C compiler would for the format that is chosen later.
 * @throws DeclarationError for no fields, a name that is not an identifier, or two fields whose
 * accessor methods would collide.
 */
export function struct<const F extends Fields>(name: string, fields: F): StructType<F> {
  if (!/^[A-Za-z_][A-Za-z0-9_]*$/.test(name)) {
    throw new DeclarationError(
      `struct name ${JSON.stringify(name)} must be an identifier: letters, digits and underscores`,
    );
  }
  if (Object.keys(fields).length === 0) {
    throw new DeclarationError(`struct ${name}: a struct needs at least one field`);
  }
  checkNames(name, fields);
  return Object.freeze({
    kind: "struct",
    name,
    fields: Object.freeze({ ...fields }),
    accessorClasses: new Map(),
  });
}
