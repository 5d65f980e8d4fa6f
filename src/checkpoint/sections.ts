/**
 * Takes a file apart into its sections and makes sure that they are the ones that were written: all of them, in
 * order, each with the content that its digest names.
 */
import { CheckpointError, DamagedCheckpointError } from "./errors.ts";
import { FieldReader } from "./fields.ts";
import {
  type Digest,
  digest_bytes,
  formatVersion,
  header_bytes,
  isAncillary,
  paddingAfter,
  page_bytes,
  type SectionType,
  sectionHeader_bytes,
  sectionName,
  sectionType,
  signature,
} from "./format.ts";

/** Where a checkpoint is read from. */
export interface CheckpointSource {
  readonly size_bytes: number;
  /** `length` bytes from `position` on, which lie inside; valid until the next call. May throw. */
  read(position: number, length: number): Uint8Array;
}

/** A source over bytes at hand. */
export function sourceOf(bytes: Uint8Array): CheckpointSource {
  return {
    size_bytes: bytes.length,
    read: (position, length) => bytes.subarray(position, position + length),
  };
}

/** A section whose payload was verified; of pages, the part before the contents. */
export interface Section {
  readonly type: SectionType;
  /** SHA-256 of `payload`, in hexadecimal. */
  readonly digest: string;
  /** The payload; of pages, the part before the contents. */
  readonly payload: Uint8Array;
  /** Where in the file what follows `payload` begins: the contents of pages. */
  readonly rest: number;
}

const known = new Map<string, SectionType>(Object.values(sectionType).map((type) => [type, type]));
/** Count and page size, before the digests of a section of pages. */
const pagesFields_bytes = 8;

/**
 * All sections but the last, which they were checked against.
 * @throws CheckpointError for a file that is something else or too new; DamagedCheckpointError.
 */
export function readSections(source: CheckpointSource, digest: Digest): Section[] {
  return new SectionReader(source, digest).read();
}

class SectionReader {
  private readonly source: CheckpointSource;
  private readonly digest: Digest;
  private readonly headers: Uint8Array[] = [];
  private at = 0;

  constructor(source: CheckpointSource, digest: Digest) {
    this.source = source;
    this.digest = digest;
  }

  read(): Section[] {
    this.readFileHeader();
    const found: Section[] = [];
    for (;;) {
      const section = this.readSection();
      if (section === null) continue;
      if (section.type !== sectionType.end) {
        found.push(section);
        continue;
      }
      this.checkEnd(section.payload);
      return found;
    }
  }

  private readFileHeader(): void {
    const { source } = this;
    if (source.size_bytes === 0) throw new CheckpointError("the checkpoint is empty; take it again");
    const start = new Uint8Array(source.read(0, Math.min(header_bytes, source.size_bytes)));
    if (signature.some((byte, index) => index < start.length && start[index] !== byte)) {
      throw new CheckpointError(
        "this is no checkpoint (it does not begin with the signature of one); give a file that a checkpoint or a snapshot was written to",
      );
    }
    if (start.length < header_bytes) throw cutOff("its header");
    const view = new DataView(start.buffer);
    const major = view.getUint16(8, true);
    if (major !== formatVersion.major) {
      throw new CheckpointError(
        `the checkpoint has version ${major} of the format, and this system reads version ${formatVersion.major}; restore it with the version of Archipelago that made it`,
      );
    }
    if (view.getUint32(12, true) !== 0) throw new DamagedCheckpointError("its header is not as it should be");
    this.headers.push(start);
    this.at = header_bytes;
  }

  /** The next section; null for one that can be skipped. */
  private readSection(): Section | null {
    const header = new Uint8Array(
      this.take(sectionHeader_bytes, `after ${this.headers.length - 1} sections`),
    );
    this.headers.push(header);
    const view = new DataView(header.buffer);
    const type = String.fromCharCode(...header.subarray(0, 4));
    const flags = view.getUint32(4, true);
    const length_bytes = view.getUint32(8, true) + view.getUint32(12, true) * 2 ** 32;
    if (!/^[A-Za-z]{4}$/.test(type) || flags !== 0) {
      throw new DamagedCheckpointError(`section ${this.headers.length - 1} has no proper header`);
    }
    const section = known.get(type);
    if (section === undefined && !isAncillary(type)) {
      throw new CheckpointError(
        `the checkpoint has a section "${type}", which this system does not know and must not ignore; restore it with the version of Archipelago that made it`,
      );
    }
    const name = section === undefined ? type : sectionName[section];
    const begin = this.at;
    if (length_bytes > this.source.size_bytes - begin) throw cutOff(`the section "${name}"`);
    const vouched_bytes = section === sectionType.pages ? this.pageTable_bytes(length_bytes) : length_bytes;
    const payload = new Uint8Array(this.take(vouched_bytes, name));
    const vouched = header.subarray(16, 16 + digest_bytes).toHex();
    if (this.digest(payload) !== vouched) {
      throw new DamagedCheckpointError(`its section "${name}" does not have its checksum`);
    }
    this.at = begin + length_bytes;
    const padding = this.take(paddingAfter(length_bytes), name);
    if (padding.some((byte) => byte !== 0)) {
      throw new DamagedCheckpointError(`there is something behind its section "${name}"`);
    }
    return section === undefined
      ? null
      : { type: section, digest: vouched, payload, rest: begin + vouched_bytes };
  }

  /** Length of a section of pages up to the contents. */
  private pageTable_bytes(length_bytes: number): number {
    if (length_bytes < pagesFields_bytes) throw cutOff('the section "pages"');
    const fields = new FieldReader(this.source.read(this.at, pagesFields_bytes), sectionName.Page);
    const count = fields.u32();
    const size_bytes = fields.u32();
    const table_bytes = pagesFields_bytes + count * digest_bytes;
    if (size_bytes !== page_bytes || table_bytes + count * page_bytes !== length_bytes) {
      throw new DamagedCheckpointError(`its section "pages" has not the length that ${count} pages have`);
    }
    return table_bytes;
  }

  private checkEnd(payload: Uint8Array): void {
    const fields = new FieldReader(payload, sectionName.Done);
    const count = fields.u32();
    // The headers of the file and of the end itself are no sections.
    if (count !== this.headers.length - 2) {
      throw new DamagedCheckpointError(`it has ${this.headers.length - 2} sections instead of ${count}`);
    }
    if (fields.raw(digest_bytes).toHex() !== this.digest(joined(this.headers.slice(0, -1)))) {
      throw new DamagedCheckpointError("its sections are not the ones that were written");
    }
    fields.end();
    const rest = this.source.size_bytes - this.at;
    if (rest !== 0) throw new DamagedCheckpointError(`${rest} bytes follow its end`);
  }

  private take(length: number, where: string): Uint8Array {
    if (length > this.source.size_bytes - this.at) throw cutOff(where);
    const bytes = length === 0 ? new Uint8Array(0) : this.source.read(this.at, length);
    this.at += length;
    return bytes;
  }
}

function cutOff(where: string): DamagedCheckpointError {
  return new DamagedCheckpointError(`the file is cut off (${where})`);
}

function joined(parts: readonly Uint8Array[]): Uint8Array {
  const whole = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}
