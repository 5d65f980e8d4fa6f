/**
 * Files of the system for the code that booted it. Calls go straight to the shared file service, as a
 * program's would; paths are absolute.
 */
import { errno } from "../kernel/errno.ts";
import type { Services } from "../presets/services.ts";
import { emptyStat, fileType, type Stat } from "../services/fs/filesystem.ts";
import { SystemError, succeed } from "./errors.ts";

export interface DirectoryEntry {
  readonly name: string;
  readonly type: "file" | "directory" | "symlink" | "other";
}

export interface FileStatus extends DirectoryEntry {
  readonly size_bytes: number;
  readonly modified: Date;
  readonly mode: number;
  readonly linkCount: number;
}

const chunk_bytes = 1 << 20;
const openForReading = {
  followLast: true,
  create: false,
  exclusive: false,
  directory: false,
  truncate: false,
  read: true,
  write: false,
  flags: 0,
  mode: 0o644,
};

export class FileAccess {
  private readonly services: Services;
  private rootFile = 0;

  constructor(services: Services) {
    this.services = services;
  }

  /** The whole file. @throws SystemError */
  read(path: string): Uint8Array {
    const { files } = this.services;
    const file = this.open(path, {});
    try {
      const pieces: Uint8Array[] = [];
      let total = 0;
      for (;;) {
        const piece = new Uint8Array(chunk_bytes);
        const count = succeed(files.readAt(file, piece, 0, piece.length, total), path);
        if (count === 0) break;
        pieces.push(piece.subarray(0, count));
        total += count;
      }
      const whole = new Uint8Array(total);
      let at = 0;
      for (const piece of pieces) {
        whole.set(piece, at);
        at += piece.length;
      }
      return whole;
    } finally {
      files.release(file);
    }
  }

  readText(path: string): string {
    return new TextDecoder().decode(this.read(path));
  }

  /** Creates or replaces a file. @throws SystemError */
  write(path: string, content: string | Uint8Array, mode = 0o644): void {
    const { files } = this.services;
    const bytes = typeof content === "string" ? new TextEncoder().encode(content) : content;
    const file = this.open(path, { create: true, truncate: true, write: true, read: false, mode });
    try {
      for (let sent = 0; sent < bytes.length; ) {
        sent += succeed(files.writeAt(file, bytes, sent, bytes.length - sent, sent), path);
      }
    } finally {
      files.release(file);
    }
  }

  /** Entries of a directory, by name, without "." and "..". */
  list(path: string): DirectoryEntry[] {
    const { files } = this.services;
    const file = this.open(path, { directory: true });
    try {
      const found: DirectoryEntry[] = [];
      const decoder = new TextDecoder("utf-8", { ignoreBOM: true });
      const result = files.readDirectory(file, 0, (_next, _inode, type, name) => {
        const decoded = decoder.decode(name.slice());
        if (decoded !== "." && decoded !== "..") found.push({ name: decoded, type: typeName(type) });
        return true;
      });
      succeed(result, path);
      return found.sort((a, b) => (a.name < b.name ? -1 : 1));
    } finally {
      files.release(file);
    }
  }

  /** Makes a directory, and those above it when `recursive`. */
  makeDirectory(path: string, options: { readonly recursive?: boolean } = {}): void {
    const { files } = this.services;
    const root = this.root();
    if (options.recursive !== true) {
      succeed(files.makeDirectory(root, relative(path), 0o755), path);
      return;
    }
    let soFar = "";
    for (const part of path.split("/").filter((name) => name !== "")) {
      soFar += `/${part}`;
      const result = files.makeDirectory(root, relative(soFar), 0o755);
      if (result < 0 && result !== -errno.EXIST) throw new SystemError(result, soFar);
    }
  }

  /** Removes a file, a symbolic link or an empty directory. */
  remove(path: string): void {
    const { files } = this.services;
    const result = files.unlink(this.root(), relative(path));
    const isDirectory = result === -errno.ISDIR || result === -errno.PERM;
    succeed(isDirectory ? files.removeDirectory(this.root(), relative(path)) : result, path);
  }

  rename(from: string, to: string): void {
    succeed(
      this.services.files.rename(this.root(), relative(from), this.root(), relative(to)),
      `${from} → ${to}`,
    );
  }

  makeSymbolicLink(target: string, path: string): void {
    succeed(this.services.files.makeSymbolicLink(target, this.root(), relative(path)), path);
  }

  exists(path: string): boolean {
    return this.services.files.statPath(this.root(), relative(path), true, emptyStat()) >= 0;
  }

  stat(path: string): FileStatus {
    const stat = emptyStat();
    succeed(this.services.files.statPath(this.root(), relative(path), true, stat), path);
    return statusOf(path, stat);
  }

  /** Makes all file systems durable: the root image, host files. */
  sync(): void {
    this.services.sync();
  }

  /** @internal An open file for a directory, to be handed to a process. */
  openDirectory(path: string): number {
    return this.open(path, { directory: true });
  }

  /** @internal An open file; the caller releases it. @throws SystemError */
  open(path: string, options: Partial<typeof openForReading>): number {
    return succeed(
      this.services.files.openPath(this.root(), relative(path), { ...openForReading, ...options }),
      path,
    );
  }

  private root(): number {
    if (this.rootFile === 0) {
      const { mounts, files } = this.services;
      const mount = mounts.root();
      this.rootFile = succeed(files.openDirectory(mount, mounts.fileSystem(mount).rootInode), "/");
    }
    return this.rootFile;
  }
}

/** The file service resolves paths below a directory. */
function relative(path: string): string {
  if (!path.startsWith("/")) throw new RangeError(`${JSON.stringify(path)} is not an absolute path`);
  const rest = path.replace(/^\/+/, "");
  return rest === "" ? "." : rest;
}

function typeName(type: number): DirectoryEntry["type"] {
  if (type === fileType.regularFile) return "file";
  if (type === fileType.directory) return "directory";
  return type === fileType.symbolicLink ? "symlink" : "other";
}

function statusOf(path: string, stat: Stat): FileStatus {
  return {
    name: path.slice(path.lastIndexOf("/") + 1),
    type: typeName(stat.fileType),
    size_bytes: stat.size_bytes,
    modified: new Date(stat.modificationTime_ns / 1e6),
    mode: stat.mode,
    linkCount: stat.linkCount,
  };
}
