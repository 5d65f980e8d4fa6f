/**
 * Reads the stack of a captured thread, frame by frame, with the frame table of its program: to check that the two
 * belong together, and for people.
 */
import type { FrameShape } from "../engine/capture/frame-table.ts";
import { DamagedCheckpointError } from "./errors.ts";

/** One call that has not returned. */
export interface Frame {
  /** Index of the function in the original module. */
  readonly function: number;
  /** Where in the function: its call sites are numbered from 1; 0 for a function that is called again. */
  readonly site: number;
  /** Values by type: i32, i64, f32, f64 as numbers, v128 as 32 hexadecimal digits. */
  readonly i32: readonly number[];
  readonly i64: readonly bigint[];
  readonly f32: readonly number[];
  readonly f64: readonly number[];
  readonly v128: readonly string[];
  /** Exceptions that the program holds on to, in hexadecimal: what they carry, then the number of their tag. */
  readonly exceptions: readonly string[];
}

/** Behind the values: site and function. */
const trailer_bytes = 8;

/** Visits the frames, outermost first: the place of each, and what it is. */
function visitFrames(
  frames: Uint8Array,
  shapes: ReadonlyMap<number, FrameShape>,
  visit: (start: number, shape: FrameShape, functionNumber: number, site: number) => void,
): void {
  const view = new DataView(frames.buffer, frames.byteOffset, frames.length);
  for (let end = frames.length; end > 0; ) {
    if (end < trailer_bytes) throw new DamagedCheckpointError("its stack does not begin with a frame");
    const functionNumber = view.getUint32(end - 4, true);
    const site = view.getUint32(end - 8, true);
    const shape = shapes.get(functionNumber);
    if (shape === undefined) {
      throw new DamagedCheckpointError(
        `its stack has a frame of function ${functionNumber}, which cannot be there`,
      );
    }
    if (site > shape.sites || (site === 0) !== (shape.sites === 0)) {
      throw new DamagedCheckpointError(
        `its stack is at place ${site} of function ${functionNumber}, which there is not`,
      );
    }
    const start = end - shape.size_bytes;
    if (start < 0) throw new DamagedCheckpointError("its stack does not begin with a frame");
    visit(start, shape, functionNumber, site);
    end = start;
  }
}

/** How many frames a stack has. @throws DamagedCheckpointError unless it consists of frames of the program. */
export function countFrames(frames: Uint8Array, shapes: ReadonlyMap<number, FrameShape>): number {
  let count = 0;
  visitFrames(frames, shapes, () => count++);
  return count;
}

/** The frames of a stack, innermost first. @throws DamagedCheckpointError unless it consists of frames of the program. */
export function describeFrames(frames: Uint8Array, shapes: ReadonlyMap<number, FrameShape>): Frame[] {
  const view = new DataView(frames.buffer, frames.byteOffset, frames.length);
  const found: Frame[] = [];
  visitFrames(frames, shapes, (start, { counts, size_bytes }, functionNumber, site) => {
    const end = start + size_bytes - trailer_bytes;
    let at = start;
    const values = <T>(count: number, size_bytes: number, read: (position: number) => T): T[] =>
      Array.from({ length: count }, () => {
        at += size_bytes;
        return read(at - size_bytes);
      });
    const hexadecimal = (length: number) => (position: number) =>
      frames.subarray(position, position + length).toHex();
    const [i32, i64, f32, f64, v128, exceptions = 0] = counts;
    found.push({
      function: functionNumber,
      site,
      i32: values(i32, 4, (position) => view.getInt32(position, true)),
      i64: values(i64, 8, (position) => view.getBigInt64(position, true)),
      f32: values(f32, 4, (position) => view.getFloat32(position, true)),
      f64: values(f64, 8, (position) => view.getFloat64(position, true)),
      v128: values(v128, 16, hexadecimal(16)),
      exceptions: values(exceptions, (end - at) / exceptions, hexadecimal((end - at) / exceptions)),
    });
  });
  return found.reverse();
}
