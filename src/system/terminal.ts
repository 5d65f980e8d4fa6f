/** The system's terminal (`/dev/tty`), for whoever shows it: a command line, a web page, a test. */
import { errno } from "../kernel/errno.ts";
import type { TerminalPeer } from "../services/device/terminal.ts";
import type { ConsoleCore } from "./console-core.ts";

const chunk_bytes = 16_384;

export class SystemTerminal {
  /** What programs print, as it comes. */
  readonly output: ReadableStream<Uint8Array>;
  private readonly peer: TerminalPeer;
  private readonly console: ConsoleCore;
  private typing: Promise<void> = Promise.resolve();

  constructor(peer: TerminalPeer, console: ConsoleCore) {
    this.peer = peer;
    this.console = console;
    const buffer = new Uint8Array(chunk_bytes);
    this.output = new ReadableStream<Uint8Array>(
      {
        pull: async (controller) => {
          try {
            const count = await console.until(peer.outputQueue, () => {
              const taken = peer.take(buffer);
              return taken === -errno.AGAIN ? undefined : taken;
            });
            if (count > 0) controller.enqueue(buffer.slice(0, count));
            else controller.close();
          } catch {
            // The system was shut down.
            controller.close();
          }
        },
      },
      { highWaterMark: 0 },
    );
  }

  /** Input as if typed; whole lines. Text typed earlier goes first. */
  type(input: string | Uint8Array): Promise<void> {
    const bytes = typeof input === "string" ? new TextEncoder().encode(input) : input;
    this.typing = this.typing.then(async () => {
      for (let sent = 0; sent < bytes.length; ) {
        sent += await this.console.until(this.peer.inputQueue, () => {
          const count = this.peer.type(bytes, sent);
          return count < 0 ? undefined : count;
        });
      }
    });
    this.typing.catch(() => undefined);
    return this.typing;
  }

  /** End of file, as Ctrl-D at the start of a line: after what was typed before. */
  endOfFile(): void {
    this.typing = this.typing.then(() => this.peer.endOfFile());
    this.typing.catch(() => undefined);
  }

  /** Resolves when everything printed so far was taken from `output`. */
  async drained(): Promise<void> {
    while (!this.peer.isDrained()) await new Promise((resolve) => setTimeout(resolve, 1));
    // The chunk taken last is still on its way through the stream.
    await new Promise((resolve) => setTimeout(resolve, 0));
  }
}
