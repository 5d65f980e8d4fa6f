import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { findProgram, type ProgramEntry, programs, UsageError } from "../../src/programs/catalogue.ts";

const piped = { stdinIsTerminal: false };

function entry(name: string): ProgramEntry {
  const found = findProgram(name);
  assert.ok(found, name);
  return found;
}

function words(name: string, ...given: string[]): (readonly string[])[] {
  return entry(name)
    .commands(given, piped)
    .map((command) => [command.program, ...command.arguments]);
}

/** Functions besides WASI that the system offers to programs, some of which may answer ENOSYS. */
const offered = /^(wasi_snapshot_preview1|wasi_unstable|host_fs|host_user|host_process)$/;

test("every program of the catalogue is installed, and imports nothing the system does not know", async () => {
  for (const program of programs()) {
    const module = await WebAssembly.compile(readFileSync(program.wasmPath()));
    for (const { module: from, name } of WebAssembly.Module.imports(module)) {
      assert.match(from, offered, `${program.name} imports ${from}.${name}`);
    }
    assert.ok(program.size_bytes() > 1000);
    assert.ok(program.license !== "" && program.summary !== "" && program.upstream !== "");
  }
});

test("names are unique and sorted", () => {
  const names = programs().map((program) => program.name);
  assert.deepEqual(names, [...new Set(names)].sort());
  for (const name of [
    "sqlite3",
    "python3",
    "php",
    "ruby",
    "qjs",
    "clang",
    "wasm-ld",
    "ls",
    "grep",
    "jq",
    "rg",
  ]) {
    assert.ok(names.includes(name), name);
  }
  assert.equal(findProgram("nothing"), undefined);
  assert.equal(findProgram("sort"), undefined, "its build needs threads that it cannot have");
});

test("support files are absolute, complete, and end with the marker", () => {
  for (const [name, wanted] of [
    ["python3", "/usr/local/lib/python311.zip"],
    ["clang", "/usr/share/wasi-sysroot/include/stdio.h"],
    ["wasm-ld", "/usr/share/wasi-sysroot/lib/wasm32-wasi/libc.a"],
    ["clang++", "/usr/share/wasi-sysroot/include/c++/v1/vector"],
  ]) {
    const program = entry(name);
    const files = program.support();
    assert.equal(files.at(-1)?.path, program.supportMarker);
    assert.ok((files.find((file) => file.path === wanted)?.data.length ?? 0) > 1000, wanted);
    for (const { path, mode } of files) {
      assert.match(path, /^\/usr\/(?!.*(^|\/)\.\.?(\/|$))/);
      assert.ok(mode === 0o644 || mode === 0o755);
    }
    assert.equal(new Set(files.map((file) => file.path)).size, files.length);
  }
  assert.deepEqual(entry("ls").support(), []);
  assert.equal(entry("ls").supportMarker, undefined);
  assert.equal(entry("clang").supportMarker, entry("wasm-ld").supportMarker, "one sysroot for all three");
});

test("programs get the words they need in front of the user's", () => {
  assert.deepEqual(words("sqlite3", "a.db"), [["sqlite3", "-batch", "a.db"]]);
  assert.deepEqual(entry("sqlite3").commands([], { stdinIsTerminal: true })[0].arguments, []);
  assert.deepEqual(words("php", "x.php")[0].slice(0, 2), ["php", "-q"]);
  assert.deepEqual(words("python3", "-c", "1"), [["python3", "-c", "1"]]);
  assert.deepEqual(words("ls", "-l"), [["ls", "-l"]]);
});

test("clang compiles and links as its driver would", () => {
  const [compile, link, clean, ...rest] = words(
    "clang",
    "a.c",
    "-O2",
    "-o",
    "dir/a.wasm",
    "-lfoo",
    "-Wall",
    "-DX=1",
    "-I",
    "inc",
  );
  assert.equal(rest.length, 0);
  assert.deepEqual(compile.slice(0, 2), ["clang", "-cc1"]);
  const text = compile.join(" ");
  for (const part of ["-emit-obj", "-O2 -Wall -D X=1 -I inc", "-x c -o dir/a.wasm.0.o a.c"]) {
    assert.ok(text.includes(part), `${part} in ${text}`);
  }
  assert.ok(link.join(" ").includes("crt1.o dir/a.wasm.0.o -lfoo -lc "));
  assert.deepEqual(link.slice(-2), ["-o", "dir/a.wasm"]);
  assert.deepEqual(clean, ["rm", "-f", "dir/a.wasm.0.o"]);
  assert.equal(entry("clang").commands(["a.c"], piped)[2].cleanup, true);
});

test("clang stops where it is told to", () => {
  assert.deepEqual(
    words("clang", "-c", "src/a.c").map((command) => command.slice(-3)),
    [["-o", "a.o", "src/a.c"]],
  );
  assert.deepEqual(
    words("clang", "-c", "a.c", "b.cc").map((command) => command.slice(-5)),
    [
      ["-x", "c", "-o", "a.o", "a.c"],
      ["-x", "c++", "-o", "b.o", "b.cc"],
    ],
  );
  assert.ok(words("clang", "-S", "a.c", "-o", "-")[0].includes("-S"));
  assert.deepEqual(words("clang", "-E", "a.c")[0].slice(-3), ["-o", "-", "a.c"]);
  assert.ok(!words("clang", "-fsyntax-only", "a.c")[0].includes("-o"));
  assert.deepEqual(words("clang", "-xc++", "-c", "a.inc")[0].slice(-1), ["a.inc"]);
  assert.deepEqual(words("clang", "a.o", "b.a")[0].slice(0, 2), ["wasm-ld", "--no-threads"]);
  assert.deepEqual(words("clang", "--version"), [["clang", "--version"]]);
  assert.deepEqual(words("clang", "-cc1", "-version"), [["clang", "-cc1", "-version"]]);
});

test("clang++ takes C files for C++ and links its library", () => {
  const [compile, link] = words("clang++", "a.c");
  assert.ok(compile.join(" ").includes("/include/c++/v1"));
  assert.ok(link.includes("-lc++"));
  assert.equal(link.at(-1), "a.wasm");
});

test("clang refuses words that make no sense", () => {
  for (const given of [
    [],
    ["-c"],
    ["-O2"],
    ["-o"],
    ["a.c", "-o"],
    ["-c", "a.c", "b.c", "-o", "x"],
    ["a.rs"],
    ["-c", "-"],
  ]) {
    assert.throws(() => entry("clang").commands(given, piped), UsageError, given.join(" "));
  }
});
