/**
 * What a C compiler says about the layout of structs. `clangLayouts` asks clang for any of its targets;
 * no C library or linker is needed, because the answers are read from constants in LLVM's text output.
 */
import { spawnSync } from "node:child_process";
import type { FieldType, Format, StructType } from "../../src/memory/index.ts";
import { layoutOf } from "../../src/memory/index.ts";

/** Compiler targets and the format each stands for. */
export const targets: Readonly<Record<string, Format>> = {
  wasm32: "ilp32",
  "arm-linux-gnueabi": "ilp32",
  "mipsel-linux-gnu": "ilp32",
  "riscv32-unknown-elf": "ilp32",
  wasm64: "lp64",
  "x86_64-linux-gnu": "lp64",
  "aarch64-linux-gnu": "lp64",
  "i386-linux-gnu": "i386",
  "powerpc-linux-gnu": "ilp32be",
  "mips-linux-gnu": "ilp32be",
  "armeb-linux-gnueabi": "ilp32be",
  "powerpc64-linux-gnu": "lp64be",
  "s390x-linux-gnu": "lp64be",
  "aarch64_be-linux-gnu": "lp64be",
};

/** Size, alignment, then for every field the offsets of its first and of its last element. */
export type Facts = readonly number[];

/** The facts as our own layout has them. */
export function ourFacts(struct: StructType, format: Format): Facts {
  const layout = layoutOf(struct, format);
  return [
    layout.size,
    layout.align,
    ...layout.fields.flatMap((field) => {
      const span = field.dimensions.reduce((sum, { length, stride }) => sum + (length - 1) * stride, 0);
      return [field.offset, field.offset + span];
    }),
  ];
}

/** The version of the clang on this machine, or nothing when there is none. */
export function clangVersion(): string | undefined {
  const { stdout, status } = spawnSync("clang", ["--version"], { encoding: "utf8" });
  return status === 0 ? stdout.split("\n")[0] : undefined;
}

/** Asks clang about all structs at once, for one target. */
export function clangFacts(structs: readonly StructType[], target: string): Facts[] {
  const source = structs.map(questionAbout).join("\n");
  const { stdout, stderr, status } = spawnSync(
    "clang",
    [
      `--target=${target}`,
      "-std=c11",
      "-S",
      "-emit-llvm",
      "-O0",
      "-ffreestanding",
      "-x",
      "c",
      "-o",
      "-",
      "-",
    ],
    { input: source, encoding: "utf8", maxBuffer: 2 ** 27 },
  );
  if (status !== 0) throw new Error(`clang --target=${target} failed: ${stderr}`);
  return structs.map((_, number) => {
    const answer = new RegExp(`@facts${number} = .*constant \\[\\d+ x i32\\] \\[([^\\]]*)\\]`).exec(stdout);
    if (answer === null) throw new Error(`no answer about struct ${number} in clang's output for ${target}`);
    return answer[1].split(",").map((word) => Number(word.trim().slice("i32 ".length)));
  });
}

/** C text that defines a struct and a constant array of the facts about it. */
function questionAbout(struct: StructType, number: number): string {
  const name = `s${number}`;
  const facts = [`sizeof(struct ${name})`, `_Alignof(struct ${name})`];
  for (const field of layoutOf(struct, "lp64").fields) {
    const first = field.path.replaceAll("[]", "[0]");
    const lengths = field.dimensions.map(({ length }) => length);
    const last = field.path.replaceAll("[]", () => `[${(lengths.shift() ?? 1) - 1}]`);
    facts.push(`__builtin_offsetof(struct ${name}, ${first})`, `__builtin_offsetof(struct ${name}, ${last})`);
  }
  return `struct ${name} ${bodyOf(struct)};\nconst unsigned facts${number}[] = { ${facts.join(", ")} };`;
}

function bodyOf(struct: StructType): string {
  return `{ ${Object.entries(struct.fields)
    .map(([name, type]) => `${declare(type, name)};`)
    .join(" ")} }`;
}

const cNames: Readonly<Record<string, string>> = {
  u8: "unsigned char",
  i8: "signed char",
  u16: "unsigned short",
  i16: "short",
  u32: "unsigned int",
  i32: "int",
  u64: "unsigned long long",
  i64: "long long",
  f32: "float",
  f64: "double",
  bool: "_Bool",
  usize: "__SIZE_TYPE__",
  long: "long",
  ulong: "unsigned long",
};

/** A C declaration; `declarator` is the name with the array lengths around it. */
function declare(type: FieldType, declarator: string): string {
  switch (type.kind) {
    case "scalar":
      return `${cNames[type.scalar]} ${declarator}`;
    case "atomic":
      return `_Atomic(${cNames[type.scalar]}) ${declarator}`;
    case "lock":
      return `_Atomic(int) ${declarator}`;
    case "pointer":
      return `void *${declarator}`;
    case "bytes":
      return `unsigned char ${declarator}[${type.length}]`;
    case "array":
      return declare(type.element, `${declarator}[${type.length}]`);
    case "struct":
      return `struct ${bodyOf(type)} ${declarator}`;
  }
}
