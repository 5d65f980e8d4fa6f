/**
 * One line at the prompt: a pipeline of programs, each optionally on a named kernel (`@1 wc -l`), or one of
 * the commands that concern the system itself.
 */
import { parse } from "shell-quote";
import type { Archipelago } from "../system/archipelago.ts";
import type { StandardStream } from "../system/options.ts";
import type { Process } from "../system/process.ts";
import { helpText, kernelTable, processTable } from "./format.ts";
import { resolveProgram } from "./host-program.ts";
import type { TerminalLink } from "./terminal-link.ts";

/** SIGINT, what Ctrl-C sends. */
const interruptSignal = 2;

interface Stage {
  readonly kernel: number | undefined;
  readonly words: readonly string[];
}

/** Runs a line; resolves to the exit code of its last program. */
export async function runLine(system: Archipelago, line: string, terminal: TerminalLink): Promise<number> {
  const stages = parsePipeline(line);
  if (stages.length === 0) return 0;
  const [first] = stages;
  if (stages.length === 1 && first.kernel === undefined) {
    const answer = await systemCommand(system, first.words);
    if (answer !== undefined) {
      process.stdout.write(answer);
      return 0;
    }
  }
  return runPipeline(system, stages, terminal);
}

/** @throws Error for shell syntax that the prompt does not have. */
function parsePipeline(line: string): Stage[] {
  const stages: { kernel: number | undefined; words: string[] }[] = [];
  let words: string[] | undefined;
  for (const token of parse(line, (name) => `$${name}`)) {
    if (typeof token === "string") {
      if (words === undefined) {
        words = [];
        stages.push({ kernel: undefined, words });
      }
      const kernel = /^@(\d+)$/.exec(token);
      if (kernel !== null && words.length === 0) stages[stages.length - 1].kernel = Number(kernel[1]);
      else words.push(token);
    } else if ("comment" in token) break;
    else if (token.op === "|") {
      if (words === undefined || words.length === 0) throw new Error("there is no program before |");
      words = undefined;
    } else if (token.op === "glob") words?.push(token.pattern);
    else throw new Error(`the prompt knows programs, arguments and pipelines; "${token.op}" is for a shell`);
  }
  if (stages.some((stage) => stage.words.length === 0) || (stages.length > 0 && words === undefined)) {
    throw new Error("a program is missing");
  }
  return stages;
}

async function systemCommand(system: Archipelago, words: readonly string[]): Promise<string | undefined> {
  const [name, ...rest] = words;
  switch (name) {
    case "help":
      return helpText(system);
    case "ps":
      return processTable(system);
    case "kernels":
      return kernelTable(system);
    case "kill": {
      const [pid, signal = "15"] = rest;
      if (!/^\d+$/.test(pid ?? "")) throw new Error("kill PID [SIGNAL]");
      system.kill(Number(pid), Number(signal));
      return "";
    }
    case "boot":
    case "stop": {
      if (!/^\d+$/.test(rest[0] ?? "")) throw new Error(`${name} KERNEL`);
      await (name === "boot" ? system.bootKernel(Number(rest[0])) : system.stopKernel(Number(rest[0])));
      return kernelTable(system);
    }
    default:
      return undefined;
  }
}

async function runPipeline(
  system: Archipelago,
  stages: readonly Stage[],
  terminal: TerminalLink,
): Promise<number> {
  const started: Process[] = [];
  let input: StandardStream = process.stdout.isTTY ? "terminal" : "null";
  for (const [index, stage] of stages.entries()) {
    const pipe = index < stages.length - 1 ? system.pipe() : undefined;
    const [name, ...args] = stage.words;
    started.push(
      await system.spawn(await resolveProgram(system, name), args, {
        kernel: stage.kernel,
        stdin: input,
        stdout: pipe?.write ?? "terminal",
        stderr: "terminal",
      }),
    );
    if (pipe !== undefined) input = pipe.read;
  }
  const interrupt = () => {
    for (const one of started) one.kill(interruptSignal);
  };
  const statuses = await terminal.inForeground(interrupt, () =>
    Promise.all(started.map((one) => one.wait())),
  );
  for (const status of statuses) {
    const interrupted = status.signal === interruptSignal;
    if (status.message !== "" && !interrupted) process.stderr.write(`${status.message}\n`);
  }
  return statuses.at(-1)?.exitCode ?? 0;
}
