/**
 * The open files of a mounted host directory, shared by all kernels: a handle is a record that holds the number
 * of the host's open file, which every core may use and close. A node knows its handles, so that a file that is
 * open is reached also when it has no name any more.
 */
import { errno } from "../../kernel/errno.ts";
import type { HostDirectory } from "../../machine/devices.ts";
import type { Pool, TypedMemory } from "../../memory/index.ts";
import type { HostNodes } from "./host-nodes.ts";
import { HostHandle } from "./host-state.ts";

export class HostFiles {
  private readonly handles: Pool<typeof HostHandle.fields>;
  private readonly host: HostDirectory;
  private readonly nodes: HostNodes;
  private readonly owner: number;

  constructor(memory: TypedMemory, name: string, host: HostDirectory, nodes: HostNodes, owner: number) {
    this.handles = memory.attachPool(poolName(name), HostHandle, { checked: false });
    this.host = host;
    this.nodes = nodes;
    this.owner = owner;
  }

  /** Makes the shared records. */
  static create(memory: TypedMemory, name: string, count: number): void {
    memory.createPool(poolName(name), HostHandle, { count });
  }

  used(): number {
    return this.handles.used();
  }

  /** The host's open file behind a handle. */
  fileOf(handle: number): number {
    return this.handles.records.file(handle);
  }

  /** An open file of a node, or −1. The nodes are locked; it stays open while they are. */
  anyFileOf(slot: number): number {
    const handle = this.nodes.records.firstHandle(slot);
    return handle === 0 ? -1 : this.handles.records.file(handle);
  }

  /** Opens what is at a place, as a handle of `inode`. A handle, or a negated errno. */
  open(inode: number, directory: string, name: string, write: boolean): number {
    const { host, nodes } = this;
    const { records } = this.handles;
    const file = host.open(directory, name, write);
    if (file < 0) return file;
    const handle = this.handles.allocate(this.owner);
    if (handle < 0) {
      host.close(file);
      return -errno.NFILE;
    }
    records.setFile(handle, file);
    records.setAppendFile(handle, -1);
    records.setWritable(handle, write ? 1 : 0);
    nodes.lock();
    const slot = nodes.slotOf(inode);
    if (slot >= 0) {
      records.setNode(handle, slot);
      records.setNext(handle, nodes.records.firstHandle(slot));
      nodes.records.setFirstHandle(slot, handle);
    }
    nodes.unlock();
    if (slot >= 0) return handle;
    // The number has come to stand for something else meanwhile.
    host.close(file);
    this.handles.free(handle, this.owner);
    return slot;
  }

  close(handle: number): void {
    const { host, nodes } = this;
    const { records } = this.handles;
    nodes.lock();
    const node = records.node(handle);
    let before = 0;
    for (let at = nodes.records.firstHandle(node); at !== handle; at = records.next(at)) before = at;
    if (before === 0) nodes.records.setFirstHandle(node, records.next(handle));
    else records.setNext(before, records.next(handle));
    nodes.unlock();
    const appendFile = records.appendFile(handle);
    host.close(records.file(handle));
    if (appendFile >= 0) host.close(appendFile);
    this.handles.free(handle, this.owner);
  }

  write(handle: number, source: Uint8Array, offset: number, length: number, position: number): number {
    const { host, owner } = this;
    const { records } = this.handles;
    const node = records.node(handle);
    this.nodes.records.acquireSizeMutex(node, owner);
    try {
      return host.write(records.file(handle), source, offset, length, position);
    } finally {
      this.nodes.records.releaseSizeMutex(node, owner);
    }
  }

  /** Makes a file at least this long. The host's own programs must not write behind its end at the same time. */
  extend(handle: number, size_bytes: number): number {
    const { host, owner } = this;
    const { records } = this.handles;
    const node = records.node(handle);
    this.nodes.records.acquireSizeMutex(node, owner);
    try {
      const file = records.file(handle);
      const size = host.size(file);
      return size < 0 || size >= size_bytes ? Math.min(size, 0) : host.setSize(file, size_bytes);
    } finally {
      this.nodes.records.releaseSizeMutex(node, owner);
    }
  }

  /**
   * Writes at the end, also when the host's own programs append at the same time; only the size that is returned
   * may then count their part too. The new size, or a negated errno.
   */
  append(handle: number, source: Uint8Array, offset: number, length: number): number {
    const { host, owner } = this;
    const { records } = this.handles;
    // The host would open a file for appending that was opened for reading only.
    if (records.writable(handle) === 0) return host.readOnly ? -errno.ROFS : -errno.BADF;
    const node = records.node(handle);
    this.nodes.records.acquireSizeMutex(node, owner);
    try {
      const file = records.file(handle);
      if (records.appendFile(handle) < 0) records.setAppendFile(handle, host.openForAppend(file));
      const appendFile = records.appendFile(handle);
      const size = appendFile < 0 ? host.size(file) : 0;
      if (size < 0) return size;
      const written =
        appendFile < 0
          ? host.write(file, source, offset, length, size)
          : host.writeAtEnd(appendFile, source, offset, length);
      return written < 0 ? written : host.size(file);
    } finally {
      this.nodes.records.releaseSizeMutex(node, owner);
    }
  }
}

function poolName(name: string): string {
  return `${name}.handles`;
}
