/** The personality of the general image: programs from the file system, WASI as the system call interface. */
import { errno } from "../kernel/errno.ts";
import type {
  Executable,
  ImportTable,
  Personality,
  ProcessCalls,
  WantedImport,
} from "../kernel/personality.ts";
import type { RunningProcess } from "../kernel/running-process.ts";
import type { Core } from "../machine/machine.ts";
import type { DeviceStat } from "../services/fs/files.ts";
import { emptyStat, fileType } from "../services/fs/filesystem.ts";
import {
  applicableInheriting,
  applicableRights,
  parseStoppingPoint,
  preopenRights,
  WasiCalls,
} from "../wasi/index.ts";
import type { Services } from "./services.ts";

const firstPreopen = 3;
/** Some file systems keep times in whole seconds, and their clock may be a little behind ours. */
const coarsestTime_ns = 2_000_000_000;

export class GeneralPersonality implements Personality {
  /** Processor time of a thread of this core; set by whoever makes the kernel. */
  cpuTime_ns: (thread: number) => number = () => 0;
  private readonly services: Services;
  private readonly core: Core;
  private readonly calls: WasiCalls;
  private rootFile = 0;

  constructor(services: Services, core: Core) {
    this.services = services;
    this.core = core;
    const { files, waits, areas } = services;
    this.calls = new WasiCalls({
      files,
      waits,
      threads: areas.threads.records,
      clock: core.clock,
      random: (target) => core.random(target),
      cpuTime_ns: (thread) => this.cpuTime_ns(thread),
    });
  }

  findExecutable(path: string): Executable | number {
    const { files } = this.services;
    const stat: DeviceStat = { ...emptyStat(), device: 0 };
    const relative = path.replace(/^\/+/, "");
    const found = files.statPath(this.root(), relative, true, stat);
    if (found < 0) return found;
    if (stat.fileType !== fileType.regularFile) return -errno.ACCES;
    if ((stat.mode & 0o111) === 0 && !path.endsWith(".wasm")) return -errno.ACCES;
    const { type } = this.services.mounts.fileSystem(stat.device ?? 0);
    const age_ns = this.core.clock.realtime_ns() - stat.modificationTime_ns;
    return {
      isSettled: type === "programs" || age_ns > coarsestTime_ns,
      identity: `${path} ${stat.inode} ${stat.size_bytes} ${stat.modificationTime_ns}`,
      read: () => this.readProgram(relative, stat.size_bytes),
    };
  }

  openExecutable(file: number): Executable | number {
    const stat: DeviceStat = { ...emptyStat(), device: 0 };
    const result = this.services.files.stat(file, stat);
    if (result < 0) return result;
    if (stat.fileType !== fileType.regularFile) return -errno.ACCES;
    return {
      isSettled: false,
      identity: `${stat.device} ${stat.inode}`,
      read: () => this.readAll(file, stat.size_bytes),
    };
  }

  private readProgram(path: string, size_bytes: number): Uint8Array {
    const { files } = this.services;
    const file = files.openPath(this.root(), path, {
      followLast: true,
      create: false,
      exclusive: false,
      directory: false,
      truncate: false,
      read: true,
      write: false,
      flags: 0,
      mode: 0,
    });
    if (file < 0) throw new Error("it vanished while it was being loaded");
    try {
      return this.readAll(file, size_bytes);
    } finally {
      files.release(file);
    }
  }

  private readAll(file: number, size_bytes: number): Uint8Array {
    const bytes = new Uint8Array(size_bytes);
    let done = 0;
    while (done < size_bytes) {
      const count = this.services.files.readAt(file, bytes, done, size_bytes - done, done);
      if (count < 0) throw new Error("it cannot be read");
      if (count === 0) break;
      done += count;
    }
    return bytes.subarray(0, done);
  }

  adoptFiles(slot: number, given: readonly number[]): number {
    const { files } = this.services;
    for (const [descriptor, file] of given.entries()) {
      const preopen = descriptor >= firstPreopen ? descriptor - firstPreopen : undefined;
      const { rights, inheriting } = this.rightsFor(file, preopen !== undefined);
      const result = files.install(slot, file, rights, inheriting, preopen);
      if (result < 0) {
        this.dropFiles(given.slice(descriptor));
        files.closeAll(slot);
        return result;
      }
    }
    return 0;
  }

  private rightsFor(file: number, preopened: boolean): { rights: number; inheriting: number } {
    const { files } = this.services;
    if (preopened) return preopenRights(false);
    const type = files.fileType(file);
    return { rights: applicableRights(type, files.isTerminal(file)), inheriting: applicableInheriting(type) };
  }

  copyFiles(from: number, to: number): void {
    this.services.files.copyDescriptors(from, to);
  }

  areOpen(files: readonly number[]): boolean {
    return files.every((file) => this.services.files.isOpen(file));
  }

  dropFiles(given: readonly number[]): void {
    for (const file of given) this.services.files.release(file);
  }

  releaseFiles(slot: number): void {
    this.services.files.closeAll(slot);
  }

  imports(wanted: readonly WantedImport[]): ImportTable {
    return this.calls.imports(wanted);
  }

  stoppingImports(
    wanted: readonly WantedImport[],
    process: RunningProcess,
    point: string,
  ): ImportTable | undefined {
    const parsed = parseStoppingPoint(point);
    return parsed === null ? undefined : this.calls.stoppingImports(wanted, process, parsed);
  }

  admit(process: RunningProcess): ProcessCalls {
    return this.calls.admit(process);
  }

  /** Gives up what it keeps open. Its kernel has stopped. */
  close(): void {
    if (this.rootFile === 0) return;
    this.services.areas.cores.setKeptFile(this.core.id, 0);
    this.services.files.release(this.rootFile);
    this.rootFile = 0;
  }

  /** Opens what it needs all the time. The root is mounted. */
  open(): void {
    this.root();
  }

  private root(): number {
    if (this.rootFile === 0) {
      const { mounts, files } = this.services;
      const mount = mounts.root();
      this.rootFile = files.openDirectory(mount, mounts.fileSystem(mount).rootInode);
      this.services.areas.cores.setKeptFile(this.core.id, this.rootFile);
    }
    return this.rootFile;
  }
}
