/** A temporary directory for peers, in memory where the host has such a place, removed at the end. */
import { accessSync, constants, mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

export class Workspace implements Disposable {
  private readonly root: string;
  /** What programs under `node:wasi` see as "/". */
  readonly files: string;
  /** For files that stand for standard streams. */
  readonly scratch: string;
  /** For programs, which may be forbidden where `files` is; not in memory. */
  readonly programs: string;

  constructor() {
    this.root = mkdtempSync(join(memoryDirectory(), "archipelago-bench-"));
    this.programs = mkdtempSync(join(tmpdir(), "archipelago-bench-"));
    this.files = this.make("files");
    this.scratch = this.make("scratch");
    // A benchmark is often interrupted, and what stays behind would occupy memory.
    for (const signal of ["SIGINT", "SIGTERM"] as const) {
      process.once(signal, () => {
        this[Symbol.dispose]();
        process.exit(1);
      });
    }
  }

  private make(name: string): string {
    const path = join(this.root, name);
    mkdirSync(path);
    return path;
  }

  [Symbol.dispose](): void {
    for (const path of [this.root, this.programs]) rmSync(path, { recursive: true, force: true });
  }
}

function memoryDirectory(): string {
  try {
    accessSync("/dev/shm", constants.W_OK);
    return "/dev/shm";
  } catch {
    return tmpdir();
  }
}
