/**
 * Reads a checkpoint file. Everything but the contents of memory pages is read and checked at once; those are checked
 * when they are loaded, into a memory that nobody uses yet. So whoever restores a process knows that the file is whole
 * before anything of the system changes.
 */
import { CheckpointError, DamagedCheckpointError } from "./errors.ts";
import { FieldReader } from "./fields.ts";
import {
  type Digest,
  digest_bytes,
  page_bytes,
  type SectionType,
  sectionName,
  sectionType,
  wasmPage_bytes,
} from "./format.ts";
import type { ProgramImage, StoredCheckpoint, StoredMemory } from "./model.ts";
import { type PageRun, readRuns } from "./pages.ts";
import {
  descriptorsRecord,
  filesRecord,
  pipesRecord,
  processRecord,
  programRecord,
  type RecordCodec,
  startRecord,
  threadRecord,
} from "./records.ts";
import { type CheckpointSource, readSections, type Section } from "./sections.ts";

/** Most pages of a memory with 32-bit addresses. */
const mostPages = 65_536;
/** Pages that are read from the source at once. */
const loadedPages = 256;

/**
 * @throws CheckpointError when the file is none, too new, or holds what cannot be restored; DamagedCheckpointError when
 * it is not as it was written; what the source throws.
 */
export function decodeCheckpoint(source: CheckpointSource, digest: Digest): StoredCheckpoint {
  const parts = new Parts(readSections(source, digest));
  const program = programOf(parts);
  const threads = parts.all(sectionType.thread).map((section) => record(section, threadRecord));
  if (threads.length === 0) throw new DamagedCheckpointError("it has no thread");
  const pipes = parts.optional(sectionType.pipes);
  const checkpoint: StoredCheckpoint = {
    program,
    start: record(parts.one(sectionType.start), startRecord),
    process: record(parts.one(sectionType.process), processRecord),
    threads,
    files: record(parts.one(sectionType.files), filesRecord),
    descriptors: record(parts.one(sectionType.descriptors), descriptorsRecord),
    pipes: pipes === undefined ? [] : record(pipes, pipesRecord),
    memory: memoryOf(parts, source, digest),
  };
  checkReferences(checkpoint);
  return checkpoint;
}

/** The sections by type. */
class Parts {
  private readonly sections: readonly Section[];

  constructor(sections: readonly Section[]) {
    this.sections = sections;
  }

  all(type: SectionType): Section[] {
    return this.sections.filter((section) => section.type === type);
  }

  optional(type: SectionType): Section | undefined {
    const found = this.all(type);
    if (found.length > 1) {
      throw new DamagedCheckpointError(`it has ${found.length} sections "${sectionName[type]}"`);
    }
    return found[0];
  }

  one(type: SectionType): Section {
    const found = this.optional(type);
    if (found === undefined) throw new DamagedCheckpointError(`it has no section "${sectionName[type]}"`);
    return found;
  }
}

function record<T>({ type, payload }: Section, codec: RecordCodec<T>): T {
  const fields = new FieldReader(payload, sectionName[type]);
  const value = codec.read(fields);
  fields.end();
  return value;
}

function programOf(parts: Parts): ProgramImage {
  const program = record(parts.one(sectionType.program), programRecord);
  const module = parts.optional(sectionType.module);
  if (module === undefined) return program;
  if (module.digest !== program.hash) {
    throw new DamagedCheckpointError("the module in it is another one than that of its program");
  }
  return { ...program, module: module.payload };
}

function checkReferences({ files, descriptors, pipes, start }: StoredCheckpoint): void {
  for (const { number, file, preopen } of descriptors) {
    if (file >= files.length) throw new DamagedCheckpointError(`descriptor ${number} has no open file`);
    if (preopen > start.preopens.length) {
      throw new DamagedCheckpointError(`descriptor ${number} is directory ${preopen}, which there is not`);
    }
  }
  for (const { pipe } of files) {
    if (pipe !== null && pipe >= pipes.length) throw new DamagedCheckpointError(`there is no pipe ${pipe}`);
  }
}

/** The sections of pages, as one list of contents. */
class Contents {
  readonly count: number;
  private readonly source: CheckpointSource;
  private readonly digest: Digest;
  private readonly sections: { first: number; count: number; digests: Uint8Array; position: number }[] = [];
  /** The section that was asked for last. */
  private recent = 0;

  constructor(sections: readonly Section[], source: CheckpointSource, digest: Digest) {
    this.source = source;
    this.digest = digest;
    let first = 0;
    for (const { payload, rest } of sections) {
      const fields = new FieldReader(payload, sectionName.Page);
      const count = fields.u32();
      fields.u32();
      const digests = fields.raw(count * digest_bytes);
      fields.end();
      this.sections.push({ first, count, digests, position: rest });
      first += count;
    }
    this.count = first;
  }

  /** Reads some contents from `content` on, at most `limit`, and checks them. */
  read(content: number, limit: number): Uint8Array {
    const section = this.sectionOf(content);
    const index = content - section.first;
    const count = Math.min(limit, section.count - index, loadedPages);
    const bytes = this.source.read(section.position + index * page_bytes, count * page_bytes);
    for (let n = 0; n < count; n++) {
      const expected = section.digests.subarray((index + n) * digest_bytes, (index + n + 1) * digest_bytes);
      if (this.digest(bytes.subarray(n * page_bytes, (n + 1) * page_bytes)) !== expected.toHex()) {
        throw new DamagedCheckpointError(`page content ${content + n} does not have its checksum`);
      }
    }
    return bytes;
  }

  private sectionOf(content: number) {
    let section = this.sections[this.recent];
    if (content < section.first || content >= section.first + section.count) {
      this.recent = this.sections.findIndex(({ first, count }) => content < first + count);
      section = this.sections[this.recent];
    }
    return section;
  }
}

function memoryOf(parts: Parts, source: CheckpointSource, digest: Digest): StoredMemory | null {
  const contents = new Contents(parts.all(sectionType.pages), source, digest);
  const section = parts.optional(sectionType.memory);
  if (section === undefined) {
    if (contents.count > 0) throw new DamagedCheckpointError('it has pages, and no section "memory"');
    return null;
  }
  const fields = new FieldReader(section.payload, sectionName.Memo);
  const index = fields.u32();
  const wide = fields.oneOf("the width of addresses", fields.u32(), [0, 1]) === 1;
  const size_pages = fields.u32();
  const maximum_pages = fields.u32();
  const contentCount = fields.u32();
  if (index !== 0 || wide) {
    throw new CheckpointError("the checkpoint has a memory of a kind that this system has no programs with");
  }
  if (size_pages > maximum_pages || maximum_pages > mostPages) {
    fields.fail(`${size_pages} of at most ${maximum_pages} pages is no size of a memory`);
  }
  if (contentCount !== contents.count) {
    throw new DamagedCheckpointError(`it has ${contents.count} pages instead of ${contentCount}`);
  }
  const runs = readRuns(fields, size_pages * (wasmPage_bytes / page_bytes), contents.count);
  fields.end();
  return {
    size_pages,
    maximum_pages,
    wide,
    stored_bytes: contents.count * page_bytes,
    load: (target) => loadPages(runs, contents, target),
  };
}

function loadPages(runs: readonly PageRun[], contents: Contents, target: Uint8Array): void {
  for (const { page, count, content, repeats } of runs) {
    if (repeats) {
      const bytes = contents.read(content, 1);
      for (let n = 0; n < count; n++) target.set(bytes, (page + n) * page_bytes);
      continue;
    }
    for (let done = 0; done < count; ) {
      const bytes = contents.read(content + done, count - done);
      target.set(bytes, (page + done) * page_bytes);
      done += bytes.length / page_bytes;
    }
  }
}
