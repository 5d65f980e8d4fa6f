/** A peer of the `message` suite: two processes and two named pipes, read and written with blocking calls. */
import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { closeSync, mkdtempSync, openSync, readSync, rmSync, writeSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const partner = fileURLToPath(new URL("./partners.ts", import.meta.url));

/** A process at the other end of two pipes. */
export class PipePartner {
  readonly #directory = mkdtempSync(join(tmpdir(), "archipelago-bench-"));
  readonly #child: ChildProcess;
  readonly #output: number;
  readonly #input: number;

  /** @param mode `echo` sends back every `size` bytes; `swallow` sends one byte after each `size` bytes */
  constructor(mode: "echo" | "swallow", size: number) {
    const [there, back] = ["there", "back"].map((name) => join(this.#directory, name));
    execFileSync("mkfifo", [there, back]);
    const words = ["--no-warnings", partner, mode, String(size), there, back];
    this.#child = spawn(process.execPath, words, { stdio: ["ignore", "ignore", "inherit"] });
    this.#output = openSync(there, "w");
    this.#input = openSync(back, "r");
  }

  write(bytes: Uint8Array): void {
    for (let sent = 0; sent < bytes.length; ) sent += writeSync(this.#output, bytes, sent);
  }

  /** Fills `target`. */
  read(target: Uint8Array): void {
    for (let got = 0; got < target.length; ) {
      const more = readSync(this.#input, target, got, target.length - got, null);
      if (more === 0) throw new Error("the process at the other end of the pipe is gone");
      got += more;
    }
  }

  close(): void {
    closeSync(this.#output);
    closeSync(this.#input);
    this.#child.kill();
    rmSync(this.#directory, { recursive: true, force: true });
  }
}
