/** `archipelago run`: one program with the real standard streams, and its exit code as ours. */
import type { Archipelago } from "../system/archipelago.ts";
import { boot } from "../system/boot.ts";
import type { Process } from "../system/process.ts";
import type { SystemTerminal } from "../system/terminal.ts";
import type { CommandLine } from "./arguments.ts";
import { checkpointPath, moveToHost, programsWithCheckpoint } from "./host-checkpoint.ts";
import { resolveProgram } from "./host-program.ts";
import { simulationReport } from "./simulation-report.ts";

/** Signals of the host that are passed on to the program. */
const forwarded = { SIGINT: 2, SIGTERM: 15, SIGHUP: 1 } as const;

/** Boots a system, runs the program, shuts down. Resolves to the program's exit code. */
export async function runProgram(commandLine: CommandLine): Promise<number> {
  const { from } = commandLine;
  const system = await boot({
    ...commandLine.boot,
    ...(from === undefined ? {} : { programs: programsWithCheckpoint(from) }),
  });
  try {
    const exitCode = await runIn(system, commandLine);
    if (system.simulation !== null) process.stderr.write(`${simulationReport(system.simulation)}\n`);
    return exitCode;
  } finally {
    await system.shutdown();
  }
}

/** Starts the program, from its beginning or from a file. */
async function startProgram(system: Archipelago, commandLine: CommandLine): Promise<Process> {
  const { from, environment, kernel, arguments: words } = commandLine;
  const options = {
    kernel,
    environment,
    stdin: process.stdin.isTTY ? "terminal" : "pipe",
    stdout: process.stdout.isTTY ? "terminal" : "pipe",
    stderr: process.stderr.isTTY ? "terminal" : "pipe",
  } as const;
  if (from !== undefined) return system.restore(checkpointPath(from), { ...options, arguments: words });
  const program = await resolveProgram(system, commandLine.program ?? "");
  return system.spawn(program, words, options);
}

/** Writes the program to a file at every SIGUSR2; gives what ends that. */
function takeCheckpoints(system: Archipelago, started: Process, commandLine: CommandLine): () => void {
  const { checkpoint: file } = commandLine;
  if (file === undefined) return () => undefined;
  let last = Promise.resolve();
  const take = async () => {
    const path = `/tmp/checkpoint-${started.pid}`;
    try {
      const embedProgram = commandLine.embed || commandLine.program?.endsWith(".wasm");
      await system.checkpoint(started.pid, path, { embedProgram });
      moveToHost(system, path, file);
    } catch (error) {
      process.stderr.write(`archipelago: ${error instanceof Error ? error.message : error}\n`);
    }
  };
  const handler = () => {
    last = last.then(take);
  };
  process.on("SIGUSR2", handler);
  return () => void process.off("SIGUSR2", handler);
}

async function runIn(system: Archipelago, commandLine: CommandLine): Promise<number> {
  const started = await startProgram(system, commandLine);
  const handlers = Object.entries(forwarded).map(([name, number]) => {
    const handler = () => void started.kill(number);
    process.on(name, handler);
    return () => process.off(name, handler);
  });
  const stopTaking = takeCheckpoints(system, started, commandLine);
  for (const stream of [process.stdout, process.stderr]) {
    // Whoever writes is told by the write itself.
    stream.on("error", () => undefined);
  }
  const input = started.stdin === null ? pumpTerminalInput(system.terminal) : pumpInput(started.stdin);
  // What programs print on the terminal comes in one stream, until the system is shut down.
  void pumpOutput(system.terminal.output, process.stdout.isTTY ? process.stdout : process.stderr);
  await Promise.all([pumpOutput(started.stdout, process.stdout), pumpOutput(started.stderr, process.stderr)]);
  const status = await started.wait();
  await system.terminal.drained();
  input.stop();
  for (const remove of handlers) remove();
  stopTaking();
  if (status.message !== "" && status.signal !== forwarded.SIGINT)
    process.stderr.write(`archipelago: ${commandLine.program ?? commandLine.from}: ${status.message}\n`);
  return status.exitCode;
}

/** A transfer from host standard input; once stopped, it keeps nobody waiting. */
interface InputPump {
  stop(): void;
}

/** Host standard input to the program, as fast as it reads. */
function pumpInput(stdin: WritableStream<Uint8Array>): InputPump {
  const writer = stdin.getWriter();
  const write = (chunk: Uint8Array) => writer.write(chunk);
  return pump(write, () => writer.close());
}

/** Lines typed at the host's terminal, which does editing and echo, to the system's. */
function pumpTerminalInput(terminal: SystemTerminal): InputPump {
  const type = (chunk: Uint8Array) => terminal.type(chunk);
  return pump(type, async () => terminal.endOfFile());
}

function pump(write: (chunk: Uint8Array) => Promise<void>, end: () => Promise<void>): InputPump {
  const source = process.stdin;
  let stopped = false;
  void (async () => {
    try {
      for await (const chunk of source) {
        if (stopped) break;
        await write(chunk as Uint8Array);
      }
      await end();
    } catch {
      // The program ended, or closed its input, before reading everything.
    }
  })();
  return {
    stop: () => {
      stopped = true;
      source.destroy();
    },
  };
}

async function pumpOutput(
  stream: ReadableStream<Uint8Array> | null,
  target: NodeJS.WriteStream,
): Promise<void> {
  if (stream === null) return;
  for await (const chunk of stream) {
    const accepted = await new Promise<boolean>((resolve) => {
      target.write(chunk, (error) => resolve(error === null || error === undefined));
    });
    // Nobody reads our output any more: leaving the loop closes the pipe, and the program gets EPIPE.
    if (!accepted) return;
  }
}
