/** What a host directory tells about a file, in the terms of `filesystem.ts`. */
import type { HostStatus } from "../../machine/devices.ts";
import { type FileType, fileType } from "./filesystem.ts";

const typeMask = 0o170000;
const typesOfMode: ReadonlyMap<number, FileType> = new Map<number, FileType>([
  [0o100000, fileType.regularFile],
  [0o040000, fileType.directory],
  [0o120000, fileType.symbolicLink],
  [0o060000, fileType.blockDevice],
  [0o020000, fileType.characterDevice],
  [0o140000, fileType.socketStream],
]);

/** The WASI type of a file, from its POSIX mode; FIFOs have none. */
export function typeOf(status: HostStatus): FileType {
  return typesOfMode.get(status.mode & typeMask) ?? fileType.unknown;
}

export function isDirectory(status: HostStatus): boolean {
  return (status.mode & typeMask) === 0o040000;
}

export function emptyStatus(): HostStatus {
  return {
    device: 0,
    inodeLow: 0,
    inodeHigh: 0,
    mode: 0,
    linkCount: 0,
    size_bytes: 0,
    accessTime_ns: 0,
    modificationTime_ns: 0,
    changeTime_ns: 0,
  };
}
