/** `/dev`: one node for each registered device. Opening a node is the business of `names.ts`. */
import { errno } from "../../kernel/errno.ts";
import type { Devices } from "../device/devices.ts";
import { fileType, type Stat } from "./filesystem.ts";
import { type SyntheticEntry, SyntheticFileSystem } from "./synthetic.ts";

/** Device n is inode n + 1. */
const firstInode = 1;

export class DeviceFileSystem extends SyntheticFileSystem {
  override readonly type = "dev";
  private readonly devices: Devices;
  private readonly time_ns: number;

  /** `time_ns` is what all nodes show as their times: when the system was booted. */
  constructor(devices: Devices, time_ns: number) {
    super();
    this.devices = devices;
    this.time_ns = time_ns;
  }

  /** Number of the device behind an inode, 0 for the directory. */
  deviceNumber(inode: number): number {
    return inode - firstInode;
  }

  override lookup(directory: number, name: string): number {
    if (directory !== this.rootInode) return -errno.NOTDIR;
    const number = this.devices.find(name);
    return number === 0 ? -errno.NOENT : number + firstInode;
  }

  override stat(inode: number, into: Stat): number {
    const isRoot = inode === this.rootInode;
    if (!isRoot && this.devices.get(this.deviceNumber(inode)) === undefined) return -errno.NOENT;
    into.inode = inode;
    into.fileType = isRoot ? fileType.directory : fileType.characterDevice;
    into.linkCount = isRoot ? 2 : 1;
    into.mode = isRoot ? 0o755 : 0o666;
    into.size_bytes = 0;
    into.accessTime_ns = this.time_ns;
    into.modificationTime_ns = this.time_ns;
    into.changeTime_ns = this.time_ns;
    return 0;
  }

  /** The inode is its own handle: nothing of this file system goes away. */
  override open(inode: number): number {
    return inode === this.rootInode || this.devices.get(this.deviceNumber(inode)) !== undefined
      ? inode
      : -errno.NOENT;
  }

  override close(): void {}

  override read(handle: number): number {
    return handle === this.rootInode ? -errno.ISDIR : -errno.IO;
  }

  override size(): number {
    return 0;
  }

  protected override entries(directory: number): readonly SyntheticEntry[] | undefined {
    if (directory !== this.rootInode) return undefined;
    return this.devices.list().map(({ number, device }) => ({
      name: device.name,
      inode: number + firstInode,
      type: fileType.characterDevice,
    }));
  }

  protected override parent(): number {
    return this.rootInode;
  }
}
