/** The layers of one kernel's view of a volume, put together. */
import { Allocator } from "./allocator.ts";
import { BlockMap } from "./block-map.ts";
import { Directories } from "./directory.ts";
import { FileData } from "./file-data.ts";
import { Inodes } from "./inodes.ts";
import { InodeLocks } from "./locks.ts";
import type { Volume } from "./volume.ts";

export interface Parts {
  readonly volume: Volume;
  readonly allocator: Allocator;
  readonly map: BlockMap;
  readonly inodes: Inodes;
  readonly directories: Directories;
  readonly data: FileData;
  readonly locks: InodeLocks;
}

export function makeParts(volume: Volume): Parts {
  const allocator = new Allocator(volume);
  const map = new BlockMap(volume, allocator);
  const inodes = new Inodes(volume, allocator, map);
  const directories = new Directories(volume, map, inodes);
  const data = new FileData(volume, map, inodes);
  return { volume, allocator, map, inodes, directories, data, locks: new InodeLocks(volume) };
}
