/** A kernel on a thread of its own, for `sharing.test.ts`: does one of the jobs below and reports back. */
import { parentPort, workerData } from "node:worker_threads";
import { errno, errnoName } from "../../src/kernel/errno.ts";
import { TypedMemory } from "../../src/memory/index.ts";
import { Ramdisk } from "../../src/services/block/ramdisk.ts";
import { Ext2 } from "../../src/services/fs/ext2/ext2.ts";

export interface Assignment {
  readonly memory: SharedArrayBuffer;
  readonly device: SharedArrayBuffer;
  /** A word to wait at, so that all start together. */
  readonly start: SharedArrayBuffer;
  readonly owner: number;
  readonly job: "mixed" | "append" | "rename" | "ring" | "links" | "claim";
  readonly rounds: number;
  readonly seed: number;
}

const assignment: Assignment = workerData;
const { owner, rounds } = assignment;
let now_ns = 1.7e18;
const fs = Ext2.attach({
  memory: TypedMemory.attach(assignment.memory),
  device: new Ramdisk({ buffer: assignment.device }),
  owner,
  now_ns: () => (now_ns += 1e6),
});

let state = assignment.seed;
function random(below: number): number {
  state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
  return Math.floor((state / 2 ** 32) * below);
}

/** Fails unless the result is a success or one of these errors. */
function expect(result: number, ...allowed: number[]): number {
  if (result < 0 && !allowed.includes(-result)) throw new Error(`unexpected ${errnoName(result)}`);
  return result;
}

/** All calls at random on a few names in a few shared directories: whatever happens, nothing may break. */
function mixed(): void {
  const { NOENT, EXIST, NOTDIR, ISDIR, NOTEMPTY, INVAL, NOSPC, PERM, LOOP, BADF } = errno;
  const directories = [2, ...["d0", "d1", "d2"].map((name) => fs.lookup(2, name))];
  const names = ["a", "b", "c", "d", "e", "f"];
  const buffer = new Uint8Array(20_000).fill(owner);
  const pick = (): number => {
    const parent = directories[random(directories.length)];
    const below = random(2) === 0 ? fs.lookup(parent, names[random(names.length)]) : parent;
    return below > 0 ? below : parent;
  };
  for (let i = 0; i < rounds; i++) {
    const parent = pick();
    const name = names[random(names.length)];
    switch (random(10)) {
      case 0:
      case 1:
        expect(fs.createFile(parent, name, 0o644), NOENT, EXIST, NOTDIR, NOSPC);
        break;
      case 2:
        expect(fs.makeDirectory(parent, name, 0o755), NOENT, EXIST, NOTDIR, NOSPC);
        break;
      case 3:
        expect(fs.unlink(parent, name), NOENT, NOTDIR, ISDIR);
        break;
      case 4:
        expect(fs.removeDirectory(parent, name), NOENT, NOTDIR, NOTEMPTY);
        break;
      case 5:
      case 6:
        expect(
          fs.rename(parent, name, pick(), names[random(names.length)]),
          NOENT,
          NOTDIR,
          ISDIR,
          NOTEMPTY,
          INVAL,
          NOSPC,
        );
        break;
      case 7:
        expect(fs.link(pick(), parent, name), NOENT, EXIST, NOTDIR, PERM, NOSPC);
        break;
      case 8:
        expect(fs.makeSymbolicLink(parent, name, "x".repeat(1 + random(200))), NOENT, EXIST, NOTDIR, NOSPC);
        break;
      default: {
        const handle = expect(fs.open(pick(), true), NOENT, ISDIR, LOOP);
        if (handle < 0) break;
        expect(fs.write(handle, buffer, 0, random(buffer.length), random(300_000)), NOSPC);
        expect(fs.read(handle, buffer, 0, random(buffer.length), random(300_000)));
        expect(fs.truncate(handle, random(100_000)), BADF);
        fs.close(handle);
        buffer.fill(owner);
      }
    }
  }
}

/** Appends records that tell who wrote them and which one each is. */
function append(): void {
  const handle = fs.open(fs.lookup(2, "log"), true);
  for (let i = 0; i < rounds; i++) {
    const record = new TextEncoder().encode(`${owner}:${i}${"x".repeat(random(100))}\n`);
    expect(fs.append(handle, record, 0, record.length));
  }
  fs.close(handle);
}

/** Moves directories into each other: at no time may a loop come about, or two kernels wait for each other. */
function rename(): void {
  const parts = ["p0", "p1", "p2"].map((name) => fs.lookup(2, name));
  const all = [2, ...parts];
  for (let i = 0; i < rounds; i++) {
    const name = `p${random(3)}`;
    const result = fs.rename(all[random(4)], name, all[random(4)], name);
    expect(result, errno.NOENT, errno.INVAL, errno.NOTEMPTY);
  }
}

/** Each kernel moves its own file round between two directories while another one looks for it. */
function ring(): void {
  const [a, b] = ["d0", "d1"].map((name) => fs.lookup(2, name));
  const name = `mine-${owner}`;
  expect(fs.createFile(a, name, 0o644));
  for (let i = 0; i < rounds; i++) {
    expect(fs.rename(a, name, b, name));
    expect(fs.rename(b, name, a, `${name}-back`));
    expect(fs.rename(a, `${name}-back`, a, name));
    if (fs.lookup(a, name) < 0) throw new Error("the file is lost");
  }
}

/**
 * Gives one file more names in a shared directory and takes them away, opens and closes it: its counts must come
 * out right. The file's number is below the directory's, so removing a name meets the two locks in the wrong order.
 */
function links(): void {
  const shared = fs.lookup(2, "log");
  const parent = fs.lookup(2, "d0");
  const name = `name-${owner}`;
  for (let i = 0; i < rounds; i++) {
    expect(fs.link(shared, parent, name));
    const handle = expect(fs.open(shared, true));
    expect(fs.unlink(parent, name));
    fs.close(handle);
  }
}

/** All create the same names: exactly one may succeed with each. */
function claim(): string[] {
  const mine: string[] = [];
  for (let i = 0; i < rounds; i++) {
    const inode = expect(fs.createFile(2, `name-${i}`, 0o644), errno.EXIST);
    if (inode > 0) mine.push(`name-${i}`);
  }
  return mine;
}

const start = new Int32Array(assignment.start);
Atomics.add(start, 1, 1);
Atomics.notify(start, 1);
Atomics.wait(start, 0, 0);
const jobs = { mixed, append, rename, ring, links, claim };
parentPort?.postMessage(jobs[assignment.job]() ?? []);
