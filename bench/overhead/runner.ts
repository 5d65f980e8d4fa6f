/** The parent's side of `child.ts`. */
import { type ChildProcess, fork } from "node:child_process";
import { fileURLToPath } from "node:url";
import type { ChildProgram, ChildResult } from "./child.ts";

const childFile = fileURLToPath(new URL("child.ts", import.meta.url));

export class Runner implements Disposable {
  private readonly child: ChildProcess;
  private readonly program: ChildProgram;

  constructor(program: ChildProgram) {
    this.program = program;
    this.child = fork(childFile, { execArgv: ["--no-warnings"] });
  }

  /** Compiles the program. @throws Error when it cannot be compiled, or made into the variant. */
  async ready(): Promise<this> {
    await this.ask(this.program);
    return this;
  }

  /** Runs it once. @throws Error when it fails. */
  run(): Promise<ChildResult> {
    return this.ask(null);
  }

  private async ask(message: ChildProgram | null): Promise<ChildResult> {
    const result = await new Promise<ChildResult>((resolve, reject) => {
      const ended = () => reject(new Error("the child process ended"));
      this.child.once("exit", ended);
      this.child.once("message", (answer: ChildResult) => {
        this.child.off("exit", ended);
        resolve(answer);
      });
      this.child.send(message as never);
    });
    if (result.exitCode === 0) return result;
    const { variant, file } = this.program;
    throw new Error(`${file}, ${variant}: exit code ${result.exitCode}: ${result.stderr}`);
  }

  [Symbol.dispose](): void {
    this.child.kill();
  }
}
