/**
 * What a process has open, as data that outlives the system: for checkpoints. Files are known by their paths, and must
 * be what they were when they are opened again.
 *
 * Pipes: one whose both ends belong to the process alone is taken along with its content. Any other has an end that
 * belongs to somebody else, and whoever restores the process must connect it anew.
 */
import { type DescriptorImage, type FileImage, fileKind, type PipeImage } from "../../checkpoint/index.ts";
import { errnoName } from "../../kernel/errno.ts";
import {
  type DescribedAreas,
  type DescribeOptions,
  FileDescription,
  type FileImages,
} from "./describe-files.ts";
import { type Files, whence } from "./files.ts";
import { emptyStat, fileType } from "./filesystem.ts";

/** WASI's right to write. */
const writeRight = 1 << 6;
/** Bytes that a pipe can hold when it is made. */
const pipeContent_bytes_max = 65_536;

export interface OpenOptions {
  /** Open files for descriptors 0 to 2 in place of what they were; 0 to open again what they were. */
  readonly streams: readonly number[];
  /** Files that have changed since are opened all the same. */
  readonly acceptChanges: boolean;
}

/** Takes down and puts up what processes have open, on one core. */
export class FileImaging {
  private readonly areas: DescribedAreas;
  private readonly files: Files;

  constructor(areas: DescribedAreas, files: Files) {
    this.areas = areas;
    this.files = files;
  }

  /** What a process that stands still has open; a text that says what cannot be taken along, and why. */
  describe(slot: number, options: DescribeOptions): FileImages | string {
    return new FileDescription(this.areas, this.files, slot).make(options);
  }

  /**
   * Opens everything for a process that has nothing open yet. Null, or a text that says what is not possible; then
   * nothing is open. References of `streams` stay with the caller.
   */
  open(slot: number, images: FileImages, options: OpenOptions): string | null {
    const opened: number[] = [];
    try {
      const failure = this.openAll(images, options, opened);
      if (failure !== null) return failure;
      for (const { number, file, rights, inheriting, preopen } of images.descriptors) {
        const replacement = number < options.streams.length ? options.streams[number] : 0;
        const target = replacement === 0 ? opened[file] : replacement;
        this.files.retain(target);
        this.files.installAt(
          slot,
          number,
          target,
          rights,
          inheriting,
          preopen === 0 ? undefined : preopen - 1,
        );
      }
      return null;
    } finally {
      for (const file of opened) if (file > 0) this.files.release(file);
    }
  }

  /** Open files by index; each carries a reference. 0 where every descriptor has a replacement. */
  private openAll(
    images: FileImages,
    { streams, acceptChanges }: OpenOptions,
    opened: number[],
  ): string | null {
    const pipes = images.pipes.map(() => ({ reader: 0, writer: 0 }));
    const root = this.files.openRoot();
    if (root < 0) return "there is no file system";
    try {
      for (const [index, image] of images.files.entries()) {
        const users = images.descriptors.filter(({ file }) => file === index);
        const replacement = users.map(({ number }) => streams[number] ?? 0).find((file) => file !== 0);
        const whole = users.every(({ number }) => (streams[number] ?? 0) !== 0);
        if (replacement !== undefined && (whole || isStream(image))) {
          this.files.retain(replacement);
          opened.push(replacement);
          continue;
        }
        const file = this.openOne(root, image, users, images.pipes, pipes, acceptChanges);
        if (typeof file === "string") return file;
        opened.push(file);
      }
      return null;
    } finally {
      this.files.release(root);
      // The other ends of pipes that had one end left.
      for (const { reader, writer } of pipes) {
        if (reader > 0) this.files.release(reader);
        if (writer > 0) this.files.release(writer);
      }
    }
  }

  private openOne(
    root: number,
    image: FileImage,
    users: readonly DescriptorImage[],
    pipeImages: readonly PipeImage[],
    pipes: { reader: number; writer: number }[],
    acceptChanges: boolean,
  ): number | string {
    if (image.kind === fileKind.pipeReader || image.kind === fileKind.pipeWriter) {
      const number = users[0]?.number ?? -1;
      if (image.pipe === null) {
        return `descriptor ${number} was a pipe to another process, and is not connected to anything now`;
      }
      return this.takePipeEnd(image, pipeImages[image.pipe], pipes[image.pipe]);
    }
    const writes = users.some(({ rights }) => (rights & writeRight) !== 0);
    const file = this.files.openPath(root, relative(image.path), {
      followLast: true,
      create: false,
      exclusive: false,
      directory: image.kind === fileKind.directory,
      truncate: false,
      read: true,
      write: writes && image.kind !== fileKind.directory,
      flags: image.flags,
      mode: 0,
    });
    if (file < 0) return `${image.path}, which the process had open, cannot be opened: ${errnoName(file)}`;
    const refusal = image.kind === fileKind.file ? this.position(file, image, acceptChanges) : null;
    if (refusal === null) return file;
    this.files.release(file);
    return refusal;
  }

  private position(file: number, image: FileImage, acceptChanges: boolean): string | null {
    const stat = emptyStat();
    const result = this.files.stat(file, stat);
    if (result < 0) return `${image.path}, which the process had open: ${errnoName(result)}`;
    if (stat.fileType !== fileType.regularFile) return `${image.path} is not a file any more`;
    const changed =
      stat.size_bytes !== image.size_bytes ||
      Math.abs(stat.modificationTime_ns - image.modificationTime_ns) > timeTolerance_ns;
    if (changed && !acceptChanges) {
      return `${image.path}, which the process had open, has changed since; restore it as it was, or accept changed files`;
    }
    this.files.seek(file, image.position, whence.set);
    return null;
  }

  /** One end of a pipe that is made, with its content, when the first of its ends is asked for. */
  private takePipeEnd(
    image: FileImage,
    pipe: PipeImage,
    ends: { reader: number; writer: number },
  ): number | string {
    if (ends.reader === 0 && ends.writer === 0) {
      const made = this.files.makePipe();
      if (typeof made === "number") return `there is no pipe left: ${errnoName(made)}`;
      ends.reader = made.reader;
      ends.writer = made.writer;
      for (let done = 0; done < pipe.content.length; ) {
        const length = Math.min(pipeContent_bytes_max, pipe.content.length - done);
        const count = this.files.write(ends.writer, pipe.content, done, length);
        if (count <= 0) return "the content of a pipe has no room in it";
        done += count;
      }
    }
    const end = image.kind === fileKind.pipeReader ? "reader" : "writer";
    const file = ends[end];
    if (file <= 0) return "an end of a pipe is there twice";
    ends[end] = -1;
    this.files.setFlags(file, image.flags);
    return file;
  }
}

/** File systems keep times in different units. */
const timeTolerance_ns = 2000;

/** Something that a person or another process is at the other end of. */
function isStream({ kind, path }: FileImage): boolean {
  return (
    kind === fileKind.pipeReader ||
    kind === fileKind.pipeWriter ||
    (kind === fileKind.device && terminalPaths.includes(path))
  );
}

export const terminalPaths: readonly string[] = ["/dev/tty", "/dev/console"];

/** The file service resolves paths below a directory. */
function relative(path: string): string {
  const rest = path.replace(/^\/+/, "");
  return rest === "" ? "." : rest;
}
