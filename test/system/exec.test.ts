/** WASIX calls that concern processes: pid, signals, pipes, and `exec`. */
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import type { Archipelago } from "../../src/index.ts";
import { assemble } from "./support/assembler.ts";
import { bootOnMachine } from "./support/system.ts";

let system: Archipelago;
before(async () => {
  system = await bootOnMachine({ cacheDirectory: false });
});
after(() => system.shutdown());

/** A program that replaces itself by `name` with arguments, one a line. */
function executing(name: string, args: string): Uint8Array {
  const code = `i32.const 1024 i32.const ${name.length} i32.const 2048 i32.const ${args.length}
    call wasix_32v1.proc_exec i32.const 9 call proc_exit`;
  return assemble({ code, data: { 1024: name, 2048: args } });
}

test("exec replaces the program: same pid, same descriptors, new arguments", async () => {
  system.files.write("/tmp/exec.wasm", executing("/bin/tr", "tr\na-z\nA-Z"), 0o755);
  const process = await system.spawn("/tmp/exec.wasm", [], { kernel: 1 });
  const { pid } = process;
  const writer = process.stdin?.getWriter();
  await writer?.write(new TextEncoder().encode("hello"));
  await writer?.close();
  assert.equal(await new Response(process.stdout).text(), "HELLO");
  assert.equal((await process.wait()).exitCode, 0);
  assert.equal(process.pid, pid);
});

test("exec again and again, and the last program's exit code counts", async () => {
  system.files.write("/tmp/last.wasm", assemble({ code: "i32.const 5 call proc_exit" }), 0o755);
  system.files.write("/tmp/middle.wasm", executing("/tmp/last.wasm", "last"), 0o755);
  system.files.write("/tmp/first.wasm", executing("/tmp/middle.wasm", "middle"), 0o755);
  assert.equal((await system.run("/tmp/first.wasm")).exitCode, 5);
});

test("exec of what is not there, outside the directories, or no program", async () => {
  system.files.write("/tmp/none.wasm", executing("/tmp/not-there", "x"), 0o755);
  assert.equal((await system.run("/tmp/none.wasm")).exitCode, 127);
  const jailed = { directories: { "/": "/tmp" } };
  assert.equal((await system.run("/tmp/exec.wasm", [], jailed)).exitCode, 127, "/bin is not in the jail");
  system.files.write("/tmp/text", "not a program");
  system.files.write("/tmp/bad.wasm", executing("/tmp/text", "x"), 0o755);
  const bad = await system.run("/tmp/bad.wasm");
  assert.equal(bad.exitCode, 126);
  assert.match(bad.message, /text/);
});

test("a pipe of one's own", async () => {
  const pipe = `i32.const 64 i32.const 68 call wasix_32v1.fd_pipe
    i32.const 68 i32.load i32.const 80 i32.const 1 i32.const 96 call fd_write drop
    i32.const 64 i32.load i32.const 88 i32.const 1 i32.const 96 call fd_read drop
    i32.const 200 i32.load8_u i32.add call proc_exit`;
  const words = new Uint8Array(new Uint32Array([100, 1, 200, 1]).buffer);
  system.files.write("/tmp/pipe.wasm", assemble({ code: pipe, data: { 80: words, 100: "*" } }), 0o755);
  assert.equal((await system.run("/tmp/pipe.wasm")).exitCode, 42);
});

test("a program may signal itself, and no neighbour", async () => {
  const victim = await system.spawn("cat", [], { kernel: 0 });
  const code = `i32.const ${victim.pid} i32.const 15 call wasix_32v1.proc_signal
    i32.const 60000 i32.const 0 call wasix_32v1.proc_signal i32.add call proc_exit`;
  system.files.write("/tmp/kill.wasm", assemble({ code }), 0o755);
  assert.equal(
    (await system.run("/tmp/kill.wasm", [], { kernel: 1 })).exitCode,
    63 + 71,
    "EPERM for the neighbour and ESRCH for nobody",
  );
  assert.equal(victim.kill(), true, "it is still there");
  await victim.wait();
  const self =
    "i32.const 0 call wasix_32v1.proc_id drop i32.const 0 i32.load i32.const 15 call wasix_32v1.proc_signal drop";
  system.files.write("/tmp/self.wasm", assemble({ code: self }), 0o755);
  assert.equal((await system.run("/tmp/self.wasm")).signal, 15);
});

test("nothing is left behind", () => {
  assert.deepEqual(system.processes(), []);
});
