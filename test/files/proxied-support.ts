/** A file system that one endpoint owns and another one uses through its proxy, in one thread. */
import { TypedMemory } from "../../src/memory/index.ts";
import { Ramdisk } from "../../src/services/block/ramdisk.ts";
import { Ext2 } from "../../src/services/fs/ext2/ext2.ts";
import type { MakeOptions } from "../../src/services/fs/ext2/make.ts";
import { emptyStat, type FileSystem } from "../../src/services/fs/filesystem.ts";
import { ProxiedFileSystem } from "../../src/services/fs/proxied/proxy.ts";
import { FileSystemServer } from "../../src/services/fs/proxied/server.ts";
import { checkExt2, describeFindings, seriousFindings } from "../../src/simulation/fsck/fsck.ts";
import { type Node, World } from "../message/world.ts";

/** A volume on a ramdisk, whose clock stands still until it is set. */
export class Volume {
  readonly buffer: SharedArrayBuffer;
  readonly fs: Ext2;
  readonly log: string[] = [];
  now_ns = 1_700_000_000_000_000_000;

  constructor(size_bytes: number, options: MakeOptions = {}) {
    this.buffer = new SharedArrayBuffer(size_bytes);
    this.fs = Ext2.create({
      memory: TypedMemory.format(new SharedArrayBuffer(4 << 20)),
      device: new Ramdisk({ buffer: this.buffer }),
      owner: 1,
      now_ns: () => this.now_ns,
      log: (line) => this.log.push(line),
      ...options,
    });
  }

  /** What the checker says of the volume while it is mounted, nothing if it is in order. */
  findings(): string {
    const result = checkExt2(new Uint8Array(this.buffer).slice(), { mounted: true });
    return describeFindings(seriousFindings(result, "mounted"));
  }
}

export const ownerAddress = 0;
export const userAddress = 1;

export class ProxyRig {
  readonly world = new World();
  readonly owner: Node;
  readonly user: Node;
  readonly proxy: ProxiedFileSystem;

  constructor(fs: FileSystem) {
    this.owner = this.world.node(ownerAddress);
    this.user = this.world.node(userAddress);
    new FileSystemServer(this.owner.endpoint, () => fs);
    this.world.onPause = () => void this.owner.endpoint.drain();
    const { type, readOnly, rootInode } = fs;
    this.proxy = new ProxiedFileSystem({
      endpoint: this.user.endpoint,
      owner: ownerAddress,
      type,
      readOnly,
      rootInode,
    });
  }
}

/** All entries of a directory from a cookie on, or a negated errno. */
export function listing(fs: FileSystem, directory: number, cookie: number, most = Number.POSITIVE_INFINITY) {
  const entries: unknown[] = [];
  const status = fs.readDirectory(directory, cookie, (next, inode, type, name) => {
    entries.push({ next, inode, type, name: Buffer.from(name).toString("latin1") });
    return entries.length < most;
  });
  return { status, entries };
}

export function attributes(fs: FileSystem, inode: number) {
  const stat = emptyStat();
  return { status: fs.stat(inode, stat), stat };
}
