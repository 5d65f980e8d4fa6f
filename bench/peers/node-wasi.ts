/**
 * The peer `node:wasi`: a child process that runs the same unmodified programs on plain V8, on request, so that
 * rounds can alternate with ours. Its files are in `directory`, which the programs see as "/".
 */
import { type ChildProcess, fork } from "node:child_process";
import { fileURLToPath } from "node:url";

/** One run, or the same one several times in a row. */
export interface WasiRun {
  /** Host path of the module. */
  readonly file: string;
  /** With the program's own name first. */
  readonly arguments: readonly string[];
  readonly environment: Readonly<Record<string, string>>;
  readonly preopens: Readonly<Record<string, string>>;
  readonly input?: string;
  readonly times: number;
  /** Host directory for the files that stand for the standard streams. */
  readonly scratch: string;
}

export interface WasiRunResult {
  /** −1 when it could not be run; `stderr` then says why. */
  readonly exitCode: number;
  readonly stdout: string;
  readonly stderr: string;
  /** From before instantiation (compilation, the first time) to after the end, per run. */
  readonly elapsed_ns: number;
}

/** Host path of the program that runs one module on its own standard streams: `FILE ARGUMENT…`. */
export const nodeWasiProgram = fileURLToPath(new URL("./node-wasi-child.ts", import.meta.url));

export class NodeWasi implements Disposable {
  private readonly child: ChildProcess;
  private readonly directory: string;
  private readonly scratch: string;

  /** `directory`: what programs see as "/"; `scratch`: a directory for the standard streams. */
  constructor(directory: string, scratch: string) {
    this.directory = directory;
    this.scratch = scratch;
    this.child = fork(nodeWasiProgram, { execArgv: ["--no-warnings"] });
  }

  /** Resolves when the child answers: later figures do not contain its start. */
  async ready(): Promise<this> {
    await this.ask({ file: "", arguments: [], times: 0 });
    return this;
  }

  /** @throws Error when the program fails. */
  async run(
    file: string,
    words: readonly string[],
    options: { readonly input?: string; readonly times?: number } = {},
  ): Promise<WasiRunResult> {
    const result = await this.ask({
      file,
      arguments: words,
      input: options.input,
      times: options.times ?? 1,
    });
    if (result.exitCode !== 0) {
      throw new Error(
        `node:wasi: ${words.join(" ").slice(0, 80)}: exit code ${result.exitCode}: ${result.stderr}`,
      );
    }
    return result;
  }

  private ask(run: Pick<WasiRun, "file" | "arguments" | "input" | "times">): Promise<WasiRunResult> {
    const preopens = { ".": this.directory, "/": this.directory };
    return new Promise((resolve, reject) => {
      const ended = () => reject(new Error("node:wasi: the child process ended"));
      this.child.once("exit", ended);
      this.child.once("message", (result: WasiRunResult) => {
        this.child.off("exit", ended);
        resolve(result);
      });
      this.child.send({ ...run, environment: {}, preopens, scratch: this.scratch } satisfies WasiRun);
    });
  }

  [Symbol.dispose](): void {
    this.child.kill();
  }
}
