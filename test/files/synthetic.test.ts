/** `/dev`, `/proc` and `/bin`: what is in them, and that nothing can be changed. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { encodeArguments } from "../../src/kernel/argument-block.ts";
import { errno } from "../../src/kernel/errno.ts";
import { kernelState, limits, openFileKind, processState, threadState } from "../../src/kernel/state.ts";
import { type CharacterDevice, Devices, deviceNumber } from "../../src/services/device/devices.ts";
import { whence } from "../../src/services/fs/files.ts";
import { emptyStat, fileType } from "../../src/services/fs/filesystem.ts";
import { creating, fails, Island, ok, Rig, reading } from "./rig.ts";

function mounted(rig = new Rig()): { rig: Rig; root: number } {
  const root = rig.mountRoot();
  for (const name of ["dev", "proc", "bin"]) ok(rig.files.makeDirectory(root, name, 0o755));
  ok(rig.mounts.mountDevice("/dev"));
  ok(rig.mounts.mountProcess("/proc"));
  ok(rig.mounts.mountPrograms("/bin"));
  return { rig, root };
}

function list(rig: Rig, root: number, path: string): string[] {
  const directory = ok(rig.files.openPath(root, path, { ...reading, directory: true }));
  const names: string[] = [];
  const seen = new Set<number>();
  ok(
    rig.files.readDirectory(directory, 0, (_next, inode, _type, name) => {
      names.push(new TextDecoder().decode(name));
      seen.add(inode);
      return true;
    }),
  );
  rig.files.release(directory);
  assert.ok(seen.size >= names.length - 1, "inode numbers repeat");
  return names;
}

const terminal: CharacterDevice = {
  name: "tty",
  isTerminal: true,
  readQueue: 77,
  writeQueue: 78,
  read: () => -errno.AGAIN,
  write: (_source, _offset, length) => length,
  pollRead: () => -errno.AGAIN,
  pollWrite: () => 10,
};

test("devices without hardware", () => {
  const { rig, root } = mounted();
  const { files } = rig;
  assert.deepEqual(list(rig, root, "dev"), [".", "..", "null", "zero", "full", "random", "urandom"]);
  const open = (name: string) => ok(files.openPath(root, `dev/${name}`, { ...reading, write: true }));
  const buffer = new Uint8Array(3000).fill(9);
  const nothing = open("null");
  assert.equal(files.kind(nothing), openFileKind.device);
  assert.equal(files.fileType(nothing), fileType.characterDevice);
  assert.equal(files.read(nothing, buffer, 0, 10), 0);
  assert.equal(files.write(nothing, buffer, 0, 3000), 3000);
  assert.equal(files.pollRead(nothing), 0);
  const zero = open("zero");
  assert.equal(files.read(zero, buffer, 1, 3), 3);
  assert.deepEqual([...buffer.subarray(0, 5)], [9, 0, 0, 0, 9]);
  assert.equal(files.readAt(zero, buffer, 0, 10, 55), 10);
  assert.equal(files.seek(zero, 100, whence.set), 0);
  const full = open("full");
  assert.equal(files.read(full, buffer, 0, 5), 5);
  fails(files.write(full, buffer, 0, 5), "NOSPC");
  assert.equal(files.write(full, buffer, 0, 0), 0);
  const random = open("urandom");
  assert.equal(files.read(random, buffer, 0, 3000), 3000);
  assert.deepEqual([buffer[1], buffer[1024], buffer[1025]], [8, 1, 8]);
  assert.equal(files.isTerminal(random), false);
  const stat = { ...emptyStat(), device: 0 };
  ok(files.stat(zero, stat));
  assert.deepEqual([stat.fileType, stat.mode, stat.device], [fileType.characterDevice, 0o666, 2]);
});

test("/dev cannot be changed, and devices are no files", () => {
  const { rig, root } = mounted();
  const { files } = rig;
  const before = rig.inUse();
  fails(files.openPath(root, "dev/new", creating), "ROFS");
  fails(files.openPath(root, "dev/absent", reading), "NOENT");
  fails(files.makeDirectory(root, "dev/null", 0o755), "EXIST");
  fails(files.makeDirectory(root, "dev/null/x", 0o755), "NOTDIR");
  fails(files.unlink(root, "dev/null"), "ROFS");
  fails(files.rename(root, "dev/null", root, "dev/other"), "ROFS");
  fails(files.openPath(root, "dev/null", { ...reading, directory: true }), "NOTDIR");
  fails(files.openPath(root, "dev/null", { ...creating, exclusive: true }), "EXIST");
  const device = ok(files.openPath(root, "dev/null", { ...creating, truncate: true }));
  fails(files.truncate(device, 0), "INVAL");
  fails(files.allocate(device, 0, 1), "NODEV");
  ok(files.setTimes(device, 1, 1));
  fails(rig.mounts.unmount("/dev"), "BUSY");
  files.release(device);
  assert.deepEqual(rig.inUse(), before);
  ok(rig.mounts.unmount("/dev"));
});

test("a terminal waits, and does not seek", () => {
  const rig = new Rig();
  rig.devices.register(deviceNumber.tty, terminal);
  const { root } = mounted(rig);
  const { files } = rig;
  const file = ok(files.openPath(root, "dev/tty", { ...reading, write: true }));
  const unnamed = ok(files.openDevice(deviceNumber.tty));
  for (const one of [file, unnamed]) {
    assert.equal(files.isTerminal(one), true);
    fails(files.read(one, new Uint8Array(1), 0, 1), "AGAIN");
    fails(files.pollRead(one), "AGAIN");
    assert.equal(files.pollWrite(one), 10);
    assert.deepEqual([files.readQueue(one), files.writeQueue(one)], [77, 78]);
    fails(files.seek(one, 0, whence.current), "SPIPE");
    fails(files.tell(one), "SPIPE");
    fails(files.readAt(one, new Uint8Array(1), 0, 1, 0), "SPIPE");
    fails(files.writeAt(one, new Uint8Array(1), 0, 1, 0), "SPIPE");
  }
  const missing = ok(files.openDevice(50));
  fails(files.read(missing, new Uint8Array(1), 0, 1), "NXIO");
  fails(files.write(missing, new Uint8Array(1), 0, 1), "NXIO");
});

test("device numbers are given once", () => {
  const devices = new Devices();
  devices.register(6, terminal);
  assert.throws(() => devices.register(6, terminal), /taken by tty/);
  assert.throws(() => devices.register(0, terminal), /not positive/);
  assert.equal(devices.find("tty"), 6);
  assert.equal(devices.find("absent"), 0);
});

/** Puts a process into the process table, as the kernel does. */
function addProcess(rig: Rig, pid: number, name: string, args: string[]): number {
  const { processes, threads } = rig.areas;
  const slot = pid % limits.processes;
  const block = encodeArguments({ program: `/bin/${name}`, arguments: args, environment: [], preopens: [] });
  const offset = rig.pages.allocate(0);
  rig.island.memory.bytes.set(block, offset);
  processes.setPid(slot, pid);
  processes.setParent(slot, 1);
  processes.setKernel(slot, 2);
  processes.setCore(slot, 3);
  processes.setName(slot, new TextEncoder().encode(name));
  processes.setMemoryPages(slot, 4);
  processes.setArgumentOffset(slot, offset);
  processes.setArgumentOrder(slot, 0);
  processes.setStartTime_ns(slot, 2_000_000_000);
  processes.setCpuTime_ns(slot, 1_500_000_000);
  const thread = threads.allocate(1);
  threads.records.setState(thread, threadState.blocked);
  threads.records.setProcess(thread, slot);
  processes.setThread(slot, thread);
  processes.setState(slot, processState.running);
  return slot;
}

test("/proc shows the processes of the whole system", () => {
  const { rig, root } = mounted();
  const slot = addProcess(rig, limits.processes + 5, "sqlite3", ["sqlite3", "a b", "ü"]);
  const pid = limits.processes + 5;
  assert.deepEqual(list(rig, root, "proc"), [
    ".",
    "..",
    "cores",
    "kernels",
    "meminfo",
    "mounts",
    "uptime",
    "version",
    "self",
    `${pid}`,
  ]);
  assert.deepEqual(list(rig, root, `proc/${pid}`), [".", "..", "cmdline", "stat", "status"]);
  assert.equal(rig.get(root, `proc/${pid}/cmdline`), "sqlite3\0a b\0ü\0");
  const status = rig.get(root, `proc/${pid}/status`);
  for (const line of [
    "Name:\tsqlite3",
    "State:\tS (sleeping)",
    `Pid:\t${pid}`,
    "PPid:\t1",
    "Kernel:\t2",
    "VmSize:\t256 kB",
  ]) {
    assert.ok(status.split("\n").includes(line), line);
  }
  const fields = rig.get(root, `proc/${pid}/stat`).trimEnd().split(" ");
  assert.equal(fields.length, 52);
  assert.deepEqual(
    [fields[0], fields[1], fields[2], fields[13], fields[21], fields[38]],
    [`${pid}`, "(sqlite3)", "S", "150", "200", "3"],
  );
  fails(rig.files.openPath(root, "proc/5", reading), "NOENT");
  fails(rig.files.openPath(root, "proc/05", reading), "NOENT");
  fails(rig.files.openPath(root, `proc/${pid}/absent`, reading), "NOENT");
  rig.areas.processes.setState(slot, processState.zombie);
  assert.ok(rig.get(root, `proc/${pid}/status`).includes("Z (zombie)"));
  assert.equal(rig.get(root, `proc/${pid}/cmdline`), "");
  const stat = emptyStat();
  ok(rig.files.statPath(root, `proc/${pid}`, true, stat));
  assert.equal(stat.modificationTime_ns, 1_700_000_002_000_000_000);
  const directory = ok(rig.files.openPath(root, `proc/${pid}`, { ...reading, directory: true }));
  rig.areas.processes.setState(slot, processState.free);
  fails(rig.files.openPath(root, `proc/${pid}/status`, reading), "NOENT");
  fails(rig.files.openPath(directory, "status", reading), "NOENT");
  fails(rig.files.stat(directory, stat), "NOENT");
  assert.deepEqual(list(rig, root, "proc").slice(9), []);
});

test("/proc/self is whoever looks", () => {
  const { rig, root } = mounted();
  const { files } = rig;
  fails(files.openPath(root, "proc/self/status", reading), "NOENT");
  const { cores, processes } = rig.areas;
  const slots = [addProcess(rig, 7, "one", ["one"]), addProcess(rig, 8, "two", ["two"])];
  const other = new Rig(rig.island, 2);
  slots.forEach((slot, core) => {
    cores.setCurrent(core, processes.thread(slot));
  });
  assert.equal(rig.get(root, "proc/self/cmdline"), "one\0");
  assert.equal(other.get(root, "proc/self/cmdline"), "two\0");
  cores.setCurrent(0, processes.thread(slots[1]));
  assert.equal(rig.get(root, "proc/self/cmdline"), "two\0", "another process of the same core");
  assert.equal(files.readSymbolicLink(root, "proc/self"), "8");
  assert.deepEqual(list(rig, root, "proc/self"), [".", "..", "cmdline", "stat", "status"]);
  const stat = emptyStat();
  ok(files.statPath(root, "proc/self", false, stat));
  assert.deepEqual([stat.fileType, stat.mode, stat.linkCount], [fileType.symbolicLink, 0o777, 1]);
  ok(files.statPath(root, "proc/self", true, stat));
  assert.equal(stat.fileType, fileType.directory);
  fails(files.openPath(root, "proc/self", { ...reading, followLast: false }), "LOOP");
  fails(files.unlink(root, "proc/self"), "ROFS");
  fails(files.openPath(root, "proc/self/absent", reading), "NOENT");
});

test("/proc describes kernels, cores, memory and mounts", () => {
  const { rig, root } = mounted();
  const { kernels, cores, system } = rig.areas;
  kernels.setState(1, kernelState.running);
  kernels.setImage(1, new TextEncoder().encode("general"));
  kernels.setCoreCount(1, 2);
  system.setCoreCount(0, 3);
  cores.setIdle_ns(2, 3e9);
  cores.setKernel(2, 1);
  const kernelLines = rig.get(root, "proc/kernels").trimEnd().split("\n");
  assert.equal(kernelLines.length, 2);
  assert.match(kernelLines[1], /^ *1 running general +2 /);
  assert.match(rig.get(root, "proc/cores").trimEnd().split("\n")[3], /^ *2 +1 .* 3000\.0$/);
  assert.equal(rig.get(root, "proc/uptime"), "5.00 3.00\n");
  assert.equal(rig.get(root, "proc/version"), "Archipelago test\n");
  assert.match(rig.get(root, "proc/meminfo"), /^MemTotal: +4096 kB\nMemFree: +4096 kB\n/);
  assert.equal(
    rig.get(root, "proc/mounts"),
    "ext2 / ext2 rw 0 0\ndevice /dev device rw 0 0\nprocess /proc process ro 0 0\nprograms /bin programs ro 0 0\n",
  );
  ok(rig.files.makeDirectory(root, "a b", 0o755));
  ok(rig.mounts.mountExt2("/a b", 3, true));
  assert.ok(rig.get(root, "proc/mounts").endsWith("ext2 /a\\040b ext2 ro 0 0\n"));
});

test("what a /proc file says is settled when it is opened, for every kernel", () => {
  const { rig, root } = mounted();
  const other = new Rig(rig.island, 2);
  const file = ok(rig.files.openPath(root, "proc/uptime", reading));
  rig.island.monotonic_ns = 9_000_000_000;
  assert.equal(other.content(file), "5.00 0.00\n");
  const buffer = new Uint8Array(3);
  assert.equal(rig.files.read(file, buffer, 0, 3), 3);
  assert.equal(new TextDecoder().decode(buffer), "5.0");
  assert.equal(other.files.read(file, buffer, 0, 3), 3);
  assert.equal(new TextDecoder().decode(buffer), "0 0");
  const second = ok(rig.files.openPath(root, "proc/uptime", reading));
  assert.equal(rig.content(second), "9.00 0.00\n");
  other.files.release(file);
  other.files.release(second);
  assert.equal(rig.inUse().snapshots + rig.inUse().pages, 0);
});

test("/proc cannot be changed", () => {
  const { rig, root } = mounted();
  const before = rig.inUse();
  fails(rig.files.openPath(root, "proc/version", { ...reading, write: true }), "ROFS");
  fails(rig.files.openPath(root, "proc/new", creating), "ROFS");
  fails(rig.files.unlink(root, "proc/version"), "ROFS");
  fails(rig.files.openPath(root, "proc/version/x", reading), "NOTDIR");
  assert.deepEqual(rig.inUse(), before);
});

test("/bin holds the programs of the catalogue", () => {
  const island = new Island();
  const programs: Record<string, string> = { sqlite3: "\0asm sqlite", qjs: "\0asm quickjs" };
  island.programs = {
    names: () => Object.keys(programs),
    size: (name) => programs[name]?.length ?? -errno.NOENT,
    read: (name, target, offset, length, position) => {
      const bytes = new TextEncoder().encode(programs[name]).subarray(position, position + length);
      target.set(bytes, offset);
      return bytes.length;
    },
  };
  const { rig, root } = mounted(new Rig(island));
  assert.deepEqual(list(rig, root, "bin"), [".", "..", "sqlite3", "qjs"]);
  assert.equal(rig.get(root, "bin/qjs"), "\0asm quickjs");
  const stat = emptyStat();
  ok(rig.files.statPath(root, "bin/sqlite3", true, stat));
  assert.deepEqual([stat.fileType, stat.mode, stat.size_bytes], [fileType.regularFile, 0o755, 11]);
  fails(rig.files.openPath(root, "bin/python3", reading), "NOENT");
  programs.python3 = "\0asm python";
  assert.equal(rig.get(root, "bin/python3"), "\0asm python");
  fails(rig.files.openPath(root, "bin/qjs", { ...reading, write: true }), "ROFS");
  fails(rig.files.openPath(root, "bin/new", creating), "ROFS");
  fails(rig.files.unlink(root, "bin/qjs"), "ROFS");
  const file = ok(rig.files.openPath(root, "bin/qjs", reading));
  assert.equal(rig.files.seek(file, -4, whence.end), 8);
  ok(rig.files.sync(file));
});
