/**
 * The user's terminal, shared between the prompt and the programs in the foreground: lines typed while a
 * program runs go to the system's terminal device, and what programs print there goes to the screen.
 */
import { type Completer, createInterface, type Interface } from "node:readline";
import type { Archipelago } from "../system/archipelago.ts";

export class TerminalLink {
  private readonly system: Archipelago;
  private readonly completer: Completer;
  private readonly screen = process.stdout;
  private readonly interactive = process.stdin.isTTY === true;
  private lines: Interface;
  /** Lines that came before somebody asked for one. */
  private readonly typed: string[] = [];
  private ended = false;
  private waiting: ((line: string | null) => void) | undefined;
  private foreground = false;
  private interrupt: () => void = () => undefined;
  /** What stands on the screen after the last line end: the prompt of whoever reads next. */
  private partialLine = "";

  constructor(system: Archipelago, completer: Completer) {
    this.system = system;
    this.completer = completer;
    this.lines = this.open();
    void this.show();
  }

  private open(): Interface {
    const lines = createInterface({
      input: process.stdin,
      output: this.interactive ? this.screen : undefined,
      terminal: this.interactive,
      completer: this.completer,
    });
    lines.on("line", (line) => this.accept(line));
    lines.on("close", () => this.finish());
    lines.on("SIGINT", () => this.interrupt());
    return lines;
  }

  close(): void {
    this.ended = true;
    this.lines.close();
  }

  /** The next line the user types at the prompt; null at the end of input. */
  nextLine(prompt: string): Promise<string | null> {
    const early = this.typed.shift();
    if (early !== undefined) return Promise.resolve(early);
    if (this.ended) return Promise.resolve(null);
    if (prompt !== "") {
      this.lines.setPrompt(prompt);
      this.lines.prompt();
    }
    return new Promise((resolve) => {
      this.waiting = resolve;
    });
  }

  /** While `work` runs, typed lines go to programs and Ctrl-C calls `interrupt`. */
  async inForeground<T>(interrupt: () => void, work: () => Promise<T>): Promise<T> {
    this.foreground = true;
    this.interrupt = interrupt;
    this.lines.setPrompt("");
    try {
      return await work();
    } finally {
      this.foreground = false;
      this.interrupt = () => undefined;
      await this.system.terminal.drained();
      if (this.partialLine !== "" && this.screen.isTTY) this.screen.write("\n");
      this.partialLine = "";
    }
  }

  private accept(line: string): void {
    if (this.foreground && this.interactive) {
      this.partialLine = "";
      this.system.terminal.type(`${line}\n`);
    } else if (this.waiting !== undefined) {
      const { waiting } = this;
      this.waiting = undefined;
      waiting(line);
    } else this.typed.push(line);
  }

  /** The end of input: for the program in the foreground if there is one; the terminal itself goes on. */
  private finish(): void {
    if (this.foreground && this.interactive && !this.ended) {
      this.system.terminal.endOfFile();
      this.lines = this.open();
      return;
    }
    this.ended = true;
    this.waiting?.(null);
  }

  private async show(): Promise<void> {
    const { terminal } = this.system;
    const decoder = new TextDecoder();
    for await (const chunk of terminal.output) {
      this.screen.write(chunk);
      const text = this.partialLine + decoder.decode(chunk, { stream: true });
      this.partialLine = text.slice(text.lastIndexOf("\n") + 1);
      // Editing redraws the line: the program's own prompt must be part of it.
      if (this.foreground) this.lines.setPrompt(this.partialLine);
    }
  }
}
