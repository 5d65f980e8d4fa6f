/** The root file system as an image file on the host, to be looked at or booted from later. */
import { closeSync, ftruncateSync, openSync, writeSync } from "node:fs";
import { errnoName } from "../kernel/errno.ts";
import { overlay, readBytes } from "../memory/index.ts";
import type { Services } from "../presets/services.ts";
import { Superblock, superblockOffset_bytes, volumeState } from "../services/fs/ext2/layout.ts";

const chunk_bytes = 1 << 20;

/**
 * Writes the root device to a host file, leaving holes where it holds zeros. The copy is marked clean, which
 * is true if nobody changed the file system meanwhile and no deleted file was open.
 * @throws Error when the device cannot be read or the file not be written.
 */
export function saveRoot({ root, rootDevice: device }: Services, path: string): void {
  root().syncAll();
  const file = openSync(path, "w");
  const zeros = Buffer.alloc(chunk_bytes);
  try {
    ftruncateSync(file, device.size_bytes);
    for (let offset = 0; offset < device.size_bytes; offset += chunk_bytes) {
      const length = Math.min(chunk_bytes, device.size_bytes - offset);
      const result = device.load(offset, length);
      if (result < 0) throw new Error(`${path}: the root device cannot be read: ${errnoName(result)}`);
      const chunk = readBytes(device.buffer, device.guard, device.base + offset, length);
      if (offset === 0) markClean(chunk);
      if (!zeros.subarray(0, length).equals(chunk)) writeSync(file, chunk, 0, length, offset);
    }
  } finally {
    closeSync(file);
  }
}

/** All bytes of the root device as they are now. @throws Error when it cannot be read. */
export function rootImage({ root, rootDevice: device }: Services): Uint8Array {
  root().syncAll();
  const result = device.load(0, device.size_bytes);
  if (result < 0) throw new Error(`the root device cannot be read: ${errnoName(result)}`);
  return readBytes(device.buffer, device.guard, device.base, device.size_bytes);
}

function markClean(start: Uint8Array<ArrayBuffer>): void {
  const superblock = overlay(Superblock, start.buffer, {
    format: "ilp32",
    base: superblockOffset_bytes,
    count: 1,
  });
  superblock.setState(0, superblock.state(0) | volumeState.clean);
}
