/**
 * The owner's side of a proxied file system: does what other kernels ask for. Numbers and names of a request may be
 * anything; those that mean nothing are answered by an errno, here or by the file system.
 */
import { errno } from "../../../kernel/errno.ts";
import { layoutOf, overlay } from "../../../memory/index.ts";
import type { Endpoint } from "../../../message/index.ts";
import { emptyStat, type FileSystem } from "../filesystem.ts";
import { Attributes, Entry, fileSystemRequest, operation, piece_bytes } from "./protocol.ts";

const nothing = new Uint8Array(0);
const entry_bytes = layoutOf(Entry, "lp64").size;
const encoder = new TextEncoder();

interface Answer {
  readonly result: number;
  readonly tail: Uint8Array;
}

const only = (result: number): Answer => ({ result, tail: nothing });
const text = (found: string | number): Answer =>
  typeof found === "number" ? only(found) : { result: 0, tail: encoder.encode(found) };

export class FileSystemServer {
  private readonly fileSystem: () => FileSystem;
  private readonly decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
  private readonly piece = new Uint8Array(piece_bytes);
  private readonly entries = overlay(Entry, this.piece.buffer, { format: "lp64", addressing: "address" });
  private readonly stat = emptyStat();
  private readonly attributes = new Uint8Array(layoutOf(Attributes, "lp64").size);
  private readonly attributesRecord = overlay(Attributes, this.attributes.buffer, { format: "lp64" });

  /** @param fileSystem asked for when the first request comes: it may not be mounted yet. */
  constructor(endpoint: Endpoint, fileSystem: () => FileSystem) {
    this.fileSystem = fileSystem;
    endpoint.serve(fileSystemRequest, ({ operation, first, second, third, split, tail }) => {
      // Inodes, handles, modes, cookies, lengths, positions, sizes, times: all are whole.
      if (![first, second, third].every(Number.isInteger)) return only(-errno.INVAL);
      if (split > tail.length) return only(-errno.INVAL);
      return this.invoke(operation, first, second, third, tail.subarray(0, split), tail.subarray(split));
    });
  }

  /** Does something with a name, and for some operations with a second one. */
  private named(
    names: readonly [Uint8Array, Uint8Array],
    step: (name: string, other: string) => number,
  ): Answer {
    let decoded: [string, string];
    try {
      decoded = [this.decoder.decode(names[0]), this.decoder.decode(names[1])];
    } catch {
      return only(-errno.ILSEQ);
    }
    return only(step(...decoded));
  }

  private invoke(
    wanted: number,
    first: number,
    second: number,
    third: number,
    name: Uint8Array,
    rest: Uint8Array,
  ): Answer {
    const fs = this.fileSystem();
    const named = (step: (name: string, other: string) => number) => this.named([name, rest], step);
    switch (wanted) {
      case operation.lookup:
        return named((name) => fs.lookup(first, name));
      case operation.createFile:
        return named((name) => fs.createFile(first, name, second));
      case operation.makeDirectory:
        return named((name) => fs.makeDirectory(first, name, second));
      case operation.makeSymbolicLink:
        return named((name, target) => fs.makeSymbolicLink(first, name, target));
      case operation.link:
        return named((name) => fs.link(first, second, name));
      case operation.unlink:
        return named((name) => fs.unlink(first, name));
      case operation.removeDirectory:
        return named((name) => fs.removeDirectory(first, name));
      case operation.rename:
        return named((name, newName) => fs.rename(first, name, second, newName));
      case operation.readSymbolicLink:
        return text(fs.readSymbolicLink(first));
      case operation.findPath:
        return text(fs.findPath?.(first) ?? -errno.NOSYS);
      case operation.readDirectory:
        return this.readDirectory(fs, first, second);
      case operation.stat:
        return this.attributesOf(fs, first);
      case operation.setTimes:
        return only(fs.setTimes(first, second, third));
      case operation.setMode:
        return only(fs.setMode(first, second));
      case operation.open:
        return only(fs.open(first, second !== 0));
      case operation.close:
        fs.close(first);
        return only(0);
      case operation.read:
        return this.read(fs, first, second, third);
      case operation.write:
        return only(fs.write(first, rest, 0, rest.length, second));
      case operation.append:
        return only(fs.append(first, rest, 0, rest.length));
      case operation.size:
        return only(fs.size(first));
      case operation.truncate:
        return only(fs.truncate(first, second));
      case operation.extend:
        return only(fs.extend(first, second));
      case operation.sync:
        return only(fs.sync(first));
      default:
        return only(-errno.NOSYS);
    }
  }

  private read(fs: FileSystem, handle: number, length: number, position: number): Answer {
    const wanted = Math.min(length, piece_bytes);
    if (!(wanted >= 0)) return only(-errno.INVAL);
    const count = fs.read(handle, this.piece, 0, wanted, position);
    return { result: count, tail: this.piece.subarray(0, Math.max(0, count)) };
  }

  private attributesOf(fs: FileSystem, inode: number): Answer {
    const { attributesRecord: record, stat } = this;
    const result = fs.stat(inode, stat);
    if (result < 0) return only(result);
    record.setInode(0, stat.inode);
    record.setFileType(0, stat.fileType);
    record.setLinkCount(0, stat.linkCount);
    record.setMode(0, stat.mode);
    record.setSize_bytes(0, stat.size_bytes);
    record.setAccessTime_ns(0, stat.accessTime_ns);
    record.setModificationTime_ns(0, stat.modificationTime_ns);
    record.setChangeTime_ns(0, stat.changeTime_ns);
    return { result, tail: this.attributes };
  }

  /** As many entries as fit; the result is their number. */
  private readDirectory(fs: FileSystem, directory: number, cookie: number): Answer {
    const { entries, piece } = this;
    let used = 0;
    let count = 0;
    const result = fs.readDirectory(directory, cookie, (next, inode, type, name) => {
      if (used + entry_bytes + name.length > piece_bytes) return false;
      entries.setNext(used, next);
      entries.setInode(used, inode);
      entries.setFileType(used, type);
      entries.setNameLength(used, name.length);
      piece.set(name, used + entry_bytes);
      used += entry_bytes + name.length;
      count++;
      return true;
    });
    return result < 0 ? only(result) : { result: count, tail: piece.subarray(0, used) };
  }
}
