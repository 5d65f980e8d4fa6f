/**
 * Instrumented modules on disk: one file per module, named by its key, written beside and renamed into place.
 * Each file starts with a checksum of the rest; one that is damaged is ignored and written anew.
 */
import { createHash } from "node:crypto";
import { mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";

/** Bumped when the format of the files changes; old ones are then simply not found. */
const storeVersion = "v1";
const digest_bytes = 32;

export class HostModuleStore {
  private readonly directory: string;

  /** `directory` is made when something is first stored. */
  constructor(directory: string) {
    this.directory = join(directory, `modules-${storeVersion}`);
  }

  /** The bytes stored under a key, or undefined. */
  get(key: string): Uint8Array | undefined {
    let file: Uint8Array;
    try {
      file = readFileSync(this.path(key));
    } catch {
      return undefined;
    }
    const content = file.subarray(digest_bytes);
    return Buffer.compare(digest(content), file.subarray(0, digest_bytes)) === 0 ? content : undefined;
  }

  /** Stores bytes; that the disk is full or read-only only costs time later. */
  put(key: string, bytes: Uint8Array): void {
    const path = this.path(key);
    const temporary = `${path}.${process.pid}.${Math.random().toString(36).slice(2)}`;
    try {
      mkdirSync(this.directory, { recursive: true });
      writeFileSync(temporary, Buffer.concat([digest(bytes), bytes]));
      renameSync(temporary, path);
    } catch {
      this.discard(temporary);
    }
  }

  private discard(path: string): void {
    try {
      rmSync(path, { force: true });
    } catch {
      // There is not even a directory for it.
    }
  }

  private path(key: string): string {
    if (!/^[\w-]+$/.test(key)) throw new Error(`module key ${JSON.stringify(key)} is not a file name`);
    return join(this.directory, key);
  }
}

function digest(bytes: Uint8Array): Buffer {
  return createHash("sha256").update(bytes).digest();
}
