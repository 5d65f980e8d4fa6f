/** Program files on the host, by the names under which the system shows them in `/bin`. */
import { closeSync, openSync, readFileSync, readSync, statSync } from "node:fs";

export interface ProgramFile {
  readonly name: string;
  /** Absolute path on the host. */
  readonly path: string;
}

export class ProgramFiles {
  private readonly paths: Map<string, string>;
  private readonly open = new Map<string, number>();
  /** Sizes, looked at once: program files do not change under a running system. */
  private readonly sizes = new Map<string, number>();

  constructor(files: readonly ProgramFile[]) {
    this.paths = new Map(files.map((file) => [file.name, file.path]));
  }

  names(): string[] {
    return [...this.paths.keys()];
  }

  /** Size in bytes; 0 for a file that is missing on the host. */
  size(name: string): number {
    const known = this.sizes.get(name);
    if (known !== undefined) return known;
    const path = this.paths.get(name);
    const size_bytes = path === undefined ? 0 : (statSync(path, { throwIfNoEntry: false })?.size ?? 0);
    this.sizes.set(name, size_bytes);
    return size_bytes;
  }

  /** Bytes read at a position; 0 at the end or when the file is missing. */
  read(name: string, target: Uint8Array, offset: number, length: number, position: number): number {
    const descriptor = this.descriptorOf(name);
    return descriptor < 0 ? 0 : readSync(descriptor, target, offset, length, position);
  }

  /** The whole file. */
  readAll(name: string): Uint8Array {
    const path = this.paths.get(name);
    if (path === undefined) throw new Error(`no program is called ${name}`);
    return readFileSync(path);
  }

  close(): void {
    for (const descriptor of this.open.values()) closeSync(descriptor);
    this.open.clear();
  }

  private descriptorOf(name: string): number {
    const known = this.open.get(name);
    if (known !== undefined) return known;
    const path = this.paths.get(name);
    if (path === undefined) return -1;
    try {
      const descriptor = openSync(path, "r");
      this.open.set(name, descriptor);
      return descriptor;
    } catch {
      return -1;
    }
  }
}
