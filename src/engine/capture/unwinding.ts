/**
 * A function that can be captured: its own code in a `try_table` that catches the unwinding of its callees,
 * saves the locals as a frame and unwinds further.
 *
 * ```wat
 * block $unwound
 *   try_table (result ...) (catch $unwind $unwound)
 *     <the code; before each call site: its number goes to a local>
 *   end
 *   return
 * end
 * <save locals, the number of the call site and of the function>
 * throw $unwind
 * ```
 *
 * As long as nothing unwinds, this costs what keeping the locals costs. Modules with exceptions of the older kind,
 * which must not be mixed with the newer, get a `try` instead.
 */

import { constant, localGet, localSet, writeValueType } from "../wasm/code.ts";
import type { Module, ValueType } from "../wasm/module.ts";
import { op } from "../wasm/opcodes.ts";
import { ByteReader } from "../wasm/reader.ts";
import type { ByteWriter } from "../wasm/writer.ts";
import { type FrameFunctions, type FrameLayout, frameLayout } from "./frames.ts";
import type { CatchEverything, Caught, FunctionSites, Keep } from "./sites.ts";

/** What the code of all functions of a module refers to. */
export interface UnwindParts {
  readonly module: Module;
  readonly frames: FrameFunctions;
  /** Tag of the exception that unwinds. */
  readonly unwind: number;
  /** Exceptions are those of the first proposal: `try`, `catch`. */
  readonly legacy: boolean;
  /** Encoded block type with these results. */
  blockType(results: readonly ValueType[]): Uint8Array;
}

/** Told that an instruction of the original with a branch hint is written next. */
export type Mark = (original: number) => void;

const catchClause = 0;

/** The locals of a frame, in its order. */
export function layoutOf(sites: FunctionSites): FrameLayout {
  const { locals, spills } = sites;
  return frameLayout([
    ...locals.map((type, index) => [index, type] as const),
    ...spills.map(({ local, type }) => [local, type] as const),
  ]);
}

/**
 * Writes the local declarations of the original, then one i32 for call sites, then more.
 * @param first declared in front of all: a resume clone has the parameters as locals.
 */
export function writeLocals(
  writer: ByteWriter,
  module: Module,
  start: number,
  sites: FunctionSites,
  added: readonly ValueType[],
  first: readonly ValueType[] = [],
): void {
  const reader = new ByteReader(module.bytes, start, sites.code);
  const count = reader.u32("a number of local declarations");
  writer.u32(first.length + count + 1 + added.length);
  for (const type of first) writeLocal(writer, type);
  writer.copy(module.bytes, reader.position, sites.code);
  writer.raw([1, 0x7f]);
  for (const type of added) writeLocal(writer, type);
}

function writeLocal(writer: ByteWriter, type: ValueType): void {
  writer.u32(1);
  writeValueType(writer, type);
}

/** Writes the start of the wrapping. The code follows, without its own `end`. */
export function beginWrapping(writer: ByteWriter, parts: UnwindParts, results: readonly ValueType[]): void {
  const type = parts.blockType(results);
  if (parts.legacy) {
    writer.u8(op.try);
    writer.raw(type);
    return;
  }
  writer.raw([op.block, 0x40, op.tryTable]);
  writer.raw(type);
  writer.raw([1, catchClause]);
  writer.u32(parts.unwind);
  writer.u32(0);
}

/**
 * Writes the rest behind the code, in place of its own `end`.
 * @param siteLocal null when there is but one place to go on from.
 */
export function endWrapping(
  writer: ByteWriter,
  parts: UnwindParts,
  layout: FrameLayout,
  siteLocal: number | null,
  functionNumber: number,
): void {
  const { frames, legacy, unwind } = parts;
  if (legacy) {
    writer.u8(op.catch);
    writer.u32(unwind);
  } else writer.raw([op.end, op.return, op.end]);
  frames.writeSave(writer, layout, () => {
    if (siteLocal === null) constant(writer, 0);
    else localGet(writer, siteLocal);
    constant(writer, functionNumber);
  });
  if (legacy) writer.u8(op.end);
  writer.u8(op.end);
}

/** Keeps operands: behind the instruction that produced them. */
export function writeKeep(writer: ByteWriter, { spills }: Keep): void {
  if (spills.length === 1) {
    writer.u8(op.localTee);
    writer.u32(spills[0].local);
    return;
  }
  for (let index = spills.length - 1; index >= 0; index--) localSet(writer, spills[index].local);
  for (const { local } of spills) localGet(writer, local);
}

/** Before a call: says where the function is, and lets go of what is dead there. */
export function writeSite(writer: ByteWriter, sites: FunctionSites, number: number): void {
  for (const local of sites.dead.get(number) ?? []) {
    localGet(writer, sites.zeros.get(sites.locals[local]) ?? local);
    localSet(writer, local);
  }
  constant(writer, number);
  localSet(writer, sites.siteLocal);
}

/** Before a `catch_all`: the unwinding is not the program's to catch. */
export function writeCatchBefore(writer: ByteWriter, unwind: number): void {
  writer.u8(op.catch);
  writer.u32(unwind);
  writer.u8(op.throw);
  writer.u32(unwind);
}

/** At the start of a `catch_all`: throws what was caught once more, to see what it is. */
export function writeFindCaught(writer: ByteWriter, { which, payloads }: Caught): void {
  if (which === null || payloads.length === 0) return;
  writer.raw([op.try, 0x40, op.rethrow, 1]);
  for (const [position, [tag, values]] of payloads.entries()) {
    writer.u8(op.catch);
    writer.u32(tag);
    for (let index = values.length - 1; index >= 0; index--) localSet(writer, values[index].local);
    constant(writer, position);
    localSet(writer, which.local);
  }
  writer.u8(op.end);
}

/** A first clause for a `try_table` that catches everything; gives where its other clauses start. */
export function writeFirstClause(
  writer: ByteWriter,
  module: Module,
  position: number,
  unwind: number,
  label: number,
): number {
  const reader = new ByteReader(module.bytes, position);
  const count = reader.u32("a number of catch clauses");
  writer.u32(count + 1);
  writer.u8(catchClause);
  writer.u32(unwind);
  writer.u32(label);
  return reader.position;
}

/** Writes the body of a function so that it can be captured. */
export function writeUnwinding(
  writer: ByteWriter,
  parts: UnwindParts,
  sites: FunctionSites,
  body: { readonly start: number; readonly end: number },
  functionNumber: number,
  hinted: readonly number[],
  mark: Mark,
): void {
  const { module } = parts;
  const added = [...sites.spills.map(({ type }) => type), ...sites.zeros.keys()];
  writeLocals(writer, module, body.start, sites, added);
  beginWrapping(writer, parts, sites.type.results);
  new EditedCopy(writer, parts, sites).write(body.end - 1, hinted, mark);
  endWrapping(writer, parts, layoutOf(sites), sites.siteLocal, functionNumber);
}

/** The original code with what is added at known positions. */
class EditedCopy {
  private readonly writer: ByteWriter;
  private readonly parts: UnwindParts;
  private readonly sites: FunctionSites;
  private copiedTo: number;

  constructor(writer: ByteWriter, parts: UnwindParts, sites: FunctionSites) {
    this.writer = writer;
    this.parts = parts;
    this.sites = sites;
    this.copiedTo = sites.code;
  }

  write(end: number, hinted: readonly number[], mark: Mark): void {
    const { sites, writer } = this;
    const { keeps, catches } = sites;
    let keep = 0;
    let site = 0;
    let caught = 0;
    let hint = 0;
    const at = (position: number | undefined): number => position ?? Number.POSITIVE_INFINITY;
    for (;;) {
      const keepAt = at(keeps[keep]?.position);
      const siteAt = at(sites.sites[site]);
      const caughtAt = at(catches[caught]?.position);
      const hintAt = at(hinted[hint]);
      const next = Math.min(keepAt, siteAt, caughtAt, hintAt);
      if (next > end) break;
      this.copyTo(next);
      if (keepAt === next) writeKeep(writer, keeps[keep++]);
      else if (siteAt === next) writeSite(writer, sites, ++site);
      else if (caughtAt === next) this.writeCatch(catches[caught++]);
      else {
        mark(next);
        hint++;
      }
    }
    this.copyTo(end);
  }

  private writeCatch(caught: CatchEverything): void {
    const { writer, parts } = this;
    if (caught.kind === "legacy") writeCatchBefore(writer, parts.unwind);
    else if (caught.kind === "caught") writeFindCaught(writer, caught.caught);
    else {
      const label = caught.depth;
      this.copiedTo = writeFirstClause(writer, parts.module, caught.position, parts.unwind, label);
    }
  }

  private copyTo(position: number): void {
    if (position <= this.copiedTo) return;
    this.writer.copy(this.parts.module.bytes, this.copiedTo, position);
    this.copiedTo = position;
  }
}
