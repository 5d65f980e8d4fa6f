/**
 * The context save area of a core: a memory that frames are written to when a stack unwinds, and read from when it is
 * resumed. Both happen without interruption, so one area serves all contexts of the core in turn.
 */
import { ProgramError } from "./errors.ts";
import { FRAMES_BASE, FRAMES_TOP_OFFSET, framesPages } from "./passes/abi.ts";

const page_bytes = 65_536;

export class SaveArea {
  /** As instrumented programs import it. Address space only, until something is written. */
  readonly memory = new WebAssembly.Memory({ initial: framesPages, maximum: framesPages });
  private readonly bytes = new Uint8Array(this.memory.buffer);
  private readonly view = new DataView(this.memory.buffer);

  constructor() {
    this.setTop(FRAMES_BASE);
  }

  /** Where the first value goes. */
  readonly base = FRAMES_BASE;

  /** Where the next value goes. */
  get top(): number {
    return this.view.getUint32(FRAMES_TOP_OFFSET, true);
  }

  /** What has been pushed up to `framesEnd`, and behind it. Empties the area. */
  take(framesEnd: number): { frames: Uint8Array; globals: Uint8Array } {
    const frames = this.bytes.slice(FRAMES_BASE, framesEnd);
    const globals = this.bytes.slice(framesEnd, this.top);
    this.setTop(FRAMES_BASE);
    return { frames, globals };
  }

  /** Puts frames and globals where programs take them from. */
  write(frames: Uint8Array, globals: Uint8Array): void {
    const size_bytes = FRAMES_BASE + frames.length + globals.length;
    if (size_bytes > framesPages * page_bytes) throw new ProgramError("the state has too many frames");
    this.bytes.set(frames, FRAMES_BASE);
    this.bytes.set(globals, FRAMES_BASE + frames.length);
    this.setTop(size_bytes);
  }

  /** Forgets what an unwinding that could not be finished has left. */
  reset(): void {
    this.setTop(FRAMES_BASE);
  }

  private setTop(position: number): void {
    this.view.setUint32(FRAMES_TOP_OFFSET, position, true);
  }
}
