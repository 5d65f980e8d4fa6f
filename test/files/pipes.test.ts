/** Pipes: POSIX semantics, who is woken when, and a ring that never loses or repeats a byte. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { Worker } from "node:worker_threads";
import fc from "fast-check";
import { errno } from "../../src/kernel/errno.ts";
import { limits } from "../../src/kernel/state.ts";
import { atomicWrite_bytes, capacity_bytes } from "../../src/services/pipe/pipes.ts";
import type { PipeEndAssignment } from "./pipe-end-worker.ts";
import { fails, Island, ok, Rig } from "./rig.ts";

interface PipeRig {
  readonly rig: Rig;
  readonly reader: number;
  readonly writer: number;
}

function withPipe(rig = new Rig()): PipeRig {
  const pipe = rig.files.makePipe();
  assert.ok(typeof pipe === "object");
  return { rig, ...pipe };
}

const bytes = (length: number, seed = 0) =>
  Uint8Array.from({ length }, (_, index) => (index * 31 + seed) % 251);

/** Links a thread record into a queue, as a system call would before it sleeps. */
function waitOn({ rig }: PipeRig, thread: number, queue: number): void {
  rig.areas.threads.records.setWaitersLinked(thread, 0);
  assert.ok(rig.waits.waitOn(thread, queue));
}

test("an empty pipe blocks until bytes or the end come", () => {
  const pipe = withPipe();
  const { files } = pipe.rig;
  const buffer = new Uint8Array(8);
  fails(files.read(pipe.reader, buffer, 0, 8), "AGAIN");
  fails(files.pollRead(pipe.reader), "AGAIN");
  assert.equal(files.read(pipe.reader, buffer, 0, 0), 0);
  assert.equal(files.write(pipe.writer, bytes(3), 0, 3), 3);
  assert.equal(files.pollRead(pipe.reader), 3);
  assert.equal(files.read(pipe.reader, buffer, 4, 4), 3);
  assert.deepEqual([...buffer], [0, 0, 0, 0, ...bytes(3), 0]);
  assert.equal(files.hangup(pipe.reader), false);
  files.write(pipe.writer, bytes(1), 0, 1);
  files.release(pipe.writer);
  assert.equal(files.hangup(pipe.reader), true);
  assert.equal(files.read(pipe.reader, buffer, 0, 8), 1);
  assert.equal(files.read(pipe.reader, buffer, 0, 8), 0);
  assert.equal(files.pollRead(pipe.reader), 0);
});

test("a pipe without readers refuses writes", () => {
  const { rig, reader, writer } = withPipe();
  rig.files.release(reader);
  fails(rig.files.write(writer, bytes(1), 0, 1), "PIPE");
  fails(rig.files.write(writer, bytes(1), 0, 0), "PIPE");
  assert.equal(rig.files.pollWrite(writer), 0);
  assert.equal(rig.files.hangup(writer), true);
});

test("small writes are whole or not at all, large ones may be short", () => {
  const { rig, reader, writer } = withPipe();
  const { files } = rig;
  const source = bytes(capacity_bytes);
  assert.equal(files.write(writer, source, 0, capacity_bytes - 100), capacity_bytes - 100);
  fails(files.write(writer, source, 0, 101), "AGAIN");
  fails(files.write(writer, source, 0, atomicWrite_bytes), "AGAIN");
  fails(files.pollWrite(writer), "AGAIN");
  assert.equal(files.write(writer, source, 0, 60), 60);
  assert.equal(files.write(writer, source, 0, atomicWrite_bytes + 1), 40);
  fails(files.write(writer, source, 0, atomicWrite_bytes + 1), "AGAIN");
  fails(files.write(writer, source, 0, 1), "AGAIN");
  assert.equal(
    files.read(reader, new Uint8Array(atomicWrite_bytes), 0, atomicWrite_bytes),
    atomicWrite_bytes,
  );
  assert.equal(files.pollWrite(writer), atomicWrite_bytes);
});

test("readers are woken by the first bytes only", () => {
  const pipe = withPipe();
  const { rig, reader, writer } = pipe;
  waitOn(pipe, 5, rig.files.readQueue(reader));
  waitOn(pipe, 6, rig.files.readQueue(reader));
  rig.files.write(writer, bytes(1), 0, 0);
  assert.deepEqual(rig.island.woken, []);
  rig.files.write(writer, bytes(1), 0, 1);
  assert.deepEqual(rig.island.woken.sort(), [5, 6]);
  rig.files.write(writer, bytes(1), 0, 1);
  assert.equal(rig.island.woken.length, 2);
});

test("writers are woken when there is the room that the most modest of them needs", () => {
  const pipe = withPipe();
  const { rig, reader, writer } = pipe;
  const { files } = rig;
  const buffer = new Uint8Array(capacity_bytes);
  const woken = () => rig.island.woken.splice(0).length > 0;
  files.write(writer, bytes(capacity_bytes), 0, capacity_bytes);
  waitOn(pipe, 5, files.writeQueue(writer));
  fails(files.write(writer, bytes(50), 0, 50), "AGAIN");
  files.read(reader, buffer, 0, 49);
  assert.equal(woken(), false);
  files.read(reader, buffer, 0, 1);
  assert.equal(woken(), true);
  assert.equal(files.write(writer, bytes(50), 0, 50), 50);
  // Nobody has asked since: reading wakes nobody.
  files.read(reader, buffer, 0, 10_000);
  assert.equal(woken(), false);
  files.write(writer, bytes(capacity_bytes), 0, 10_000);
  fails(files.pollWrite(writer), "AGAIN");
  files.read(reader, buffer, 0, atomicWrite_bytes - 1);
  assert.equal(woken(), false);
  files.read(reader, buffer, 0, 1);
  assert.equal(woken(), true);
});

test("the other side is woken when the last of one side goes", () => {
  const first = withPipe();
  waitOn(first, 5, first.rig.files.readQueue(first.reader));
  first.rig.files.retain(first.writer);
  first.rig.files.release(first.writer);
  assert.deepEqual(first.rig.island.woken, []);
  first.rig.files.release(first.writer);
  assert.deepEqual(first.rig.island.woken, [5]);
  const second = withPipe();
  waitOn(second, 6, second.rig.files.writeQueue(second.writer));
  second.rig.files.release(second.reader);
  assert.deepEqual(second.rig.island.woken, [6]);
});

test("attributes of a pipe", () => {
  const { rig, reader, writer } = withPipe();
  rig.files.write(writer, bytes(7), 0, 7);
  const stat = {
    inode: 0,
    fileType: 4 as const,
    linkCount: 0,
    mode: 0,
    size_bytes: 0,
    accessTime_ns: 0,
    modificationTime_ns: 0,
    changeTime_ns: 0,
    device: 9,
  };
  ok(rig.files.stat(reader, stat));
  assert.deepEqual([stat.fileType, stat.size_bytes, stat.device], [0, 7, 0]);
  ok(rig.files.setTimes(reader, 1, 1));
  fails(rig.files.setMode(reader, 0o600), "INVAL");
});

test("pipes run out with an error and nothing lost", () => {
  const rig = new Rig();
  const before = rig.inUse();
  const ends: number[] = [];
  let result = rig.files.makePipe();
  while (typeof result === "object") {
    ends.push(result.reader, result.writer);
    result = rig.files.makePipe();
  }
  fails(result, "NOMEM");
  assert.ok(ends.length >= 100 && ends.length <= 2 * limits.pipes);
  assert.equal(rig.areas.pipes.used(), ends.length / 2);
  for (const end of ends) rig.files.release(end);
  assert.deepEqual(rig.inUse(), before);
});

test("open files run out with an error and nothing lost", () => {
  const rig = new Rig();
  const before = rig.inUse();
  const files: number[] = [];
  while (rig.areas.openFiles.used() < limits.openFiles - 1) files.push(ok(rig.files.openDevice(1)));
  const nearlyFull = rig.inUse();
  fails(rig.files.makePipe(), "NFILE");
  assert.deepEqual(rig.inUse(), nearlyFull);
  files.push(ok(rig.files.openDevice(1)));
  fails(rig.files.openDevice(1), "NFILE");
  fails(rig.files.makePipe(), "NFILE");
  for (const file of files) rig.files.release(file);
  assert.deepEqual(rig.inUse(), before);
});

test("random reads and writes agree with a queue of bytes", () => {
  const rig = new Rig();
  const length = fc.oneof(fc.integer({ min: 0, max: 20 }), fc.integer({ min: 0, max: 70_000 }));
  const step = fc.record({ writes: fc.boolean(), length });
  const target = new Uint8Array(70_000);
  fc.assert(
    fc.property(fc.array(step, { maxLength: 40 }), fc.nat(0xffffffff), (steps, start) => {
      const { reader, writer } = withPipe(rig);
      // Counters wrap at 2^32: begin anywhere.
      const pipe = rig.areas.openFiles.records.object(reader);
      rig.areas.pipes.records.setHead(pipe, start);
      rig.areas.pipes.records.setTail(pipe, start);
      let written = 0;
      let read = 0;
      for (const one of steps) {
        const filled = written - read;
        const room = capacity_bytes - filled;
        if (one.writes) {
          const source = Uint8Array.from({ length: one.length }, (_, index) => (written + index) % 253);
          const result = rig.files.write(writer, source, 0, one.length);
          if (one.length <= atomicWrite_bytes) {
            assert.equal(result, one.length <= room ? one.length : -errno.AGAIN);
          } else assert.equal(result, room > 0 ? Math.min(room, one.length) : -errno.AGAIN);
          written += Math.max(0, result);
        } else {
          const result = rig.files.read(reader, target, 0, one.length);
          const expected = one.length === 0 ? 0 : filled === 0 ? -errno.AGAIN : Math.min(filled, one.length);
          assert.equal(result, expected);
          for (let index = 0; index < result; index++) assert.equal(target[index], (read + index) % 253);
          read += Math.max(0, result);
        }
      }
      rig.files.release(reader);
      rig.files.release(writer);
    }),
    { numRuns: 150 },
  );
  assert.deepEqual(rig.inUse(), new Rig().inUse());
});

test("threads that sleep on a pipe are woken whenever it matters, and bytes come in order", async () => {
  const island = new Island();
  const rig = new Rig(island, 1);
  const { reader, writer } = withPipe(rig);
  const run = (role: "read" | "write", thread: number, seed: number) => {
    const workerData: PipeEndAssignment = {
      buffer: island.memory.buffer,
      role,
      file: role === "read" ? reader : writer,
      thread,
      owner: thread,
      seed,
      total_bytes: 3_000_000,
    };
    const worker = new Worker(new URL("./pipe-end-worker.ts", import.meta.url), { workerData });
    return new Promise<number>((resolve, reject) => {
      worker.once("message", resolve);
      worker.once("error", reject);
    });
  };
  const [received, sent] = await Promise.all([run("read", 2, 1), run("write", 3, 2)]);
  assert.equal(received, 3_000_000);
  assert.equal(sent, 3_000_000);
  assert.deepEqual(rig.inUse(), new Rig().inUse());
});

test("a dead core's lock is freed, and those it may have been about to wake are woken", () => {
  const pipe = withPipe();
  const { rig, reader, writer } = pipe;
  const number = rig.areas.openFiles.records.object(reader);
  rig.areas.pipes.records.acquireMutex(number, 9);
  waitOn(pipe, 5, rig.files.readQueue(reader));
  waitOn(pipe, 6, rig.files.writeQueue(writer));
  rig.files.recover(9);
  assert.deepEqual(rig.island.woken.sort(), [5, 6]);
  assert.equal(rig.files.write(writer, bytes(1), 0, 1), 1);
});
