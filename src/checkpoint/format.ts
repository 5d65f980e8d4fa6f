/**
 * The outermost shape of a checkpoint file: a header, sections, and a last section that vouches for the others.
 * FORMAT.md describes it for those who write other readers; this file and `records.ts` are its definition in code.
 */

/** Starts every file: a byte that no text has, then letters. */
export const signature: readonly number[] = [0x89, 0x57, 0x41, 0x53, 0x4d, 0x43, 0x4b, 0x50];

/** A reader takes any minor version of the major versions it knows: minor versions add ancillary sections only. */
export const formatVersion = { major: 1, minor: 0 } as const;

export const header_bytes = 16;
/** Type, flags, length and digest. */
export const sectionHeader_bytes = 48;
export const digest_bytes = 32;
/** Sections start at multiples of this. */
export const alignment_bytes = 8;
/** The unit in which memory is stored. */
export const page_bytes = 4096;
/** A page of a WebAssembly memory. */
export const wasmPage_bytes = 65_536;

/**
 * Kinds of sections. A capital letter first: a reader that does not know the section must refuse the file. A
 * small one: it may skip the section.
 */
export const sectionType = {
  program: "Prog",
  module: "Modu",
  start: "Strt",
  process: "Proc",
  thread: "Thrd",
  files: "File",
  descriptors: "Desc",
  pipes: "Pipe",
  pages: "Page",
  memory: "Memo",
  end: "Done",
} as const;
export type SectionType = (typeof sectionType)[keyof typeof sectionType];

/** What people call a section. */
export const sectionName: Readonly<Record<SectionType, string>> = {
  Prog: "program",
  Modu: "module",
  Strt: "arguments",
  Proc: "process",
  Thrd: "thread",
  File: "open files",
  Desc: "descriptors",
  Pipe: "pipes",
  Page: "pages",
  Memo: "memory",
  Done: "end",
};

export interface SectionHeader {
  /** Four letters. */
  readonly type: string;
  readonly length_bytes: number;
  /** SHA-256, in hexadecimal, of the payload; of a `pages` section, of its part before the contents. */
  readonly digest: string;
}

/** SHA-256 of some bytes, in hexadecimal. Handed in, since platforms have their own. */
export type Digest = (bytes: Uint8Array) => string;

export function sectionHeader({ type, length_bytes, digest }: SectionHeader): Uint8Array {
  const bytes = new Uint8Array(sectionHeader_bytes);
  const view = new DataView(bytes.buffer);
  for (let n = 0; n < 4; n++) bytes[n] = type.charCodeAt(n);
  view.setUint32(8, length_bytes >>> 0, true);
  view.setUint32(12, Math.floor(length_bytes / 2 ** 32), true);
  bytes.set(Uint8Array.fromHex(digest), 16);
  return bytes;
}

export function fileHeader(): Uint8Array {
  const bytes = new Uint8Array(header_bytes);
  bytes.set(signature);
  const view = new DataView(bytes.buffer);
  view.setUint16(8, formatVersion.major, true);
  view.setUint16(10, formatVersion.minor, true);
  return bytes;
}

/** How many zero bytes follow a payload. */
export function paddingAfter(length_bytes: number): number {
  return (alignment_bytes - (length_bytes % alignment_bytes)) % alignment_bytes;
}

/** Whether a reader that does not know a section may skip it. */
export function isAncillary(type: string): boolean {
  return type[0] >= "a" && type[0] <= "z";
}
