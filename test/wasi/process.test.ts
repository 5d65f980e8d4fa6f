/** Arguments, clocks, randomness and the process itself; and what programs are linked with. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { errno } from "../../src/kernel/errno.ts";
import { DIED } from "../../src/kernel/wait.ts";
import { wasiFunctions } from "../../src/wasi/functions.ts";
import { WasiCalls, type WasiServices } from "../../src/wasi/index.ts";
import { Harness, lastWord, preview1Name, unstableName } from "./harness.ts";

test("arguments and environment", () => {
  const h = new Harness({ arguments: ["program", "", "grüße"], environment: ["A=1", "PATH=/bin"] });
  for (const [sizes, get, expected] of [
    ["args_sizes_get", "args_get", ["program", "", "grüße"]],
    ["environ_sizes_get", "environ_get", ["A=1", "PATH=/bin"]],
  ] as const) {
    const count = h.room(4);
    const bytes = h.room(4);
    assert.equal(h.call(sizes, count, bytes), 0);
    assert.equal(h.u32(count), expected.length);
    const pointers = h.room(4 * expected.length);
    const strings = h.room(h.u32(bytes) + 1);
    h.process.bytes.fill(0xee, strings, strings + h.u32(bytes) + 1);
    assert.equal(h.call(get, pointers, strings), 0);
    const found = expected.map((_, n) => {
      const at = h.u32(pointers + 4 * n);
      return h.string(at, h.process.bytes.indexOf(0, at) - at);
    });
    assert.deepEqual(found, expected);
    assert.equal(h.u8(strings + h.u32(bytes) - 1), 0);
    assert.equal(h.u8(strings + h.u32(bytes)), 0xee, "nothing beyond");
    assert.equal(h.call(sizes, -2, bytes), errno.FAULT);
    assert.equal(h.call(sizes, count, -2), errno.FAULT);
    assert.equal(h.call(get, pointers, lastWord), errno.FAULT);
    assert.equal(h.call(get, lastWord, strings), errno.FAULT);
  }
  h.close();
});

test("an empty environment is no error, wherever the pointers point", () => {
  const h = new Harness();
  assert.equal(h.call("environ_get", lastWord + 4, lastWord + 4), 0);
  assert.equal(h.call("args_get", 0, 0), 0);
  h.close();
});

test("clocks", () => {
  const h = new Harness();
  const at = h.room(8);
  const time = (id: number): number => {
    const failure = h.call("clock_time_get", id, 0, at);
    return failure === 0 ? h.u64(at) : -failure;
  };
  assert.equal(time(0), 1.7e18);
  assert.equal(time(1), 1e9);
  assert.equal(time(2), 123_456);
  assert.equal(time(3), 123_456);
  assert.equal(time(4), -errno.INVAL);
  assert.equal(time(-1), -errno.INVAL);
  h.now.monotonic_ns = 2 ** 53 + 1024.5;
  assert.equal(time(1), 2 ** 53 + 1024);
  assert.equal(h.call("clock_time_get", 1, 2n ** 64n - 1n, at), 0);
  assert.equal(h.call("clock_time_get", 1, 0, lastWord), errno.FAULT);
  for (const id of [0, 1, 2, 3]) {
    assert.equal(h.call("clock_res_get", id, at), 0);
    assert.ok(h.u64(at) >= 1 && h.u64(at) <= 256);
  }
  assert.equal(h.call("clock_res_get", 4, at), errno.INVAL);
  assert.equal(h.call("clock_res_get", 0, lastWord), errno.FAULT);
  h.close();
});

test("random bytes fill exactly what was asked for", () => {
  const h = new Harness();
  const at = h.room(10_000);
  for (const length of [0, 1, 1023, 1024, 1025, 5000]) {
    h.process.bytes.fill(0, at, at + 10_000);
    assert.equal(h.call("random_get", at, length), 0);
    const filled = h.process.bytes.subarray(at, at + 10_000);
    assert.ok(filled.subarray(length).every((byte) => byte === 0));
    if (length > 100) assert.ok(new Set(filled.subarray(0, length)).size > 50);
  }
  assert.equal(h.call("random_get", lastWord, 5), errno.FAULT);
  assert.equal(h.call("random_get", 0, -1), errno.FAULT);
  h.close();
});

test("ending and signals", () => {
  const h = new Harness();
  assert.equal(h.call("proc_exit", 42), DIED);
  assert.equal(h.exitCode, 42);
  const other = new Harness();
  assert.equal(other.call("proc_raise", 0), 0);
  assert.equal(other.call("proc_raise", 31), errno.INVAL);
  assert.equal(other.call("proc_raise", -1), errno.INVAL);
  assert.equal(other.call("proc_raise", 15), DIED);
  assert.deepEqual(other.raised, [15]);
});

test("the memory may grow between calls", () => {
  const h = new Harness();
  const grown = new SharedArrayBuffer(1 << 21);
  assert.equal(h.call("clock_time_get", 1, 0, 1 << 20), errno.FAULT);
  new Uint8Array(grown).set(h.process.bytes);
  h.process.bytes = new Uint8Array(grown);
  assert.equal(h.call("clock_time_get", 1, 0, 1 << 20), 0);
  assert.equal(new DataView(grown).getBigUint64(1 << 20, true), 1_000_000_000n);
  h.close();
});

test("unknown functions say ENOSYS, and other modules are left alone", () => {
  const h = new Harness();
  const services = {} as WasiServices;
  const table = new WasiCalls(services).imports([
    { module: preview1Name, name: "sock_open" },
    { module: preview1Name, name: "constructor" },
    { module: preview1Name, name: "__proto__" },
    { module: unstableName, name: "sock_accept" },
    { module: "host_process", name: "proc_spawn" },
    { module: "env", name: "memory_thing" },
    { module: preview1Name, name: "fd_write", params: ["i32", "i32", "i32", "i64"], results: ["i32"] },
    { module: preview1Name, name: "fd_read", params: ["i32", "i32", "i32", "i32"], results: ["i64"] },
    { module: preview1Name, name: "strange", params: ["v128"], results: ["i32"] },
  ]);
  assert.deepEqual(Object.keys(table).sort(), ["host_process", preview1Name, unstableName]);
  for (const name of ["sock_open", "constructor", "__proto__", "fd_write"]) {
    assert.equal(table[preview1Name][name](), errno.NOSYS, name);
  }
  assert.equal(table[unstableName].sock_accept(), errno.NOSYS);
  assert.equal(table.host_process.proc_spawn(), errno.NOSYS);
  assert.equal(Object.hasOwn(table[preview1Name], "fd_read"), false, "no errno fits its type");
  assert.equal(Object.hasOwn(table[preview1Name], "strange"), false);
  h.close();
});

test("every function of the specification is there, with its type", () => {
  // From the C header: i for 32 bits, l for 64.
  const specification = `args_get ii, args_sizes_get ii, environ_get ii, environ_sizes_get ii, clock_res_get ii,
    clock_time_get ili, fd_advise illi, fd_allocate ill, fd_close i, fd_datasync i, fd_fdstat_get ii,
    fd_fdstat_set_flags ii, fd_fdstat_set_rights ill, fd_filestat_get ii, fd_filestat_set_size il,
    fd_filestat_set_times illi, fd_pread iiili, fd_prestat_get ii, fd_prestat_dir_name iii, fd_pwrite iiili,
    fd_read iiii, fd_readdir iiili, fd_renumber ii, fd_seek ilii, fd_sync i, fd_tell ii, fd_write iiii,
    path_create_directory iii, path_filestat_get iiiii, path_filestat_set_times iiiilli, path_link iiiiiii,
    path_open iiiiillii, path_readlink iiiiii, path_remove_directory iii, path_rename iiiiii, path_symlink iiiii,
    path_unlink_file iii, poll_oneoff iiii, proc_exit i, proc_raise i, random_get ii, sched_yield, sock_accept iii,
    sock_recv iiiiii, sock_send iiiii, sock_shutdown ii`;
  const expected = new Map(
    specification.split(",").map((entry) => {
      const [name, parameters] = entry.trim().split(" ");
      return [name, parameters ?? ""] as const;
    }),
  );
  assert.deepEqual(
    new Map(Object.entries(wasiFunctions).map(([name, one]) => [name, one.parameters])),
    expected,
  );
  const h = new Harness();
  for (const [name, letters] of expected) {
    const params = [...letters].flatMap((letter) => (letter === "i" ? "i32" : ["i32", "i32"]));
    const results = name === "proc_exit" ? [] : ["i32"];
    const table = new WasiCalls({} as WasiServices).imports([
      { module: preview1Name, name, params, results },
    ]);
    assert.notEqual(table[preview1Name][name].name, "noSystemCall", name);
  }
  h.close();
});
