/**
 * Describes what a process has open, for a checkpoint. An open file does not keep the path it was opened by, and may
 * have been renamed since, so paths are looked for in the trees of the file systems.
 */
import { type DescriptorImage, type FileImage, fileKind, type PipeImage } from "../../checkpoint/index.ts";
import type { Areas } from "../../kernel/areas.ts";
import { errnoName } from "../../kernel/errno.ts";
import { limits, openFileKind } from "../../kernel/state.ts";
import { deviceNumber } from "../device/devices.ts";
import type { Files } from "./files.ts";
import { emptyStat, type FileSystem, fileType } from "./filesystem.ts";

/** Directory entries that are looked at in order to find the paths of open files. */
const searchedEntries_max = 500_000;

/** Everything that a process has open. */
export interface FileImages {
  readonly files: readonly FileImage[];
  readonly descriptors: readonly DescriptorImage[];
  readonly pipes: readonly PipeImage[];
}

export interface DescribeOptions {
  /** Descriptors that cannot be taken along are left out, and closed in the restored process. */
  readonly leaveOut: boolean;
}

/** What the description looks at. */
export type DescribedAreas = Pick<Areas, "openFiles" | "descriptors" | "pipes">;

/** An open file of a process, while it is being described. */
interface Held {
  readonly file: number;
  readonly descriptors: number[];
}

/** Describes what one process, which stands still, has open. */
export class FileDescription {
  private readonly areas: DescribedAreas;
  private readonly files: Files;
  private readonly slot: number;
  private readonly held = new Map<number, Held>();

  constructor(areas: DescribedAreas, files: Files, slot: number) {
    this.areas = areas;
    this.files = files;
    this.slot = slot;
    for (let fd = 0; fd < limits.descriptorsPerProcess; fd++) {
      const file = areas.descriptors.entriesFile(slot, fd);
      if (file === 0) continue;
      const known = this.held.get(file);
      if (known !== undefined) known.descriptors.push(fd);
      else this.held.set(file, { file, descriptors: [fd] });
    }
  }

  /** All of it, or a text that says what cannot be taken along, and why. */
  make({ leaveOut }: DescribeOptions): FileImages | string {
    const paths = this.findPaths();
    const own = this.ownPipes();
    const files: FileImage[] = [];
    const indexes = new Map<number, number>();
    for (const { file, descriptors } of this.held.values()) {
      const image = this.imageOf(file, descriptors, paths, own);
      if (typeof image !== "string") {
        indexes.set(file, files.length);
        files.push(image);
      } else if (!leaveOut) return image;
    }
    const pipes = own.map(({ pipe, reader }) => this.pipeImage(pipe, reader));
    return { files, descriptors: this.descriptorImages(indexes), pipes };
  }

  private imageOf(
    file: number,
    descriptors: readonly number[],
    paths: ReadonlyMap<number, string>,
    own: readonly { pipe: number }[],
  ): FileImage | string {
    const { records } = this.areas.openFiles;
    const common = { flags: records.flags(file), position: 0, size_bytes: 0, modificationTime_ns: 0 };
    const kind = records.kind(file);
    if (kind === openFileKind.pipeReader || kind === openFileKind.pipeWriter) {
      const index = own.findIndex(({ pipe }) => pipe === records.object(file));
      if (index < 0 && descriptors.every((fd) => fd > 2)) {
        return `descriptor ${descriptors[0]} is a pipe to another process, which a checkpoint cannot hold; take it with the descriptors that cannot be restored left out, and they will be closed`;
      }
      const reads = kind === openFileKind.pipeReader;
      return {
        ...common,
        kind: reads ? fileKind.pipeReader : fileKind.pipeWriter,
        path: "",
        pipe: index < 0 ? null : index,
      };
    }
    if (kind === openFileKind.socket) {
      return `descriptor ${descriptors[0]} is a socket, which a checkpoint cannot hold; take it with the descriptors that cannot be restored left out, and they will be closed`;
    }
    const path = paths.get(file);
    if (path === undefined) {
      return `descriptor ${descriptors[0]} is a file that has no name any more, so that it could not be opened again; take the checkpoint with the descriptors that cannot be restored left out, and they will be closed`;
    }
    if (kind === openFileKind.device) return { ...common, kind: fileKind.device, path, pipe: null };
    if (kind === openFileKind.directory) return { ...common, kind: fileKind.directory, path, pipe: null };
    const stat = emptyStat();
    const result = this.files.stat(file, stat);
    if (result < 0) return `${path}, descriptor ${descriptors[0]}, cannot be looked at: ${errnoName(result)}`;
    return {
      kind: fileKind.file,
      path,
      flags: common.flags,
      position: records.position(file),
      size_bytes: stat.size_bytes,
      modificationTime_ns: stat.modificationTime_ns,
      pipe: null,
    };
  }

  private descriptorImages(indexes: ReadonlyMap<number, number>): DescriptorImage[] {
    const tables = this.areas.descriptors;
    const { slot } = this;
    const found: DescriptorImage[] = [];
    for (const { file, descriptors } of this.held.values()) {
      const index = indexes.get(file);
      if (index === undefined) continue;
      for (const number of descriptors) {
        found.push({
          number,
          file: index,
          rights: tables.entriesRights(slot, number),
          inheriting: tables.entriesInheriting(slot, number),
          preopen: tables.entriesPreopen(slot, number),
        });
      }
    }
    return found.sort((a, b) => a.number - b.number);
  }

  /** Pipes whose both ends nobody but this process has. */
  private ownPipes(): { pipe: number; reader: number }[] {
    const { records } = this.areas.openFiles;
    const pipes = this.areas.pipes.records;
    const ends = new Map<number, { reader: number; writer: number }>();
    for (const { file, descriptors } of this.held.values()) {
      const kind = records.kind(file);
      if (kind !== openFileKind.pipeReader && kind !== openFileKind.pipeWriter) continue;
      if (records.references(file) !== descriptors.length) continue;
      const pipe = records.object(file);
      const both = ends.get(pipe) ?? { reader: 0, writer: 0 };
      both[kind === openFileKind.pipeReader ? "reader" : "writer"] = file;
      ends.set(pipe, both);
    }
    const own: { pipe: number; reader: number }[] = [];
    for (const [pipe, { reader, writer }] of ends) {
      // An end that nobody has any more needs nothing from outside either.
      const readersHere = reader === 0 ? 0 : 1;
      const writersHere = writer === 0 ? 0 : 1;
      if (pipes.readers(pipe) === readersHere && pipes.writers(pipe) === writersHere)
        own.push({ pipe, reader });
    }
    return own;
  }

  private pipeImage(pipe: number, reader: number): PipeImage {
    const records = this.areas.pipes.records;
    const capacity_bytes = records.capacity_bytes(pipe);
    if (reader === 0) return { capacity_bytes, content: new Uint8Array(0) };
    return { capacity_bytes, content: this.files.pipeContent(reader) };
  }

  /** Paths of the open files that have one. */
  private findPaths(): Map<number, string> {
    const { records } = this.areas.openFiles;
    const byMount = new Map<number, Map<number, number[]>>();
    const paths = new Map<number, string>();
    for (const { file } of this.held.values()) {
      const mount = records.mount(file);
      if (mount === 0) {
        if (records.kind(file) === openFileKind.device) this.nameDevice(file, paths);
        continue;
      }
      const inodes = byMount.get(mount) ?? new Map<number, number[]>();
      byMount.set(mount, inodes);
      const inode = records.inode(file);
      inodes.set(inode, [...(inodes.get(inode) ?? []), file]);
    }
    for (const { mount, path } of this.files.mounts.list()) {
      const inodes = byMount.get(mount);
      if (inodes === undefined) continue;
      const fileSystem = this.files.mounts.fileSystem(mount);
      searchTree(fileSystem, path === "/" ? "" : path, inodes, (file, found) => paths.set(file, found));
    }
    return paths;
  }

  /** A standard stream can be a device that was opened without a name. */
  private nameDevice(file: number, paths: Map<number, string>): void {
    const number = this.areas.openFiles.records.object(file);
    const known = Object.entries(deviceNumber).find(([, one]) => one === number);
    if (known !== undefined) paths.set(file, `/dev/${known[0]}`);
  }
}

/** Looks for inodes in a file system, breadth first, until all are found or too much was looked at. */
function searchTree(
  fileSystem: FileSystem,
  mountPath: string,
  wanted: Map<number, number[]>,
  found: (file: number, path: string) => void,
): void {
  const missing = new Set(wanted.keys());
  const note = (inode: number, path: string) => {
    if (!missing.delete(inode)) return;
    for (const file of wanted.get(inode) ?? []) found(file, path);
  };
  note(fileSystem.rootInode, mountPath === "" ? "/" : mountPath);
  if (fileSystem.findPath !== undefined) {
    for (const inode of [...missing]) {
      const path = fileSystem.findPath(inode);
      if (typeof path === "string") note(inode, `${mountPath}/${path}`);
    }
    return;
  }
  const decoder = new TextDecoder("utf-8", { ignoreBOM: true });
  const queue = [{ inode: fileSystem.rootInode, path: mountPath }];
  let entries = 0;
  for (let next = queue.shift(); next !== undefined && missing.size > 0; next = queue.shift()) {
    const { inode: directory, path } = next;
    const result = fileSystem.readDirectory(directory, 0, (_next, inode, type, nameBytes) => {
      if (++entries > searchedEntries_max) return false;
      const isDirectory = type === fileType.directory;
      if (!isDirectory && !missing.has(inode)) return true;
      const name = decoder.decode(nameBytes.slice());
      if (name === "." || name === "..") return true;
      note(inode, `${path}/${name}`);
      if (isDirectory) queue.push({ inode, path: `${path}/${name}` });
      return missing.size > 0;
    });
    // A directory that cannot be read hides what is in it.
    if (result < 0) continue;
    if (entries > searchedEntries_max) return;
  }
}
