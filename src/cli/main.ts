/** Entry of the command line; `bin/archipelago` brings it here on a new enough Node.js. */
import { parseCommandLine, UsageError, usage } from "./arguments.ts";
import { runProgram } from "./run.ts";
import { makeSnapshot } from "./snapshot.ts";
import { startSystem } from "./start.ts";

async function main(words: readonly string[]): Promise<number> {
  const commandLine = parseCommandLine(words);
  switch (commandLine.command) {
    case "help":
      process.stdout.write(`${usage}\n`);
      return 0;
    case "run":
      return await runProgram(commandLine);
    case "snapshot":
      return await makeSnapshot(commandLine, commandLine.out ?? "");
    default:
      return await startSystem(commandLine);
  }
}

try {
  process.exitCode = await main(process.argv.slice(2));
} catch (error) {
  const message = error instanceof Error ? error.message : String(error);
  process.stderr.write(`archipelago: ${message}\n`);
  if (error instanceof UsageError) process.stderr.write('"npm start -- --help" shows what there is.\n');
  process.exitCode = 2;
}
