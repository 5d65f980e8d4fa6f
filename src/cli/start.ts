/** `npm start`: boots a system, shows what it consists of, and runs what the user types. */
import type { Archipelago } from "../system/archipelago.ts";
import { boot } from "../system/boot.ts";
import type { CommandLine } from "./arguments.ts";
import { BackgroundProcesses } from "./background.ts";
import { runLine } from "./command-line.ts";
import { topology } from "./format.ts";
import { TerminalLink } from "./terminal-link.ts";

const prompt = "archipelago> ";

/** Resolves to the exit code when the user leaves. */
export async function startSystem(commandLine: CommandLine): Promise<number> {
  const interactive = process.stdin.isTTY === true;
  const system = await boot(commandLine.boot);
  try {
    process.stdout.write(topology(system));
    if (interactive) process.stdout.write('Type a program and its arguments, "help", or "exit".\n');
    const terminal = new TerminalLink(system, (line) => complete(system, line));
    return await converse(system, terminal, interactive);
  } finally {
    await system.shutdown();
  }
}

async function converse(system: Archipelago, terminal: TerminalLink, interactive: boolean): Promise<number> {
  const inBackground = new BackgroundProcesses();
  let exitCode = 0;
  for (;;) {
    const line = await terminal.nextLine(interactive ? prompt : "");
    if (line === null || line.trim() === "exit") break;
    try {
      exitCode = await runLine(system, line, terminal, inBackground);
    } catch (error) {
      process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`);
      exitCode = 1;
    }
  }
  terminal.close();
  return exitCode;
}

/** Completes the program's name. */
function complete(system: Archipelago, line: string): [string[], string] {
  const word = line.split(/[|\s]+/).at(-1) ?? "";
  const hits = system.programNames().filter((name) => name.startsWith(word));
  return [hits, word];
}
