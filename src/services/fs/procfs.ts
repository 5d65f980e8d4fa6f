/**
 * `/proc`: the whole system as files, the same from every kernel. The text of a file is made when it is opened
 * and kept in island pages, so that it reads consistently, also by a process that has moved to another kernel.
 *
 * As on Linux, files show a size of 0: what they will hold is known only when they are opened.
 */
import { errno } from "../../kernel/errno.ts";
import type { ProcessSnapshot } from "../../kernel/state.ts";
import type { Pool } from "../../memory/index.ts";
import { orderFor } from "../pages/index.ts";
import type { PageSource } from "../pipe/pipes.ts";
import { fileType, type Stat } from "./filesystem.ts";
import { listPids, type ProcFacts, processFiles, slotOf, systemFiles } from "./proc-text.ts";
import { type SyntheticEntry, SyntheticFileSystem } from "./synthetic.ts";

const systemNames = Object.keys(systemFiles);
const processNames = Object.keys(processFiles);
/** System file n is inode n + 2; the directory of a process is a multiple of 8, its files follow it. */
const firstSystemInode = 2;
const firstProcessInode = 64;
const inodesPerProcess = 8;
/** `/proc/self`, a symbolic link: each process that looks sees its own pid in it. */
const selfInode = firstProcessInode - 1;
const selfName = "self";
/** Handle of every directory; snapshots count from 1. */
const directoryHandle = 0;

export interface ProcServices {
  readonly facts: ProcFacts;
  readonly snapshots: Pool<typeof ProcessSnapshot.fields>;
  readonly pages: PageSource;
  /** Core id + 1. */
  readonly owner: number;
}

export class ProcFileSystem extends SyntheticFileSystem {
  override readonly type = "proc";
  private readonly facts: ProcFacts;
  private readonly pool: Pool<typeof ProcessSnapshot.fields>;
  private readonly pages: PageSource;
  private readonly owner: number;

  constructor({ facts, snapshots, pages, owner }: ProcServices) {
    super();
    this.facts = facts;
    this.pool = snapshots;
    this.pages = pages;
    this.owner = owner;
  }

  override lookup(directory: number, name: string): number {
    const place = placeOf(directory);
    if (place.fileName !== "" || directory === selfInode) return -errno.NOTDIR;
    if (place.pid !== 0) {
      if (slotOf(this.facts, place.pid) < 0) return -errno.NOENT;
      const index = processNames.indexOf(name);
      return index < 0 ? -errno.NOENT : directory + 1 + index;
    }
    if (name === selfName) return selfInode;
    const index = systemNames.indexOf(name);
    if (index >= 0) return index + firstSystemInode;
    const pid = /^[1-9][0-9]{0,9}$/.test(name) ? Number(name) : 0;
    return pid === 0 || slotOf(this.facts, pid) < 0 ? -errno.NOENT : directoryInode(pid);
  }

  override stat(inode: number, into: Stat): number {
    const { pid, fileName } = placeOf(inode);
    const slot = pid === 0 ? -1 : slotOf(this.facts, pid);
    if (pid !== 0 && slot < 0) return -errno.NOENT;
    const { clock, areas } = this.facts;
    const started_ns = pid === 0 ? 0 : areas.processes.startTime_ns(slot);
    const time_ns = Math.floor(clock.realtime_ns() - (clock.monotonic_ns() - started_ns));
    into.inode = inode;
    into.size_bytes = 0;
    into.accessTime_ns = time_ns;
    into.modificationTime_ns = time_ns;
    into.changeTime_ns = time_ns;
    if (inode === selfInode) {
      into.fileType = fileType.symbolicLink;
      into.linkCount = 1;
      into.mode = 0o777;
      return 0;
    }
    into.fileType = fileName === "" ? fileType.directory : fileType.regularFile;
    into.linkCount = fileName === "" ? 2 : 1;
    into.mode = fileName === "" ? 0o555 : 0o444;
    return 0;
  }

  /** Of `/proc/self`: the pid of the process that runs on this core, which is the one that asks. */
  override readSymbolicLink(inode: number): string | number {
    if (inode !== selfInode) return -errno.INVAL;
    const { cores, threads, processes } = this.facts.areas;
    const thread = cores.current(this.owner - 1);
    const pid = thread === 0 ? 0 : processes.pid(threads.records.process(thread));
    return pid === 0 ? -errno.NOENT : `${pid}`;
  }

  override open(inode: number, write: boolean): number {
    if (inode === selfInode) return -errno.LOOP;
    const { pid, fileName } = placeOf(inode);
    const slot = pid === 0 ? -1 : slotOf(this.facts, pid);
    if (pid !== 0 && slot < 0) return -errno.NOENT;
    if (fileName === "") return directoryHandle;
    if (write) return -errno.ROFS;
    const text = pid === 0 ? systemFiles[fileName](this.facts) : processFiles[fileName](this.facts, slot);
    // Text from a slot that was reused meanwhile belongs to another process.
    if (pid !== 0 && slotOf(this.facts, pid) < 0) return -errno.NOENT;
    return this.keep(new TextEncoder().encode(text));
  }

  private keep(content: Uint8Array): number {
    const snapshot = this.pool.allocate(this.owner);
    if (snapshot < 0) return -errno.NFILE;
    const order = orderFor(Math.max(1, content.length));
    const buffer = this.pages.allocate(order);
    if (buffer < 0) {
      this.pool.free(snapshot, this.owner);
      return -errno.NOMEM;
    }
    this.facts.memory.write(buffer, content);
    const { records } = this.pool;
    records.setSize_bytes(snapshot, content.length);
    records.setBuffer(snapshot, buffer);
    records.setBufferOrder(snapshot, order);
    return snapshot;
  }

  override close(handle: number): void {
    if (handle === directoryHandle) return;
    const { records } = this.pool;
    this.pages.free(records.buffer(handle), records.bufferOrder(handle));
    this.pool.free(handle, this.owner);
  }

  override read(
    handle: number,
    target: Uint8Array,
    offset: number,
    length: number,
    position: number,
  ): number {
    if (handle === directoryHandle) return -errno.ISDIR;
    const count = Math.min(length, this.size(handle) - position);
    if (count <= 0) return 0;
    const start = this.pool.records.buffer(handle) + position;
    target.set(this.facts.memory.read(start, count), offset);
    return count;
  }

  override size(handle: number): number {
    return handle === directoryHandle ? 0 : this.pool.records.size_bytes(handle);
  }

  protected override entries(directory: number): readonly SyntheticEntry[] | undefined {
    const { pid, fileName } = placeOf(directory);
    if (fileName !== "" || directory === selfInode) return undefined;
    const files = (names: readonly string[], first: number) =>
      names.map((name, index) => ({ name, inode: first + index, type: fileType.regularFile }));
    if (pid !== 0) return slotOf(this.facts, pid) < 0 ? [] : files(processNames, directory + 1);
    const processes = listPids(this.facts).map((one) => ({
      name: `${one}`,
      inode: directoryInode(one),
      type: fileType.directory,
    }));
    const self = { name: selfName, inode: selfInode, type: fileType.symbolicLink };
    return [...files(systemNames, firstSystemInode), self, ...processes];
  }

  protected override parent(): number {
    return this.rootInode;
  }
}

/** What an inode stands for: `fileName` is empty for a directory, `pid` 0 for what belongs to no process. */
interface Place {
  readonly pid: number;
  readonly fileName: string;
}

function placeOf(inode: number): Place {
  if (inode < firstProcessInode) return { pid: 0, fileName: systemNames[inode - firstSystemInode] ?? "" };
  const pid = Math.floor((inode - firstProcessInode) / inodesPerProcess);
  return { pid, fileName: processNames[((inode - firstProcessInode) % inodesPerProcess) - 1] ?? "" };
}

function directoryInode(pid: number): number {
  return firstProcessInode + pid * inodesPerProcess;
}
