/**
 * Pipes, open files, `/proc`, arguments and messages on memory in which nothing is there that was not announced: they
 * answer as on plain memory and leave the same bytes behind.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { createAreas } from "../../src/kernel/areas.ts";
import { decodeArguments, encodeArguments } from "../../src/kernel/argument-block.ts";
import { checkpointOrder, refusalOf, refuse } from "../../src/kernel/checkpoint-order.ts";
import { processState, threadState } from "../../src/kernel/state.ts";
import { WaitService } from "../../src/kernel/wait.ts";
import { Ram } from "../../src/machine/ram.ts";
import { bytes, struct, TypedMemory, u32 } from "../../src/memory/index.ts";
import {
  Endpoint,
  formatMessages,
  type Group,
  Groups,
  message,
  rawMessage,
  request,
  SharedTransport,
} from "../../src/message/index.ts";
import { Devices } from "../../src/services/device/devices.ts";
import { DeviceFileSystem } from "../../src/services/fs/devfs.ts";
import { Files } from "../../src/services/fs/files.ts";
import { Mounts } from "../../src/services/fs/mounts.ts";
import { ProcFileSystem } from "../../src/services/fs/procfs.ts";
import { ProgramFileSystem } from "../../src/services/fs/program-filesystem.ts";
import { Pages } from "../../src/services/pages/index.ts";
import { MemoryFileSystem } from "../files/memory-filesystem.ts";
import { creating, ok, reading } from "../files/rig.ts";
import { ScrambledMemory } from "./support/scrambled-memory.ts";

const areas_bytes = 64 << 20;
const pageCount = 256;

/** The file service of one kernel over an island of its own. */
function makeFiles(buffer: SharedArrayBuffer, guard: ScrambledMemory | undefined) {
  const owner = 1;
  const memory = TypedMemory.format(buffer, { byteLength: areas_bytes, guard });
  const areas = createAreas(memory);
  const pages = Pages.create(memory, { name: "pages", base: areas_bytes, count: pageCount, owner });
  const waits = new WaitService(
    { waitQueues: areas.waitQueues.records, waiters: areas.waiters, threads: areas.threads.records },
    () => {},
    owner,
  );
  const devices = new Devices();
  const programs = { names: () => ["tool"], size: () => 3, read: () => 0 };
  const clock = {
    monotonic_ns: () => 5e9,
    realtime_ns: () => 1.7e18,
    coarse_ns: () => 1.7e18,
    resolution_ns: 1,
  };
  const mounts: Mounts = new Mounts(
    areas,
    {
      ext2: { open: () => new MemoryFileSystem() },
      host: { open: () => new MemoryFileSystem() },
      device: { open: () => new DeviceFileSystem(devices, 0) },
      programs: { open: () => new ProgramFileSystem(programs, 0) },
      process: {
        open: () =>
          new ProcFileSystem({
            facts: { areas, memory, pages, mounts, clock, version: "a version" },
            snapshots: areas.snapshots,
            pages,
            owner,
          }),
      },
    },
    owner,
  );
  const ram = new Ram(buffer, guard);
  const files = new Files({ areas, ram, mounts, devices, pages, waits, owner });
  return { memory, areas, pages, mounts, files, ram };
}

/** Does the same on plain and on scrambled memory, and compares what it returns and leaves behind. */
function compare(size: number, use: (buffer: SharedArrayBuffer, guard?: ScrambledMemory) => unknown): void {
  const plain = new SharedArrayBuffer(size);
  const expected = use(plain);
  const scrambled = new ScrambledMemory(new SharedArrayBuffer(size));
  assert.deepEqual(use(scrambled.buffer, scrambled), expected);
  assert.equal(
    Buffer.compare(scrambled.contents(), new Uint8Array(plain)),
    0,
    "the same bytes are left behind",
  );
}

const pattern = (length: number, seed: number) =>
  Uint8Array.from({ length }, (_, index) => (index * 31 + seed * 7) % 251);

test("pipes touch nothing unannounced", () => {
  const step = fc.record({
    write: fc.boolean(),
    length: fc.oneof(fc.nat(100), fc.nat(9000), fc.nat(70_000)),
  });
  const [steps] = fc.sample(fc.array(step, { minLength: 60, maxLength: 60 }), { numRuns: 1, seed: 5 });
  compare(areas_bytes + pageCount * 4096, (buffer, guard) => {
    const { files } = makeFiles(buffer, guard);
    const pipe = files.makePipe();
    assert.ok(typeof pipe === "object");
    const results: unknown[] = [];
    steps.forEach(({ write, length }, seed) => {
      const data = pattern(length + 3, seed);
      results.push(
        write ? files.write(pipe.writer, data, 3, length) : files.read(pipe.reader, data, 3, length),
      );
      if (!write) results.push(data);
    });
    results.push(files.pollRead(pipe.reader), files.pollWrite(pipe.writer));
    files.release(pipe.reader);
    results.push(files.write(pipe.writer, pattern(3, 1), 0, 3));
    files.release(pipe.writer);
    return results;
  });
});

test("paths, open files and /proc touch nothing unannounced", () => {
  compare(areas_bytes + pageCount * 4096, (buffer, guard) => {
    const { memory, areas, files, mounts, pages } = makeFiles(buffer, guard);
    const results: unknown[] = [];
    ok(mounts.mountExt2("/", 0, false));
    const root = ok(files.openRoot());
    ok(files.makeDirectory(root, "proc", 0o755));
    ok(files.makeDirectory(root, "bin", 0o755));
    ok(mounts.mountProcess("/proc"));
    ok(mounts.mountPrograms("/bin"));
    const file = ok(files.openPath(root, "a file", creating));
    results.push(files.write(file, pattern(500, 1), 0, 500), files.seek(file, 5, 0));

    const slot = 7;
    const block = encodeArguments({
      program: "/bin/tool",
      arguments: ["tool", "ü"],
      environment: [],
      preopens: [],
    });
    const offset = pages.allocate(0);
    memory.write(offset, block);
    const { processes, threads } = areas;
    processes.setPid(slot, slot);
    processes.setName(slot, new TextEncoder().encode("tool"));
    processes.setArgumentOffset(slot, offset);
    const thread = threads.allocate(1);
    threads.records.setState(thread, threadState.blocked);
    threads.records.setProcess(thread, slot);
    processes.setThread(slot, thread);
    processes.setState(slot, processState.running);
    areas.cores.setCurrent(0, thread);

    for (const path of [
      "self/cmdline",
      "7/status",
      "7/stat",
      "kernels",
      "cores",
      "meminfo",
      "mounts",
      "version",
    ]) {
      const opened = ok(files.openPath(root, `proc/${path}`, reading));
      const text = new Uint8Array(3000);
      results.push(files.read(opened, text, 0, text.length), new TextDecoder().decode(text));
      files.release(opened);
    }
    results.push(mounts.list());
    results.push(files.readSymbolicLink(root, "proc/self"));
    files.release(file);
    files.release(root);
    return results;
  });
});

test("arguments, orders for checkpoints and copies of any length touch nothing unannounced", () => {
  const longText = "é".repeat(5000);
  compare(1 << 18, (buffer, guard) => {
    const memory = TypedMemory.format(buffer, { byteLength: 8192, areasMax: 16, guard });
    const ram = new Ram(buffer, guard);
    const block = encodeArguments({
      program: "/bin/tool",
      arguments: ["tool", longText],
      environment: ["A=B"],
      preopens: ["/"],
      stoppingPoint: "here",
    });
    memory.write(12_000, block);
    const order = checkpointOrder(memory, 10);
    assert.ok(order !== null);
    refuse(order, "because");
    ram.copyIn(pattern(20_000, 3), 10, 19_000, 65_000);
    const back = new Uint8Array(20_000);
    ram.copyOut(64_990, 19_000, back, 7);
    memory.zero(66_000, 9000);
    ram.touch(3 << 16, 2, true);
    ram.bytes.fill(5, 3 << 16, (3 << 16) + 2);
    return [
      decodeArguments(memory, 12_000, block.length),
      decodeArguments(memory, 12_000, block.length - 1),
      refusalOf(order),
      back,
      memory.read(65_900, 9200),
    ];
  });
});

const Numbered = message("numbered", { number: u32, name: bytes(40) }, { tail: true });
const Raw = rawMessage("raw");
const Add = request("add", { a: u32, b: u32 }, { sum: u32 });

test("messages and groups touch nothing unannounced", () => {
  const sizes = fc.sample(fc.oneof(fc.nat(40), fc.nat(300), fc.nat(4096)), { numRuns: 120, seed: 9 });
  compare(4 << 20, (buffer, guard) => {
    const seen: unknown[] = [];
    const memory = TypedMemory.format(buffer, { guard });
    formatMessages(memory, { endpoints_max: 3, groups_max: 2 });
    const faults: unknown[] = [];
    const nodes = [0, 1, 2].map((address) => {
      const transport = new SharedTransport({ memory, address, doorbell: { ring: () => {} } });
      const report = (fault: unknown) => void faults.push(fault);
      const pause = () => void drain();
      const endpoint = new Endpoint({ transports: [transport], now_ns: () => 0, pause, report });
      endpoint.handle(Numbered, (note, from) => void seen.push([address, from, note]));
      endpoint.handle(Raw, (payload, from) => void seen.push([address, from, payload.slice()]));
      endpoint.serve(Add, ({ a, b }) => ({ sum: a + b }));
      const groups = new Groups({ memory, endpoint, transport, pause: () => {}, report });
      return { endpoint, groups };
    });
    const drain = () => {
      for (const { endpoint } of nodes) endpoint.drain();
    };
    const handles = nodes.map(({ groups }): Group => {
      const group = groups.open("everybody");
      assert.ok(typeof group !== "number");
      return group;
    });
    sizes.forEach((size, number) => {
      const { endpoint } = nodes[number % 3];
      const tail = pattern(size, number);
      const name = pattern(40, size);
      seen.push(endpoint.send((number + 1) % 3, Raw, tail));
      seen.push(endpoint.send((number + 2) % 3, Numbered, { number, name, tail: tail.subarray(0, 1000) }));
      seen.push(
        endpoint.multicast(handles[number % 3], Numbered, { number, name, tail: tail.subarray(0, 700) }),
      );
      if (number % 3 === 2) drain();
    });
    drain();
    seen.push(nodes[0].endpoint.call(2, Add, { a: 3, b: 4 }, 1e6));
    assert.deepEqual(faults, []);
    assert.ok(seen.length > 4 * sizes.length);
    return seen;
  });
});

test("the scrambled memory finds what is read or written without being announced", () => {
  const Cell = struct("Cell", { word: u32, name: bytes(8) });
  const scrambled = new ScrambledMemory(new SharedArrayBuffer(1 << 16));
  const memory = TypedMemory.format(scrambled.buffer, { guard: scrambled });
  const cells = memory.create("cells", Cell, { count: 4 });
  cells.setName(1, Uint8Array.of(1, 2, 3));
  const name = cells.name(1);
  assert.deepEqual([...name.subarray(0, 3)], [1, 2, 3]);
  cells.word(1);
  assert.notDeepEqual([...name], [1, 2, 3, 0, 0, 0, 0, 0], "a view is not valid after the next access");
  cells.name(2)[0] = 9;
  assert.throws(() => cells.word(1), /was written, but announced to be read/);
  const again = new ScrambledMemory(new SharedArrayBuffer(64));
  new Uint8Array(again.buffer)[7] ^= 1;
  assert.throws(() => again.contents(), /byte 7 was written without being announced/);
});
