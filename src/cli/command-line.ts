/**
 * One line at the prompt: a pipeline of programs, each optionally on a named kernel (`@1 wc -l`), or one of
 * the commands that concern the system itself.
 */
import { parse } from "shell-quote";
import type { Archipelago } from "../system/archipelago.ts";
import type { StandardStream } from "../system/options.ts";
import type { Process } from "../system/process.ts";
import type { BackgroundProcesses } from "./background.ts";
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
export async function runLine(
  system: Archipelago,
  line: string,
  terminal: TerminalLink,
  inBackground: BackgroundProcesses,
): Promise<number> {
  const { stages, background } = parsePipeline(line);
  if (stages.length === 0) return 0;
  const [first] = stages;
  if (stages.length === 1 && first.kernel === undefined && !background) {
    const answer = await systemCommand(system, first.words, inBackground);
    if (answer !== undefined) {
      process.stdout.write(answer);
      return 0;
    }
  }
  const started = await startPipeline(system, stages, background);
  if (!background) return inForeground(started, terminal);
  inBackground.add(started);
  return 0;
}

interface Pipeline {
  readonly stages: readonly Stage[];
  /** The prompt does not wait for its end. */
  readonly background: boolean;
}

/** @throws Error for shell syntax that the prompt does not have. */
function parsePipeline(line: string): Pipeline {
  const stages: { kernel: number | undefined; words: string[] }[] = [];
  let words: string[] | undefined;
  let background = false;
  for (const token of parse(line, (name) => `$${name}`)) {
    if (background) throw new Error("& ends a line");
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
    } else if (token.op === "&" && words !== undefined) background = true;
    else if (token.op === "glob") words?.push(token.pattern);
    else throw new Error(`the prompt knows programs, arguments and pipelines; "${token.op}" is for a shell`);
  }
  if (stages.some((stage) => stage.words.length === 0) || (stages.length > 0 && words === undefined)) {
    throw new Error("a program is missing");
  }
  return { stages, background };
}

async function systemCommand(
  system: Archipelago,
  words: readonly string[],
  inBackground: BackgroundProcesses,
): Promise<string | undefined> {
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
    case "wait":
      if (rest.length > 1 || !/^\d*$/.test(rest[0] ?? "")) throw new Error("wait [PID]");
      await inBackground.wait(rest.length === 0 ? undefined : Number(rest[0]));
      return "";
    case "migrate":
      await migrate(system, rest);
      return "";
    case "checkpoint": {
      const [pid, file] = rest;
      if (rest.length !== 2 || !/^\d+$/.test(pid)) throw new Error("checkpoint PID FILE");
      const { file_bytes, pause_ns } = await system.checkpoint(Number(pid), file);
      return `${file}: ${(file_bytes / 1e6).toFixed(1)} MB; process ${pid} stood still for ${(pause_ns / 1e6).toFixed(1)} ms\n`;
    }
    case "boot":
    case "stop": {
      if (!/^\d+$/.test(rest[0] ?? "")) throw new Error(`${name} KERNEL`);
      await (name === "boot"
        ? system.bootKernel(Number(rest[0]))
        : system.stopKernel(Number(rest[0]), { processes: "move" }));
      return kernelTable(system);
    }
    default:
      return undefined;
  }
}

const copyModes = ["none", "upfront", "on-demand"] as const;

/** `PID KERNEL`, and what becomes of the memory. */
async function migrate(system: Archipelago, words: readonly string[]): Promise<void> {
  const hasOption = words[0] === "--copy";
  const copy = hasOption ? copyModes.find((mode) => mode === words[1]) : "none";
  const numbers = words.slice(hasOption ? 2 : 0);
  if (copy === undefined || numbers.length !== 2 || !numbers.every((word) => /^\d+$/.test(word)))
    throw new Error(`migrate [--copy ${copyModes.join("|")}] PID KERNEL`);
  await system.migrate(Number(numbers[0]), Number(numbers[1]), { copy });
}

async function startPipeline(
  system: Archipelago,
  stages: readonly Stage[],
  background: boolean,
): Promise<Process[]> {
  const [first] = stages;
  if (stages.length === 1 && first.words[0] === "restore") return [await restore(system, first, background)];
  const started: Process[] = [];
  let input: StandardStream = process.stdout.isTTY && !background ? "terminal" : "null";
  for (const [index, stage] of stages.entries()) {
    const pipe = index < stages.length - 1 ? system.pipe() : undefined;
    const nightwatch = stage.words[0] === "nightwatch";
    const [name, ...args] = nightwatch ? stage.words.slice(1) : stage.words;
    if (name === undefined) throw new Error("nightwatch PROGRAM [ARGUMENTS…]");
    started.push(
      await system.spawn(await resolveProgram(system, name), args, {
        kernel: stage.kernel,
        nightwatch,
        stdin: input,
        stdout: pipe?.write ?? "terminal",
        stderr: "terminal",
      }),
    );
    if (pipe !== undefined) input = pipe.read;
  }
  return started;
}

async function restore(system: Archipelago, stage: Stage, background: boolean): Promise<Process> {
  const [, file, ...rest] = stage.words;
  if (file === undefined || rest.length > 0) throw new Error("restore FILE");
  return system.restore(file, {
    kernel: stage.kernel,
    stdin: process.stdout.isTTY && !background ? "terminal" : "null",
    stdout: "terminal",
    stderr: "terminal",
  });
}

/** Waits for processes that have the terminal: the exit code of the last. */
async function inForeground(started: readonly Process[], terminal: TerminalLink): Promise<number> {
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
