/** `archipelago run`: one program with the real standard streams, and its exit code as ours. */
import type { Archipelago } from "../system/archipelago.ts";
import { boot } from "../system/boot.ts";
import type { SystemTerminal } from "../system/terminal.ts";
import type { CommandLine } from "./arguments.ts";
import { resolveProgram } from "./host-program.ts";

/** Signals of the host that are passed on to the program. */
const forwarded = { SIGINT: 2, SIGTERM: 15, SIGHUP: 1 } as const;

/** Boots a system, runs the program, shuts down. Resolves to the program's exit code. */
export async function runProgram(commandLine: CommandLine): Promise<number> {
  const system = await boot(commandLine.boot);
  try {
    return await runIn(system, commandLine);
  } finally {
    await system.shutdown();
  }
}

async function runIn(system: Archipelago, commandLine: CommandLine): Promise<number> {
  const program = await resolveProgram(system, commandLine.program ?? "");
  const started = await system.spawn(program, commandLine.arguments, {
    kernel: commandLine.kernel,
    environment: commandLine.environment,
    stdin: process.stdin.isTTY ? "terminal" : "pipe",
    stdout: process.stdout.isTTY ? "terminal" : "pipe",
    stderr: process.stderr.isTTY ? "terminal" : "pipe",
  });
  const handlers = Object.entries(forwarded).map(([name, number]) => {
    const handler = () => void started.kill(number);
    process.on(name, handler);
    return () => process.off(name, handler);
  });
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
  if (status.message !== "" && status.signal !== forwarded.SIGINT)
    process.stderr.write(`archipelago: ${commandLine.program}: ${status.message}\n`);
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
