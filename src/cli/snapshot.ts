/** `archipelago snapshot`: runs a program until it has finished its initialisation, and keeps it in a file. */
import { boot } from "../system/boot.ts";
import type { CommandLine } from "./arguments.ts";
import { moveToHost } from "./host-checkpoint.ts";
import { resolveProgram } from "./host-program.ts";

/** Where the file is written before it is taken out of the system. */
const pathInside = "/tmp/snapshot";

/** Resolves to the exit code. */
export async function makeSnapshot(commandLine: CommandLine, file: string): Promise<number> {
  const system = await boot(commandLine.boot);
  try {
    const program = await resolveProgram(system, commandLine.program ?? "");
    const isCopied = program.endsWith(".wasm");
    const summary = await system.snapshot(pathInside, program, commandLine.arguments, {
      kernel: commandLine.kernel,
      environment: commandLine.environment,
      at: commandLine.at,
      // A program that is only in this system would not be found in the next.
      embedProgram: commandLine.embed || isCopied,
    });
    moveToHost(system, pathInside, file);
    process.stdout.write(summary.stdout);
    process.stderr.write(summary.stderr);
    const { file_bytes, pages } = summary;
    process.stderr.write(
      `${file}: ${(file_bytes / 1e6).toFixed(1)} MB, ${pages} pages of memory in use; start it with: archipelago run --from ${file}\n`,
    );
    return 0;
  } finally {
    await system.shutdown();
  }
}
