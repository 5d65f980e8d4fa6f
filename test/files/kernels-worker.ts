/**
 * A kernel in a thread of its own that works on names shared with others: it makes, moves and removes files in a
 * sandbox and, with a name for the whole tree, secrets outside of it that reuse the same inode numbers.
 */
import assert from "node:assert/strict";
import { parentPort, workerData } from "node:worker_threads";
import { errno, errnoName } from "../../src/kernel/errno.ts";
import { Ramdisk } from "../../src/services/block/ramdisk.ts";
import { Ext2 } from "../../src/services/fs/ext2/ext2.ts";
import { emptyStat } from "../../src/services/fs/filesystem.ts";
import { creating, Island, ok, Rig, reading } from "./rig.ts";

export interface KernelAssignment {
  readonly island: SharedArrayBuffer;
  readonly disk: SharedArrayBuffer;
  readonly owner: number;
  readonly steps: number;
}

/** What may go wrong when others change the same names; anything else is a fault. */
const ordinary = new Set<number>([
  errno.NOENT,
  errno.EXIST,
  errno.NOTDIR,
  errno.ISDIR,
  errno.NOTEMPTY,
  errno.NOTCAPABLE,
  errno.LOOP,
  errno.INVAL,
  errno.BUSY,
  errno.PERM,
]);

const { island: buffer, disk, owner, steps } = workerData as KernelAssignment;
const island = new Island(buffer);
island.openDisk = () =>
  Ext2.attach({
    memory: island.memory,
    device: new Ramdisk({ buffer: disk }),
    owner,
    now_ns: () => 1_700_000_000_000_000_000,
  });
const rig = new Rig(island, owner);
const { files } = rig;
const root = ok(files.openRoot());
const box = ok(files.openPath(root, "box", { ...reading, directory: true }));
const inside = new TextEncoder().encode("inside");
const secret = new TextEncoder().encode("secret");
const piece = new Uint8Array(64);

let state = owner * 7919;
function random(limit: number): number {
  state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
  return Math.floor((state / 0x100000000) * limit);
}

const name = () => "abcd"[random(4)];
function path(): string {
  const parts = Array.from({ length: 1 + random(3) }, () => (random(9) === 0 ? ".." : name()));
  return parts.join("/");
}

function check(result: number | string): void {
  if (typeof result === "number" && result < 0) assert.ok(ordinary.has(-result), errnoName(result));
}

function writeAndClose(file: number, content: Uint8Array): void {
  if (file < 0) {
    check(file);
    return;
  }
  assert.equal(files.write(file, content, 0, content.length), content.length);
  files.release(file);
}

function readAndClose(file: number): void {
  if (file < 0) {
    check(file);
    return;
  }
  const count = files.read(file, piece, 0, piece.length);
  if (count >= 0) {
    const text = new TextDecoder().decode(piece.subarray(0, count));
    assert.ok(text === "" || text === "inside", `read ${JSON.stringify(text)} inside the sandbox`);
  } else assert.equal(count, -errno.ISDIR);
  files.release(file);
}

const actions = [
  () => writeAndClose(files.openPath(box, path(), { ...creating, exclusive: true }), inside),
  () => readAndClose(files.openPath(box, path(), reading)),
  () => readAndClose(files.openPath(box, path(), reading)),
  () => readAndClose(files.openPath(box, "a/b", reading)),
  () => check(files.statPath(box, path(), true, emptyStat())),
  () => check(files.unlink(box, path())),
  () => check(files.unlink(box, path())),
  () => check(files.makeDirectory(box, path(), 0o755)),
  () => check(files.makeDirectory(box, "a", 0o755)),
  () => check(files.removeDirectory(box, path())),
  () => check(files.rename(box, path(), box, path())),
  () => check(files.link(box, path(), true, box, path())),
  () =>
    check(files.makeSymbolicLink(["../outside/a", "b", "a/../c", "../../outside"][random(4)], box, path())),
  () => check(files.readSymbolicLink(box, path())),
  () => writeAndClose(files.openPath(root, `outside/${name()}`, { ...creating, exclusive: true }), secret),
  () => check(files.unlink(root, `outside/${name()}`)),
];

for (let step = 0; step < steps; step++) actions[random(actions.length)]();
files.release(box);
files.release(root);
parentPort?.postMessage("done");
