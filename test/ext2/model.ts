/**
 * A file system in plain JavaScript that says what ext2 must answer: POSIX semantics, no blocks. Each call takes
 * the real result where it depends on room (−ENOSPC and short writes), and is told to do as much.
 */
import { errno } from "../../src/kernel/errno.ts";

const chunk_bytes = 1024;

/** File content as chunks, so that holes of gigabytes cost nothing. */
export class Content {
  size = 0;
  readonly chunks = new Map<number, Uint8Array>();

  write(source: Uint8Array, position: number): void {
    for (let done = 0; done < source.length; ) {
      const at = position + done;
      const index = Math.floor(at / chunk_bytes);
      const inChunk = at % chunk_bytes;
      const count = Math.min(source.length - done, chunk_bytes - inChunk);
      let chunk = this.chunks.get(index);
      if (chunk === undefined) {
        chunk = new Uint8Array(chunk_bytes);
        this.chunks.set(index, chunk);
      }
      chunk.set(source.subarray(done, done + count), inChunk);
      done += count;
    }
    if (source.length > 0) this.size = Math.max(this.size, position + source.length);
  }

  truncate(size: number): void {
    for (const [index, chunk] of this.chunks) {
      if (index * chunk_bytes >= size) this.chunks.delete(index);
      else if ((index + 1) * chunk_bytes > size) chunk.fill(0, size - index * chunk_bytes);
    }
    this.size = size;
  }

  read(length: number, position: number): Uint8Array {
    const target = new Uint8Array(Math.max(0, Math.min(length, this.size - position)));
    for (let done = 0; done < target.length; ) {
      const at = position + done;
      const inChunk = at % chunk_bytes;
      const count = Math.min(target.length - done, chunk_bytes - inChunk);
      const chunk = this.chunks.get(Math.floor(at / chunk_bytes));
      if (chunk !== undefined) target.set(chunk.subarray(inChunk, inChunk + count), done);
      done += count;
    }
    return target;
  }
}

export interface Node {
  readonly kind: "file" | "directory" | "link";
  readonly inode: number;
  readonly content: Content;
  readonly entries: Map<string, Node>;
  readonly target: string;
  parent: Node | undefined;
  links: number;
  mode: number;
  open: number;
}

export class Model {
  readonly root: Node = makeNode("directory", 2, 0o755, "");
  /** Every node that can still be reached, by a name or a handle. */
  readonly nodes: Node[] = [this.root];

  constructor() {
    this.root.parent = this.root;
    this.root.links = 2;
  }

  lookup(directory: Node, name: string): number {
    if (new TextEncoder().encode(name).length > 255) return -errno.NAMETOOLONG;
    if (directory.links === 0) return -errno.NOENT;
    if (directory.kind !== "directory") return -errno.NOTDIR;
    return directory.entries.get(name)?.inode ?? -errno.NOENT;
  }

  /** Why a new name cannot be made, or 0. */
  refuseName(directory: Node, name: string): number {
    const tooLong = new TextEncoder().encode(name).length > 255;
    if (tooLong) return -errno.NAMETOOLONG;
    if (directory.links === 0) return -errno.NOENT;
    if (directory.kind !== "directory") return -errno.NOTDIR;
    return directory.entries.has(name) ? -errno.EXIST : 0;
  }

  /** Adds a node of the inode number that the file system chose. */
  make(kind: Node["kind"], directory: Node, name: string, inode: number, mode: number, target = ""): Node {
    const node = makeNode(kind, inode, mode, target);
    node.parent = kind === "directory" ? directory : undefined;
    if (kind === "directory") directory.links++;
    directory.entries.set(name, node);
    this.nodes.push(node);
    return node;
  }

  refuseLink(node: Node, directory: Node, name: string): number {
    if (new TextEncoder().encode(name).length > 255) return -errno.NAMETOOLONG;
    if (directory.links === 0) return -errno.NOENT;
    if (directory.kind !== "directory") return -errno.NOTDIR;
    if (node.links === 0) return -errno.NOENT;
    if (node.kind === "directory") return -errno.PERM;
    return directory.entries.has(name) ? -errno.EXIST : 0;
  }

  link(node: Node, directory: Node, name: string): void {
    node.links++;
    directory.entries.set(name, node);
  }

  unlink(directory: Node, name: string): number {
    const found = this.#entry(directory, name);
    if (typeof found === "number") return found;
    if (found.kind === "directory") return -errno.ISDIR;
    directory.entries.delete(name);
    found.links--;
    this.#forget(found);
    return 0;
  }

  removeDirectory(directory: Node, name: string): number {
    const found = this.#entry(directory, name);
    if (typeof found === "number") return found;
    if (found.kind !== "directory") return -errno.NOTDIR;
    if (found.entries.size > 0) return -errno.NOTEMPTY;
    directory.entries.delete(name);
    directory.links--;
    found.links = 0;
    this.#forget(found);
    return 0;
  }

  /** Why a rename must fail, 0 if it must not, 1 if it does nothing. */
  refuseRename(from: Node, fromName: string, to: Node, toName: string): number {
    const tooLong = [fromName, toName].some((name) => new TextEncoder().encode(name).length > 255);
    if (tooLong) return -errno.NAMETOOLONG;
    for (const directory of [from, to]) {
      if (directory.links === 0) return -errno.NOENT;
      if (directory.kind !== "directory") return -errno.NOTDIR;
    }
    const moved = from.entries.get(fromName);
    if (moved === undefined) return -errno.NOENT;
    const target = to.entries.get(toName);
    if (moved === target) return 1;
    if (moved.kind === "directory" && from !== to) {
      for (let at: Node | undefined = to; at !== undefined; at = at === this.root ? undefined : at.parent) {
        if (at === moved) return -errno.INVAL;
      }
    }
    if (target?.kind === "directory") {
      if (moved.kind !== "directory") return -errno.ISDIR;
      if (target.entries.size > 0) return -errno.NOTEMPTY;
    } else if (target !== undefined && moved.kind === "directory") {
      return -errno.NOTDIR;
    }
    return 0;
  }

  rename(from: Node, fromName: string, to: Node, toName: string): void {
    const moved = from.entries.get(fromName);
    if (moved === undefined) throw new Error("nothing to rename");
    const target = to.entries.get(toName);
    from.entries.delete(fromName);
    to.entries.set(toName, moved);
    if (moved.kind === "directory") {
      from.links--;
      to.links++;
      moved.parent = to;
    }
    if (target?.kind === "directory") {
      to.links--;
      target.links = 0;
    } else if (target !== undefined) {
      target.links--;
    }
    if (target !== undefined) this.#forget(target);
  }

  close(node: Node): void {
    node.open--;
    this.#forget(node);
  }

  #entry(directory: Node, name: string): Node | number {
    if (new TextEncoder().encode(name).length > 255) return -errno.NAMETOOLONG;
    if (directory.links === 0) return -errno.NOENT;
    if (directory.kind !== "directory") return -errno.NOTDIR;
    return directory.entries.get(name) ?? -errno.NOENT;
  }

  #forget(node: Node): void {
    if (node.links === 0 && node.open === 0) this.nodes.splice(this.nodes.indexOf(node), 1);
  }
}

function makeNode(kind: Node["kind"], inode: number, mode: number, target: string): Node {
  const links = kind === "directory" ? 2 : 1;
  return {
    kind,
    inode,
    content: new Content(),
    entries: new Map(),
    target,
    parent: undefined,
    links,
    mode,
    open: 0,
  };
}
