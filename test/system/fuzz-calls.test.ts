/**
 * System calls with random arguments, thousands of them, from programs on both kernels that share files: no
 * kernel may fail, hang or leak, no program may see outside what it was given, and the file system stays whole.
 */
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import type { Archipelago } from "../../src/index.ts";
import { assemble } from "./support/assembler.ts";
import { exitWith } from "./support/programs.ts";
import { arena, arenaEnd, encodeRecord, pokeCall, puppet, puppetCalls } from "./support/puppet.ts";
import {
  assertRootClean,
  assertSameUsage,
  bootForTest,
  now_ms,
  pause,
  type TestSystem,
  within,
} from "./support/system.ts";

const seed = Number(process.env.FUZZ_SEED ?? 20261121);
const callsPerProcess = 500;
const processes = Number(process.env.FUZZ_PROCESSES ?? 24);

/** Names that calls are tried with: inside, outside, odd, long. */
const names = [
  ".",
  "..",
  "/",
  "a",
  "b",
  "dir",
  "dir/a",
  "dir/..",
  "dir/../../secret",
  "../secret",
  "/secret",
  "/tmp/fuzz/a",
  "link",
  "link/a",
  "up",
  "up/secret",
  "dir/",
  "a/",
  "",
  "a\0b",
  "x".repeat(255),
  "x".repeat(256),
  "d/".repeat(600),
  "\u00e9\u{1f30a}",
];
const nameAt: { address: number; length: number }[] = [];

let started: TestSystem;
let system: Archipelago;

class Random {
  private state: number;

  constructor(start: number) {
    this.state = start >>> 0;
  }

  below(limit: number): number {
    this.state = (Math.imul(this.state, 1664525) + 1013904223) >>> 0;
    return Math.floor((this.state / 2 ** 32) * limit);
  }

  of<T>(values: readonly T[]): T {
    return values[this.below(values.length)];
  }
}

before(async () => {
  started = await bootForTest();
  system = started.system;
  const data: Record<number, Uint8Array> = {};
  let address = arena;
  for (const name of names) {
    const bytes = new TextEncoder().encode(name);
    data[address] = bytes;
    nameAt.push({ address, length: bytes.length });
    address += bytes.length + 8;
  }
  assert.ok(address < vectorsAt);
  const tables = new DataView(new ArrayBuffer(scratch - vectorsAt));
  for (let n = 0; n < 4; n++) {
    tables.setUint32(8 * n, scratch + 5000 * n, true);
    tables.setUint32(8 * n + 4, [100, 5000, 0, 40_000][n], true);
  }
  // A clock that is due at once, reading from and writing to descriptor 5.
  for (const [n, kind] of [0, 1, 2].entries()) {
    const at = subscriptionsAt - vectorsAt + 48 * n;
    tables.setUint8(at + 8, kind);
    tables.setUint32(at + 16, kind === 0 ? 1 : 5, true);
    tables.setUint32(at + 24, 1000, true);
  }
  for (const [n, bytes] of addresses.entries()) {
    new Uint8Array(tables.buffer).set(bytes, addressesAt - vectorsAt + 8 * n);
  }
  data[vectorsAt] = new Uint8Array(tables.buffer);
  started.install("puppet", puppet(data));
  started.install("exit", exitWith(0));
  system.files.makeDirectory("/tmp/fuzz/dir", { recursive: true });
  system.files.write("/secret", "nobody may change this");
});
after(() => started[Symbol.asyncDispose]());

/**
 * What stands in each parameter of a call when a program means it: a letter each, `P` for the two of a path.
 * F descriptor, G one above the standard streams, D directory, V vectors (and their count), B buffer, L length,
 * A address of a socket, n flags of a message, y, z and d family, type and protocol of a socket, R place for a result, O offset, S size, T time, H rights, a flags, c clock, w whence, s signal, o ways to open, U subscriptions
 * (and place for events and their count).
 */
const meanings: Readonly<Record<string, string>> = {
  "wasix_32v1.proc_id": "R",
  "wasix_32v1.proc_signal": "Gs",
  "wasix_32v1.fd_pipe": "RR",
  "wasix_32v1.sock_open": "yzdR",
  "wasix_32v1.sock_bind": "GA",
  "wasix_32v1.sock_connect": "GA",
  "wasix_32v1.sock_send_to": "GVnAR",
  "wasix_32v1.sock_recv_from": "GVnRRB",
  "wasix_32v1.sock_addr_local": "GB",
  "wasix_32v1.sock_addr_peer": "GB",
  "wasix_32v1.sock_status": "GB",
  args_get: "BB",
  args_sizes_get: "RR",
  environ_get: "BB",
  environ_sizes_get: "RR",
  clock_res_get: "cR",
  clock_time_get: "cOR",
  fd_advise: "FOOa",
  fd_allocate: "FOS",
  fd_close: "G",
  fd_datasync: "F",
  fd_fdstat_get: "FB",
  fd_fdstat_set_flags: "Ga",
  fd_fdstat_set_rights: "GHH",
  fd_filestat_get: "FB",
  fd_filestat_set_size: "FS",
  fd_filestat_set_times: "FTTa",
  fd_pread: "FVOR",
  fd_prestat_get: "FB",
  fd_prestat_dir_name: "FBL",
  fd_pwrite: "GVOR",
  fd_read: "GVR",
  fd_readdir: "FBLOR",
  fd_renumber: "GG",
  fd_seek: "FOwR",
  fd_sync: "F",
  fd_tell: "FR",
  fd_write: "GVR",
  path_create_directory: "DP",
  path_filestat_get: "DaPB",
  path_filestat_set_times: "DaPTTa",
  path_link: "DaPDP",
  path_open: "DaPoHHaR",
  path_readlink: "DPBLR",
  path_remove_directory: "DP",
  path_rename: "DPDP",
  path_symlink: "PDP",
  path_unlink_file: "DP",
  poll_oneoff: "UR",
  proc_raise: "s",
  random_get: "BL",
  sched_yield: "",
  sock_accept: "GaR",
  sock_recv: "GVaRR",
  sock_send: "GVaR",
  sock_shutdown: "Ga",
};

/** Where the puppet has vectors and subscriptions ready, and a region for buffers and results. */
const vectorsAt = arena + 6144;
const subscriptionsAt = arena + 7168;
const addressesAt = arena + 7680;
const scratch = arena + 8192;
/** Tag, port and address each, as `__wasi_addr_port_t` has them. */
const addresses = [
  [1, 0, 0, 0, 0, 0, 0, 0],
  [1, 0, 1, 40, 127, 0, 0, 1],
  [1, 0, 2, 40, 0, 0, 0, 0],
  [1, 0, 1, 40, 10, 0, 0, 1],
  [1, 0, 1, 40, 8, 8, 8, 8],
  [0, 0, 0, 0, 0, 0, 0, 0],
  [2, 0, 1, 40, 0, 0, 0, 0],
];
const scratch_bytes = 100_000;

/** An argument that nobody means. */
function nonsense(random: Random): bigint {
  switch (random.below(5)) {
    case 0:
      return BigInt(arenaEnd - random.below(64));
    case 1:
      return random.of([
        0n,
        0xffffffffn,
        0x80000000n,
        0x7fffffffn,
        0xfffffffcn,
        256n,
        -1n,
        1n << 63n,
        (1n << 53n) + 1n,
      ]);
    case 2:
      return BigInt(1 << random.below(20));
    case 3:
      return BigInt(random.below(300_000));
    default:
      return BigInt(random.below(16));
  }
}

/** One argument or several, as a program would mean them. */
function meant(letter: string, random: Random): bigint[] {
  switch (letter) {
    case "F":
      return [BigInt(random.below(10))];
    case "G":
      return [BigInt(random.below(20) === 0 ? 3 : 4 + random.below(6))];
    case "D":
      return [BigInt(random.below(4) === 0 ? 3 + random.below(6) : 3)];
    case "P": {
      const { address, length } = random.of(nameAt);
      return [BigInt(address), BigInt(length)];
    }
    case "V":
      return [BigInt(vectorsAt), BigInt(random.below(4))];
    case "B":
    case "R":
      return [BigInt(scratch + 8 * random.below(scratch_bytes / 8))];
    case "L":
      return [BigInt(random.below(5000))];
    case "O":
      return [BigInt(random.below(random.of([10, 5000, 1 << 20, 1 << 30])))];
    case "S":
      return [BigInt(random.below(200_000))];
    case "T":
      return [BigInt(random.below(1 << 30)) * 1_000_000_000n];
    case "H":
      return [random.of([0n, 0xfffffffn, 0xfffffffn, 0x42n, 0xfffffffn & (1n << BigInt(random.below(28)))])];
    case "c":
    case "w":
      return [BigInt(random.below(4))];
    case "s":
      return [0n];
    case "A":
      return [BigInt(addressesAt + 8 * random.below(addresses.length))];
    case "n":
      return [random.of([0n, 0n, 1n, 8n])];
    case "y":
      return [BigInt(random.of([1, 1, 1, random.below(5)]))];
    case "z":
      return [BigInt(random.of([2, 2, 2, random.below(5)]))];
    case "d":
      return [random.of([0n, 17n, 17n, 6n])];
    case "U":
      return [BigInt(subscriptionsAt), BigInt(scratch + 8 * random.below(1000)), BigInt(1 + random.below(3))];
    case "o":
      return [BigInt(random.of([0, 0, 1, 1, 1, 2, 9, random.below(16)]))];
    default:
      return [BigInt(random.below(random.of([1, 2, 2, 16])))];
  }
}

/** A record for the puppet, and the name of its call. */
interface Call {
  readonly name: string;
  readonly record: Uint8Array;
}

/** A call with arguments: mostly such as a program would mean, and some that nobody would. */
function randomCall(random: Random): Call {
  if (random.below(10) === 0) {
    const target = random.of([vectorsAt, subscriptionsAt, scratch]) + 8 * random.below(16);
    const value = BigInt(scratch + random.below(scratch_bytes)) | (BigInt(random.below(9000)) << 32n);
    const poked = random.below(4) === 0 ? nonsense(random) | (nonsense(random) << 32n) : value;
    return { name: "poke", record: encodeRecord(pokeCall, [BigInt(target), poked]) };
  }
  const name =
    random.below(3) === 0 ? random.of(["path_open", "fd_write", "fd_read"]) : random.of(puppetCalls);
  const args = [...meanings[name]].flatMap((letter) => meant(letter, random));
  for (const index of args.keys()) {
    if (random.below(12) !== 0) continue;
    args[index] = nonsense(random);
    // A file of many gigabytes is allowed, but takes the rest of the test to be removed.
    if (name === "fd_filestat_set_size" || name === "fd_allocate") args[index] &= 0xfffffn;
  }
  return { name, record: encodeRecord(puppetCalls.indexOf(name), args) };
}

/** How often each call was made, and how often it succeeded. */
const made = new Map<string, { calls: number; successes: number }>();

function record(name: string, result: number): void {
  const { calls, successes } = made.get(name) ?? { calls: 0, successes: 0 };
  made.set(name, { calls: calls + 1, successes: successes + (result === 0 ? 1 : 0) });
}

/** Feeds a puppet until it ends, and kills it when a call blocks for good. */
async function play(random: Random, kernel: number): Promise<void> {
  const process = await system.spawn("/tmp/puppet.wasm", ["one", "two"], {
    kernel,
    stdout: "null",
    directories: { "/": "/tmp/fuzz" },
    memory_bytes: 1 << 20,
  });
  let answered_ms = now_ms();
  let ended = false;
  const watching = (async () => {
    for (; !ended; await pause(20)) if (now_ms() - answered_ms > 100) process.kill(9);
  })();
  const calls: Call[] = [];
  const answers = (async () => {
    for await (const chunk of process.stderr ?? []) {
      answered_ms = now_ms();
      const results = new DataView(chunk.buffer, chunk.byteOffset, chunk.length & ~3);
      for (let at = 0; at < results.byteLength; at += 4)
        record(calls.shift()?.name ?? "more", results.getUint32(at, true));
    }
  })();
  const writer = process.stdin?.getWriter();
  const feeding = (async () => {
    for (let n = 0; n < callsPerProcess; n++) {
      const call = randomCall(random);
      calls.push(call);
      await writer?.write(call.record);
    }
    await writer?.close();
  })().catch(() => undefined);
  const status = await within(20_000, `a puppet of seed ${seed}`, process.wait());
  ended = true;
  await Promise.all([answers, feeding, watching]);
  assert.notEqual(status.signal, 31, `seed ${seed}: ${status.message}`);
}

test("random calls on both kernels at once, in a directory they share", async () => {
  for (const kernel of [0, 1]) await system.run("/tmp/exit.wasm", [], { kernel });
  await play(new Random(seed), 0);
  const before = system.usage();
  let next = 0;
  const player = async (kernel: number) => {
    while (next < processes) await play(new Random(seed + ++next * 7919), kernel);
  };
  await Promise.all([player(0), player(1), player(0), player(1)]);
  await pause(20);
  const total = [...made.values()].reduce((sum, { calls }) => sum + calls, 0);
  if (process.env.FUZZ_REPORT !== undefined) console.table(Object.fromEntries(made));
  assert.ok(total > processes * 60, `only ${total} calls were answered`);
  const successful = [...made.values()].filter(({ successes }) => successes > 0).length;
  assert.ok(successful > 35, `only ${successful} calls ever succeeded`);
  assert.equal(system.files.readText("/secret"), "nobody may change this", `seed ${seed}`);
  assert.deepEqual(
    system.files.list("/").filter(({ name }) => name === "secret" || name === "a" || name === "b"),
    [{ name: "secret", type: "file" }],
    `seed ${seed}: something was made outside of the directory`,
  );
  // What the programs left in their directory stays; everything else must be as before.
  const { freeBlocks, freeInodes } = system.usage();
  await assertSameUsage(system, { ...before, freeBlocks, freeInodes }, `seed ${seed}`);
  assertRootClean(system, `after random calls of seed ${seed}`);
});

test("what random calls left can be removed, and the space comes back", async () => {
  const remove = (path: string): void => {
    for (const { name, type } of system.files.list(path)) {
      if (type === "directory") remove(`${path}/${name}`);
      else system.files.remove(`${path}/${name}`);
    }
    system.files.remove(path);
  };
  remove("/tmp/fuzz");
  assertRootClean(system, "after everything was removed");
  assert.equal((await system.run("/tmp/exit.wasm")).exitCode, 0);
});

test("calls on descriptors that were closed, renumbered and opened again", async () => {
  // All 256 descriptors, over and over, until none is left; then the process ends and gives all of them back.
  const hoard = assemble({
    locals: "ii",
    code: `
      loop
        i32.const 4 i32.const 0 i32.const 64 i32.const 3 i32.const 0
        i64.const 16384 i64.const 0 i32.const 0 i32.const 16 call path_open
        local.tee 0 i32.eqz br_if 0
      end
      local.get 0 call proc_exit`,
    data: { 64: "tmp" },
  });
  const path = started.install("hoard", hoard);
  await system.run(path);
  const before = system.usage();
  const EMFILE = 33;
  const results = await Promise.all([0, 1, 0, 1].map((kernel) => system.run(path, [], { kernel })));
  assert.deepEqual(
    results.map(({ exitCode }) => exitCode),
    [EMFILE, EMFILE, EMFILE, EMFILE],
  );
  await assertSameUsage(system, before, "hoards");
});
