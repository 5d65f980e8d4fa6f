/** How the command line shows kernels, processes and help. */
import type { Archipelago } from "../system/archipelago.ts";

/** What is printed after boot. */
export function topology(system: Archipelago): string {
  const kernels = system.kernels();
  const cores = kernels.flatMap((kernel) => kernel.cores).length;
  const profile = system.simulation?.machine.profile;
  const islands = profile?.islands.length ?? 1;
  const place = `${islands === 1 ? "one island" : count(islands, "island")}${profile === undefined ? "" : ` of a simulated ${profile.name}`}`;
  const lines = [`Archipelago: ${count(kernels.length, "kernel")} on ${count(cores, "core")} of ${place}`];
  for (const kernel of kernels) {
    const where = `core${kernel.cores.length > 1 ? "s" : ""} ${kernel.cores.join(", ")}`;
    const boot = `booted in ${(kernel.bootDuration_ns / 1e6).toFixed(1)} ms`;
    lines.push(`  kernel ${kernel.kernel}  ${where}  ${kernel.image}  ${kernel.state}, ${boot}`);
  }
  for (const mount of system.mounts()) {
    lines.push(`  ${mount.path.padEnd(8)}  ${mount.type}${mount.readOnly ? ", read-only" : ""}`);
  }
  return `${lines.join("\n")}\n`;
}

export function kernelTable(system: Archipelago): string {
  return table([
    ["KERNEL", "STATE", "IMAGE", "CORES", "PROCESSES", "SWITCHES", "INTERRUPTS"],
    ...system
      .kernels()
      .map((kernel) => [
        String(kernel.kernel),
        kernel.state,
        kernel.image,
        kernel.cores.join(","),
        String(kernel.processes),
        String(kernel.contextSwitches),
        String(kernel.interrupts),
      ]),
  ]);
}

export function processTable(system: Archipelago): string {
  return table([
    ["PID", "KERNEL", "CORE", "STATE", "MOVES", "CPU_MS", "MEMORY_KIB", "COMMAND"],
    ...system
      .processes()
      .map((process) => [
        String(process.pid),
        String(process.kernel),
        String(process.core),
        process.state,
        process.migratable === undefined ? "-" : process.migratable ? "yes" : "no",
        (process.cpuTime_ns / 1e6).toFixed(1),
        String(process.memory_bytes / 1024),
        process.name,
      ]),
  ]);
}

export function helpText(system: Archipelago): string {
  return `PROGRAM [ARGUMENTS…]        run a program; @N before it names the kernel
A | B | C                   connect programs by pipes, on any kernels
nightwatch PROGRAM …        run a program as a NightWatch thread: on a weak kernel, from which it does not move
PROGRAM … &                 do not wait for its end; wait [PID] does so later
ps                          all processes, whatever kernel they run on; MOVES: whether they can be moved
migrate PID KERNEL          move a running process to another kernel; --copy upfront or --copy on-demand before
                            PID copies its memory, as between kernels that share none
checkpoint PID FILE         write a running process to a file of the system; it goes on
restore FILE                make a process of it again; @N before it names the kernel
kernels                     all kernels
stop KERNEL, boot KERNEL    stop a kernel (its processes move to others, or end), boot it again
kill PID [SIGNAL]           end a process
exit                        shut down

Programs: ${wrap(system.programNames().join(" "), 78)}
A program is also a path in the system, or a .wasm file on the host.
`;
}

function table(rows: readonly (readonly string[])[]): string {
  const widths = rows[0].map((_, column) => Math.max(...rows.map((row) => row[column].length)));
  return rows
    .map(
      (row) =>
        `${row
          .map((cell, column) => cell.padEnd(widths[column]))
          .join("  ")
          .trimEnd()}\n`,
    )
    .join("");
}

function wrap(text: string, width: number): string {
  const lines: string[] = [""];
  for (const word of text.split(" ")) {
    const last = lines[lines.length - 1];
    if (last.length + word.length + 1 > width) lines.push(word);
    else lines[lines.length - 1] = last === "" ? word : `${last} ${word}`;
  }
  return lines.join("\n  ");
}

function count(number: number, noun: string): string {
  return `${number} ${noun}${number === 1 ? "" : "s"}`;
}
