/** The compiler and the linker run inside the system, and what they make runs too. */
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import type { Archipelago, RunResult } from "../../src/index.ts";
import { assertSameUsage, bootForTest, pause, type TestSystem, within } from "./support/system.ts";

let started: TestSystem;
let system: Archipelago;

before(async () => {
  started = await bootForTest({ rootSize_bytes: 256 * 1024 * 1024 });
  system = started.system;
});
after(() => started[Symbol.asyncDispose]());

function run(
  program: string,
  args: readonly string[],
  options: Parameters<Archipelago["run"]>[2] = {},
): Promise<RunResult> {
  return within(120_000, program, system.run(program, args, options));
}

test("clang compiles C on one kernel; the program runs on both", async () => {
  system.files.write(
    "/home/hello.c",
    `
    #include <stdio.h>
    #include <stdlib.h>
    #include <string.h>
    static int compare(const void *a, const void *b) { return *(const int *)a - *(const int *)b; }
    int main(int argc, char **argv) {
      int numbers[100], count = 0;
      while (count < 100 && scanf("%d", &numbers[count]) == 1) count++;
      qsort(numbers, count, sizeof *numbers, compare);
      for (int i = 0; i < count; i++) printf("%d ", numbers[i]);
      printf("%s\\n", argc > 1 ? argv[1] : "none");
      FILE *file = fopen("/home/from-c.txt", "w");
      if (!file) return 1;
      fprintf(file, "%d numbers", count);
      fclose(file);
      return count;
    }`,
  );
  const compiled = await run("clang", ["-O2", "/home/hello.c", "-o", "/home/hello.wasm"], { kernel: 1 });
  assert.equal(compiled.exitCode, 0, compiled.stderr + compiled.message);
  for (const kernel of [0, 1]) {
    const result = await run("/home/hello.wasm", ["word"], { kernel, input: "5 3 11 -2" });
    assert.equal(result.stdout, "-2 3 5 11 word\n", result.stderr + result.message);
    assert.equal(result.exitCode, 4);
    assert.equal(system.files.readText("/home/from-c.txt"), "4 numbers");
  }
});

test("compiling leaves nothing in use, and no object files beside the program", async () => {
  system.files.makeDirectory("/home/clean", { recursive: true });
  system.files.write("/home/clean/main.c", "int main(void) { return 21 * 2; }");
  await run("clang", ["main.c", "-o", "main.wasm"], { workingDirectory: "/home/clean" });
  const before = system.usage();
  for (const output of ["main.wasm", "/home/clean/main.wasm"]) {
    const { exitCode, stderr } = await run("clang", ["main.c", "-o", output], {
      workingDirectory: "/home/clean",
      kernel: 0,
    });
    assert.equal(exitCode, 0, stderr);
  }
  const files = system.files.list("/home/clean").map(({ name }) => name);
  assert.deepEqual(files, ["main.c", "main.wasm"]);
  assert.equal((await run("/home/clean/main.wasm", [])).exitCode, 42);
  await assertSameUsage(system, { ...before, openFiles: system.usage().openFiles }, "compiling");
});

test("a mistake in a program is reported, and nothing is linked", async () => {
  system.files.write("/home/bad.c", "int main(void) { return undeclared; }");
  const { exitCode, stderr } = await run("clang", ["/home/bad.c", "-o", "/home/bad.wasm"]);
  assert.notEqual(exitCode, 0);
  assert.match(stderr, /undeclared/);
  assert.equal(system.files.exists("/home/bad.wasm"), false);
});

test("several files, one of them compiled apart, and C++", async () => {
  system.files.write("/home/one.c", "int two(void); int main(void) { return two() + 1; }");
  system.files.write("/home/two.c", "int two(void) { return 2; }");
  assert.equal((await run("clang", ["-c", "/home/two.c", "-o", "/home/two.o"])).exitCode, 0);
  const linked = await run("clang", ["/home/one.c", "/home/two.o", "-o", "/home/three.wasm"], { kernel: 1 });
  assert.equal(linked.exitCode, 0, linked.stderr);
  assert.equal((await run("/home/three.wasm", [])).exitCode, 3);
  system.files.write(
    "/home/plus.cpp",
    '#include <vector>\n#include <string>\n#include <iostream>\nint main() { std::vector<std::string> v{"a", "b"}; std::string s; for (auto &x : v) s += x; std::cout << s << v.size() << std::endl; }',
  );
  const plus = await run("clang++", ["/home/plus.cpp", "-o", "/home/plus.wasm"], { kernel: 1 });
  assert.equal(plus.exitCode, 0, plus.stderr);
  assert.equal((await run("/home/plus.wasm", [])).stdout, "ab2\n");
});

test("a compiler that is killed goes no further", async () => {
  const process = await system.spawn("clang", ["/home/hello.c", "-o", "/home/killed.wasm"], {
    stdin: "null",
  });
  await pause(30);
  process.kill();
  const status = await within(20_000, "end", process.wait());
  assert.equal(status.signal, 9);
  assert.equal(system.files.exists("/home/killed.wasm"), false);
});

test("recursion without loops, compiled from C, can be interrupted", async () => {
  system.files.write(
    "/home/fib.c",
    '#include <stdio.h>\n__attribute__((noinline)) int fib(int n) { return n < 2 ? n : fib(n - 1) + fib(n - 2); }\nint main(void) { puts("on"); fflush(stdout); return fib(60) & 1; }',
  );
  assert.equal((await run("clang", ["-O1", "/home/fib.c", "-o", "/home/fib.wasm"])).exitCode, 0);
  const process = await system.spawn("/home/fib.wasm", [], {
    kernel: 0,
    stdin: "null",
    stdout: "null",
    stderr: "null",
  });
  const neighbour = await within(10_000, "a neighbour", system.run("echo", ["still here"], { kernel: 0 }));
  assert.equal(neighbour.stdout, "still here\n");
  process.kill(15);
  assert.equal((await within(5_000, "end", process.wait())).exitCode, 143);
});
