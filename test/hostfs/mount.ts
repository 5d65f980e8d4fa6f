/** A temporary host directory mounted as several kernels would see it. */
import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { NodeHostDirectory } from "../../src/machine/host/host-directory.ts";
import { TypedMemory } from "../../src/memory/index.ts";
import { HostFileSystem } from "../../src/services/fs/hostfs.ts";

export interface TestMount {
  /** The mounted directory on the host; its parent is only this test's. */
  readonly folder: string;
  /** One object per kernel, all over the same tables. */
  readonly kernels: HostFileSystem[];
  readonly buffer: SharedArrayBuffer;
  readonly directories: NodeHostDirectory[];
  [Symbol.dispose](): void;
}

export function mountFolder(
  options: { kernels?: number; readOnly?: boolean; nodes?: number } = {},
): TestMount {
  const above = mkdtempSync(join(tmpdir(), "archipelago-hostfs-"));
  const folder = join(above, "mount");
  mkdirSync(folder);
  const buffer = new SharedArrayBuffer(8 * 1024 * 1024);
  TypedMemory.format(buffer);
  const directories: NodeHostDirectory[] = [];
  const kernels: HostFileSystem[] = [];
  for (let kernel = 0; kernel < (options.kernels ?? 1); kernel++) {
    const directory = new NodeHostDirectory(folder, options.readOnly ?? false);
    directories.push(directory);
    const memory = TypedMemory.attach(buffer);
    const parts = { memory, name: "host.0", directory, owner: kernel + 1, nodes: options.nodes };
    kernels.push(kernel === 0 ? HostFileSystem.create(parts) : HostFileSystem.attach(parts));
  }
  return {
    folder,
    kernels,
    buffer,
    directories,
    [Symbol.dispose]() {
      for (const directory of directories) directory.dispose();
      rmSync(above, { recursive: true, force: true });
    },
  };
}

/** Names in a directory, as a program that reads `step` entries at a time gets them. */
export function listNames(fileSystem: HostFileSystem, directory: number, step = 1000): string[] {
  const names: string[] = [];
  const decoder = new TextDecoder();
  for (let cookie = 0; ; ) {
    let seen = 0;
    const result = fileSystem.readDirectory(directory, cookie, (next, _inode, _type, name) => {
      if (seen === step) return false;
      seen++;
      names.push(decoder.decode(name));
      cookie = next;
      return true;
    });
    if (result < 0) throw new Error(`readDirectory: errno ${-result}`);
    if (seen === 0) return names;
  }
}

/** Whole content of a file, by a fresh handle. */
export function contentOf(fileSystem: HostFileSystem, inode: number): string {
  const handle = fileSystem.open(inode, false);
  if (handle < 0) throw new Error(`open: errno ${-handle}`);
  const bytes = new Uint8Array(fileSystem.size(handle));
  fileSystem.read(handle, bytes, 0, bytes.length, 0);
  fileSystem.close(handle);
  return new TextDecoder().decode(bytes);
}
