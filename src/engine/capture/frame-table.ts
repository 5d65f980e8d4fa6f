/**
 * The frame table: what the frames of each function hold, in a custom section of the instrumented module. Whoever
 * reads frames (a restore that checks them, a person) finds the values with it.
 */
import { type CustomSection, sectionId } from "../wasm/module.ts";
import { ByteReader } from "../wasm/reader.ts";
import { ByteWriter } from "../wasm/writer.ts";
import type { FrameLayout } from "./frames.ts";

export const frameTableSection = "archipelago.frames";

/** What a frame of a function holds. */
export interface FrameShape {
  /** How many values of each type: i32, i64, f32, f64, v128, exceptions. */
  readonly counts: readonly number[];
  /** Call sites are numbered from 1 to this; 0 for a function that is called again. */
  readonly sites: number;
  readonly size_bytes: number;
}

const valueSizes_bytes: readonly number[] = [4, 8, 4, 8, 16];
/** Site and function number behind the values. */
const trailer_bytes = 8;

export class FrameTableWriter {
  private readonly writer = new ByteWriter(4096);
  private count = 0;

  /** @param sites how many call sites the function has; 0 for one that is called again. */
  add(number: number, sites: number, layout: FrameLayout): void {
    this.count++;
    this.writer.u32(number);
    this.writer.u32(sites);
    for (const locals of layout) this.writer.u32(locals.length);
  }

  /** The table as a section. @param exception_bytes what an exception takes in a frame. */
  section(exception_bytes: number): CustomSection {
    const contents = new ByteWriter(this.writer.position + 16);
    contents.u32(exception_bytes);
    contents.u32(this.count);
    contents.raw(this.writer.written());
    return { name: frameTableSection, contents: contents.written().slice(), after: sectionId.data };
  }
}

/** Reads a frame table: shapes by function number. */
export function readFrameTable(contents: Uint8Array): Map<number, FrameShape> {
  const reader = new ByteReader(contents);
  const shapes = new Map<number, FrameShape>();
  const sizes_bytes = [...valueSizes_bytes, reader.u32("the size of an exception")];
  const count = reader.count("functions", 8);
  for (let index = 0; index < count; index++) {
    const number = reader.u32("a function number");
    const sites = reader.u32("a number of call sites");
    const counts = sizes_bytes.map(() => reader.u32("a number of values"));
    const values_bytes = counts.reduce((sum, value, type) => sum + value * sizes_bytes[type], 0);
    shapes.set(number, { counts, sites, size_bytes: values_bytes + trailer_bytes });
  }
  return shapes;
}
