/**
 * Accessor method names: which methods a field gives rise to and what they are called. One list,
 * read by the declaration check, the code generator and the type table; `accessor.ts` says the same
 * in TypeScript types.
 */
import { DeclarationError } from "./errors.ts";
import type { AtomicScalarName, Fields, FieldType, LeafType } from "./types.ts";

/** What an accessor method does with its field. */
export type Operation =
  | "get"
  | "set"
  | "low"
  | "high"
  | "setHalves"
  | "offset"
  | "add"
  | "or"
  | "and"
  | "exchange"
  | "compareExchange"
  | "wait"
  | "waitAsync"
  | "notify"
  | "acquire"
  | "tryAcquire"
  | "release"
  | "ownerOf";

/** What an operation does to the bytes of its field. An atomic update that may change nothing still counts as a write. */
export function accessOf(operation: Operation): "none" | "read" | "write" {
  switch (operation) {
    case "offset":
      return "none";
    case "get":
    case "low":
    case "high":
    case "wait":
    case "waitAsync":
    case "notify":
    case "ownerOf":
      return "read";
    default:
      return "write";
  }
}

export interface Method {
  readonly name: string;
  readonly operation: Operation;
}

/** Names an accessor has for itself, or that JavaScript gives a meaning to. */
const reservedNames: readonly string[] = [
  "offset",
  "clear",
  "rebind",
  "area",
  "then",
  ...Object.getOwnPropertyNames(Object.prototype),
];

/** `size` becomes `Size`. */
export function capitalize(name: string): string {
  return name.charAt(0).toUpperCase() + name.slice(1);
}

/** The accessor name of a field inside a struct field: `pos` and `x` give `posX`. */
export function joinNames(prefix: string, name: string): string {
  return prefix === "" ? name : prefix + capitalize(name);
}

/** True when threads can wait on a field of this type: the platform's waiting wants 32 bits. */
function canWait(scalar: AtomicScalarName): boolean {
  return scalar === "u32" || scalar === "i32";
}

/** The methods of a field without parts whose accessor name is `name`. */
export function methodsOf(name: string, type: LeafType): Method[] {
  const capital = capitalize(name);
  const access: Method[] = [
    { name, operation: "get" },
    { name: `set${capital}`, operation: "set" },
  ];
  switch (type.kind) {
    case "pointer":
      return access;
    case "scalar":
      if (type.scalar !== "u64" && type.scalar !== "i64") return access;
      return [
        ...access,
        { name: `${name}Low`, operation: "low" },
        { name: `${name}High`, operation: "high" },
        { name: `set${capital}Halves`, operation: "setHalves" },
      ];
    case "bytes":
      return [...access, { name: `${name}Offset`, operation: "offset" }];
    case "atomic": {
      for (const operation of ["add", "or", "and", "exchange", "compareExchange"] as const) {
        access.push({ name: operation + capital, operation });
      }
      if (canWait(type.scalar)) {
        for (const operation of ["wait", "waitAsync", "notify"] as const) {
          access.push({ name: operation + capital, operation });
        }
      }
      return access;
    }
    case "lock":
      return (["acquire", "tryAcquire", "release", "ownerOf"] as const).map((operation) => ({
        name: operation + capital,
        operation,
      }));
  }
}

/**
 * Refuses a declaration whose accessor would have two methods of one name, or whose field names
 * cannot be method names.
 * @throws DeclarationError naming the struct and the fields.
 */
export function checkNames(structName: string, fields: Fields): void {
  const pathOfMethod = new Map<string, string>();
  const visit = (type: FieldType, name: string, path: string): void => {
    if (type.kind === "array") {
      visit(type.element, name, path);
      return;
    }
    if (type.kind === "struct") {
      for (const [field, part] of Object.entries(type.fields))
        visit(part, joinNames(name, field), `${path}.${field}`);
      return;
    }
    for (const method of methodsOf(name, type)) {
      const other = pathOfMethod.get(method.name);
      if (other !== undefined) {
        throw new DeclarationError(
          `struct ${structName}: fields ${other} and ${path} would both give the accessor method ${method.name}; rename one of them`,
        );
      }
      if (reservedNames.includes(method.name)) {
        throw new DeclarationError(
          `struct ${structName}: field ${path} would give the accessor method ${method.name}, which is reserved; rename the field`,
        );
      }
      pathOfMethod.set(method.name, path);
    }
  };
  for (const [field, type] of Object.entries(fields)) {
    if (!/^[A-Za-z][A-Za-z0-9_]*$/.test(field)) {
      throw new DeclarationError(
        `struct ${structName}: field name ${JSON.stringify(field)} must be letters, digits and underscores, a letter first`,
      );
    }
    visit(type, field, field);
  }
}
