/** Writes a process as a checkpoint file, from front to back: nothing written is ever changed. */
import { FieldWriter } from "./fields.ts";
import {
  type Digest,
  fileHeader,
  paddingAfter,
  page_bytes,
  type SectionType,
  sectionHeader,
  sectionType,
} from "./format.ts";
import type { Checkpoint, MemoryImage } from "./model.ts";
import { PageCollector, writeRuns } from "./pages.ts";
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

/** Takes the next bytes of the file; they are only good until it returns. */
export type CheckpointSink = (bytes: Uint8Array) => void;

/** What a file takes. */
export interface CheckpointSize {
  readonly file_bytes: number;
  /** Pages of memory that are not zero, and different ones among them. */
  readonly pages: number;
  readonly contents: number;
}

/**
 * Writes the whole file. The process must stand still meanwhile.
 * @throws what the sink throws; the file is then not complete, which a reader finds.
 */
export function encodeCheckpoint(
  checkpoint: Checkpoint,
  digest: Digest,
  sink: CheckpointSink,
): CheckpointSize {
  return new Encoder(digest, sink).encode(checkpoint);
}

class Encoder {
  private readonly digest: Digest;
  private readonly sink: CheckpointSink;
  /** What the end vouches for: the headers of the file and of all sections. */
  private readonly headers = new FieldWriter();
  private sections = 0;
  private written_bytes = 0;
  private pages = 0;
  private contents = 0;

  constructor(digest: Digest, sink: CheckpointSink) {
    this.digest = digest;
    this.sink = sink;
  }

  encode(checkpoint: Checkpoint): CheckpointSize {
    const start = fileHeader();
    this.headers.raw(start);
    this.put(start);
    this.record(sectionType.program, programRecord, checkpoint.program);
    const { module } = checkpoint.program;
    if (module !== null) this.section(sectionType.module, module);
    this.record(sectionType.start, startRecord, checkpoint.start);
    this.record(sectionType.process, processRecord, checkpoint.process);
    for (const thread of checkpoint.threads) this.record(sectionType.thread, threadRecord, thread);
    this.record(sectionType.files, filesRecord, checkpoint.files);
    this.record(sectionType.descriptors, descriptorsRecord, checkpoint.descriptors);
    if (checkpoint.pipes.length > 0) this.record(sectionType.pipes, pipesRecord, checkpoint.pipes);
    if (checkpoint.memory !== null) this.memory(checkpoint.memory);
    this.end();
    return { file_bytes: this.written_bytes, pages: this.pages, contents: this.contents };
  }

  private record<T>(type: SectionType, codec: RecordCodec<T>, value: T): void {
    const fields = new FieldWriter();
    codec.write(fields, value);
    this.section(type, fields.written());
  }

  private memory(memory: MemoryImage): void {
    const collector = new PageCollector(this.digest);
    for (const { count, digests, contents } of collector.collect(memory.bytes)) {
      const fields = new FieldWriter();
      fields.u32(count);
      fields.u32(page_bytes);
      fields.raw(digests);
      this.section(sectionType.pages, fields.written(), contents);
    }
    const fields = new FieldWriter();
    fields.u32(0);
    fields.u32(memory.wide ? 1 : 0);
    fields.u32(memory.size_pages);
    fields.u32(memory.maximum_pages);
    fields.u32(collector.contentCount);
    writeRuns(fields, collector.runs);
    this.section(sectionType.memory, fields.written());
    this.contents = collector.contentCount;
    for (const { count } of collector.runs) this.pages += count;
  }

  /** The digest covers `vouched` only: `rest` has digests of its own in it. */
  private section(type: SectionType, vouched: Uint8Array, rest?: Uint8Array): void {
    const length_bytes = vouched.length + (rest?.length ?? 0);
    const header = sectionHeader({ type, length_bytes, digest: this.digest(vouched) });
    this.headers.raw(header);
    this.sections++;
    this.put(header);
    this.put(vouched);
    if (rest !== undefined) this.put(rest);
    this.put(new Uint8Array(paddingAfter(length_bytes)));
  }

  private end(): void {
    const fields = new FieldWriter();
    fields.u32(this.sections);
    fields.raw(Uint8Array.fromHex(this.digest(this.headers.written())));
    this.section(sectionType.end, fields.written());
  }

  private put(bytes: Uint8Array): void {
    if (bytes.length === 0) return;
    this.sink(bytes);
    this.written_bytes += bytes.length;
  }
}
