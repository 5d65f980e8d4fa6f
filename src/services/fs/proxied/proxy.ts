/**
 * A file system that another kernel owns, as the others use it: every operation is a request to the owner, and the caller
 * waits for the reply. An owner that does not answer, or answers what makes no sense, is an I/O error.
 *
 * Two things differ from the file system itself. Long writes and appends are made in pieces, so that others may see them
 * half done, and an append that finds the device full may leave its first pieces. And a name and a link's target have to
 * fit one message, so targets of about 3,800 bytes are the longest.
 */
import { errno } from "../../../kernel/errno.ts";
import { layoutOf, overlay } from "../../../memory/index.ts";
import type { Endpoint } from "../../../message/index.ts";
import { type DirectoryVisitor, type FileSystem, type FileType, fileType, type Stat } from "../filesystem.ts";
import { Attributes, Entry, fileSystemRequest, operation, piece_bytes } from "./protocol.ts";

/** An owner that does not answer for this long is taken for gone. */
const timeout_ns = 120_000_000_000;
const nothing = new Uint8Array(0);
const entry_bytes = layoutOf(Entry, "lp64").size;
const attributes_bytes = layoutOf(Attributes, "lp64").size;

export interface ProxiedOptions {
  readonly endpoint: Endpoint;
  /** Address of the owner. */
  readonly owner: number;
  /** What the owner's file system says of itself. */
  readonly type: string;
  readonly readOnly: boolean;
  readonly rootInode: number;
}

interface Arguments {
  readonly first?: number;
  readonly second?: number;
  readonly third?: number;
  readonly names?: readonly string[];
  readonly data?: Uint8Array;
}

export class ProxiedFileSystem implements FileSystem {
  readonly type: string;
  readonly readOnly: boolean;
  readonly rootInode: number;
  private readonly endpoint: Endpoint;
  private readonly owner: number;
  private readonly encoder = new TextEncoder();
  private readonly decoder = new TextDecoder("utf-8", { ignoreBOM: true });
  /** Bytes of the last reply. */
  private received: Uint8Array = nothing;

  constructor({ endpoint, owner, type, readOnly, rootInode }: ProxiedOptions) {
    this.endpoint = endpoint;
    this.owner = owner;
    this.type = type;
    this.readOnly = readOnly;
    this.rootInode = rootInode;
  }

  /** What the operation returned; `received` is what came with it. */
  private ask(wanted: number, { first = 0, second = 0, third = 0, names = [], data }: Arguments): number {
    // What is no UTF-16 cannot be sent as it is. No file has such a name.
    if (!names.every((name) => name.isWellFormed()))
      return wanted === operation.lookup ? -errno.NOENT : -errno.ILSEQ;
    const encoded = names.map((name) => this.encoder.encode(name));
    const split = encoded[0]?.length ?? 0;
    const tail = data ?? (encoded.length < 2 ? (encoded[0] ?? nothing) : join(encoded[0], encoded[1]));
    const request = { operation: wanted, first, second, third, split, tail };
    const reply = this.endpoint.call(this.owner, fileSystemRequest, request, timeout_ns);
    if (reply.status === -errno.MSGSIZE) return -errno.NAMETOOLONG;
    if (reply.status < 0 || reply.value === undefined) return -errno.IO;
    this.received = reply.value.tail;
    const { result } = reply.value;
    return Number.isSafeInteger(result) ? result : -errno.IO;
  }

  findPath(inode: number): string | number {
    return this.text(this.ask(operation.findPath, { first: inode }));
  }

  lookup(directory: number, name: string): number {
    return this.ask(operation.lookup, { first: directory, names: [name] });
  }

  createFile(directory: number, name: string, mode: number): number {
    return this.ask(operation.createFile, { first: directory, second: mode, names: [name] });
  }

  makeDirectory(directory: number, name: string, mode: number): number {
    return this.ask(operation.makeDirectory, { first: directory, second: mode, names: [name] });
  }

  makeSymbolicLink(directory: number, name: string, target: string): number {
    if (!target.isWellFormed()) return -errno.INVAL;
    return this.ask(operation.makeSymbolicLink, { first: directory, names: [name, target] });
  }

  link(inode: number, directory: number, name: string): number {
    return this.ask(operation.link, { first: inode, second: directory, names: [name] });
  }

  unlink(directory: number, name: string): number {
    return this.ask(operation.unlink, { first: directory, names: [name] });
  }

  removeDirectory(directory: number, name: string): number {
    return this.ask(operation.removeDirectory, { first: directory, names: [name] });
  }

  rename(fromDirectory: number, fromName: string, toDirectory: number, toName: string): number {
    const names = [fromName, toName];
    return this.ask(operation.rename, { first: fromDirectory, second: toDirectory, names });
  }

  readSymbolicLink(inode: number): string | number {
    return this.text(this.ask(operation.readSymbolicLink, { first: inode }));
  }

  private text(result: number): string | number {
    return result < 0 ? result : this.decoder.decode(this.received);
  }

  readDirectory(directory: number, cookie: number, visit: DirectoryVisitor): number {
    for (let from = cookie; ; ) {
      const count = this.ask(operation.readDirectory, { first: directory, second: from });
      if (count <= 0) return count;
      // A copy: the visitor may ask for something else meanwhile.
      const bytes = this.received.slice();
      const entries = overlay(Entry, bytes.buffer, { format: "lp64", addressing: "address" });
      for (let n = 0, at = 0; n < count; n++) {
        if (at + entry_bytes > bytes.length) return -errno.IO;
        const end = at + entry_bytes + entries.nameLength(at);
        if (end > bytes.length) return -errno.IO;
        const next = entries.next(at);
        // An owner that goes back would keep us here for ever.
        if (!(next > from)) return -errno.IO;
        from = next;
        const name = bytes.subarray(at + entry_bytes, end);
        if (!visit(from, entries.inode(at), typeOf(entries.fileType(at)), name)) return 0;
        at = end;
      }
    }
  }

  stat(inode: number, into: Stat): number {
    const result = this.ask(operation.stat, { first: inode });
    if (result < 0) return result;
    if (this.received.length < attributes_bytes) return -errno.IO;
    const record = overlay(Attributes, this.received.slice().buffer, { format: "lp64" });
    into.inode = record.inode(0);
    into.fileType = typeOf(record.fileType(0));
    into.linkCount = record.linkCount(0);
    into.mode = record.mode(0);
    into.size_bytes = record.size_bytes(0);
    into.accessTime_ns = record.accessTime_ns(0);
    into.modificationTime_ns = record.modificationTime_ns(0);
    into.changeTime_ns = record.changeTime_ns(0);
    return result;
  }

  setTimes(inode: number, accessTime_ns: number, modificationTime_ns: number): number {
    return this.ask(operation.setTimes, { first: inode, second: accessTime_ns, third: modificationTime_ns });
  }

  setMode(inode: number, mode: number): number {
    return this.ask(operation.setMode, { first: inode, second: mode });
  }

  open(inode: number, write: boolean): number {
    return this.ask(operation.open, { first: inode, second: write ? 1 : 0 });
  }

  close(handle: number): void {
    this.ask(operation.close, { first: handle });
  }

  read(handle: number, target: Uint8Array, offset: number, length: number, position: number): number {
    if (!isInside(target, offset, length)) return -errno.FAULT;
    let done = 0;
    // At least once: only the owner knows whether the handle may be read.
    do {
      const wanted = Math.min(length - done, piece_bytes);
      const count = this.ask(operation.read, { first: handle, second: wanted, third: position + done });
      if (count < 0) return done > 0 ? done : count;
      const got = Math.min(count, this.received.length, wanted);
      target.set(this.received.subarray(0, got), offset + done);
      done += got;
      if (got < wanted) break;
    } while (done < length);
    return done;
  }

  write(handle: number, source: Uint8Array, offset: number, length: number, position: number): number {
    if (!isInside(source, offset, length)) return -errno.FAULT;
    let done = 0;
    do {
      const data = this.pieceOf(source, offset + done, length - done);
      const count = this.ask(operation.write, { first: handle, second: position + done, data });
      if (count < 0) return done > 0 ? done : count;
      if (count > data.length) return -errno.IO;
      done += count;
      if (count < data.length) break;
    } while (done < length);
    return done;
  }

  /** One step as long as it fits one message; longer ones may be mixed with what others append. */
  append(handle: number, source: Uint8Array, offset: number, length: number): number {
    if (!isInside(source, offset, length)) return -errno.FAULT;
    let end = 0;
    for (let done = 0; done < length || done === 0; done += piece_bytes) {
      const data = this.pieceOf(source, offset + done, length - done);
      end = this.ask(operation.append, { first: handle, data });
      if (end < 0) return end;
    }
    return end;
  }

  private pieceOf(source: Uint8Array, offset: number, length: number): Uint8Array {
    return source.subarray(offset, offset + Math.min(length, piece_bytes));
  }

  size(handle: number): number {
    return this.ask(operation.size, { first: handle });
  }

  truncate(handle: number, size_bytes: number): number {
    return this.ask(operation.truncate, { first: handle, second: size_bytes });
  }

  extend(handle: number, size_bytes: number): number {
    return this.ask(operation.extend, { first: handle, second: size_bytes });
  }

  sync(handle: number): number {
    return this.ask(operation.sync, { first: handle });
  }
}

function join(first: Uint8Array, second: Uint8Array): Uint8Array {
  const both = new Uint8Array(first.length + second.length);
  both.set(first);
  both.set(second, first.length);
  return both;
}

function isInside(array: Uint8Array, offset: number, length: number): boolean {
  return offset >= 0 && length >= 0 && offset + length <= array.length;
}

/** A type that came by message. */
function typeOf(number: number): FileType {
  return Object.values(fileType).find((type) => type === number) ?? fileType.unknown;
}
