/** One kernel of a race, on a thread of its own: `attack` swaps names, `victim` works by path meanwhile. */
import { parentPort, workerData } from "node:worker_threads";
import { NodeHostDirectory } from "../../src/machine/host/host-directory.ts";
import { TypedMemory } from "../../src/memory/index.ts";
import { HostFileSystem } from "../../src/services/fs/hostfs.ts";

interface Race {
  readonly role: "attack" | "victim" | "append" | "replace" | "read";
  readonly folder: string;
  readonly buffer: SharedArrayBuffer;
  readonly stop: SharedArrayBuffer;
  readonly owner: number;
}

const { role, folder, buffer, stop, owner } = workerData as Race;
const stopped = new Int32Array(stop);
const directory = new NodeHostDirectory(folder, false);
const fs = HostFileSystem.attach({ memory: TypedMemory.attach(buffer), name: "host.0", directory, owner });
const root = fs.rootInode;
const bytes = new Uint8Array(new SharedArrayBuffer(64));
const report: string[] = [];
let rounds = 0;

/** Swaps the directory `d` and the host user's link `evil`, which leads out, all the time. */
function attack(): void {
  fs.rename(root, "d", root, "aside");
  fs.rename(root, "evil", root, "d");
  fs.rename(root, "d", root, "evil");
  fs.rename(root, "aside", root, "d");
}

function victim(): void {
  const inode = fs.lookup(root, "d");
  if (inode < 0) return;
  fs.createFile(inode, `made-${rounds}`, 0o644);
  fs.makeDirectory(inode, `folder-${rounds % 7}`, 0o755);
  const secret = fs.lookup(inode, "secret");
  if (secret >= 0) {
    const handle = fs.open(secret, false);
    if (handle >= 0) {
      const length = fs.read(handle, bytes, 0, 64, 0);
      const text = new TextDecoder().decode(bytes.slice(0, Math.max(0, length)));
      if (text !== "inside") report.push(`read ${text}`);
      fs.close(handle);
    }
  }
  fs.unlink(inode, `made-${rounds}`);
}

function append(): void {
  const handle = fs.open(fs.lookup(root, "log"), true);
  const line = new TextEncoder().encode(`${owner} ${rounds}\n`);
  bytes.set(line);
  const size = fs.append(handle, bytes, 0, line.length);
  if (size < line.length) report.push(`append gave ${size}`);
  fs.close(handle);
}

/** Replaces a file by renaming another over it, as programs do that must never leave half a file. */
function replace(): void {
  const inode = fs.createFile(root, "new", 0o644);
  if (inode < 0) report.push(`create gave ${inode}`);
  const handle = fs.open(inode, true);
  fs.write(handle, new TextEncoder().encode("whole"), 0, 5, 0);
  fs.close(handle);
  const result = fs.rename(root, "new", root, "current");
  if (result !== 0) report.push(`rename gave ${result}`);
}

function read(): void {
  const inode = fs.lookup(root, "current");
  if (inode < 0) report.push(`lookup gave ${inode}`);
  const handle = fs.open(inode, false);
  if (handle < 0) {
    // The old file's number may have gone stale since; then the caller looks the name up again.
    if (fs.lookup(root, "current") < 0) report.push(`open gave ${handle}`);
    return;
  }
  if (fs.read(handle, bytes, 0, 64, 0) !== 5) report.push("read half a file");
  fs.close(handle);
}

const work = { attack, victim, append, replace, read }[role];
parentPort?.postMessage("ready");
while (Atomics.load(stopped, 0) === 0) {
  work();
  rounds++;
}
directory.dispose();
parentPort?.postMessage({ rounds, report });
