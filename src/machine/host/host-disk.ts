/** An image file on the host as a disk. Every thread opens it by itself. */
import { closeSync, constants, fstatSync, fsyncSync, openSync, readSync, writeSync } from "node:fs";
import { errno } from "../../kernel/errno.ts";
import type { Disk } from "../devices.ts";

export class HostDisk implements Disk {
  readonly size_bytes: number;
  readonly readOnly: boolean;
  private readonly descriptor: number;

  /** @throws Error with the host's reason when the file cannot be opened. */
  constructor(path: string, readOnly = false) {
    this.descriptor = openSync(path, readOnly ? constants.O_RDONLY : constants.O_RDWR);
    this.size_bytes = fstatSync(this.descriptor).size;
    this.readOnly = readOnly;
  }

  read(target: Uint8Array, offset: number, length: number, position: number): number {
    try {
      let done = 0;
      while (done < length) {
        const count = readSync(this.descriptor, target, offset + done, length - done, position + done);
        if (count === 0) break;
        done += count;
      }
      return done;
    } catch {
      return -errno.IO;
    }
  }

  write(source: Uint8Array, offset: number, length: number, position: number): number {
    if (this.readOnly) return -errno.ROFS;
    try {
      let done = 0;
      while (done < length)
        done += writeSync(this.descriptor, source, offset + done, length - done, position + done);
      return done;
    } catch (error) {
      return (error as NodeJS.ErrnoException).code === "ENOSPC" ? -errno.NOSPC : -errno.IO;
    }
  }

  flush(): number {
    try {
      fsyncSync(this.descriptor);
      return 0;
    } catch {
      return -errno.IO;
    }
  }

  close(): void {
    closeSync(this.descriptor);
  }
}
