/**
 * What `/proc` says: texts made from the shared state of the whole system, whichever kernel is asked. They are
 * snapshots; a process may have ended by the time its text is read.
 */
import { decodeArguments } from "../../kernel/argument-block.ts";
import { cpuTime_ns } from "../../kernel/processes.ts";
import {
  type CoreBlock,
  type KernelControlBlock,
  kernelState,
  limits,
  migratability,
  type Process,
  processState,
  type SystemBlock,
  type Thread,
  threadState,
} from "../../kernel/state.ts";
import type { Clock } from "../../machine/machine.ts";
import type { Accessor, Pool, TypedMemory } from "../../memory/index.ts";
import { page_bytes } from "../pages/index.ts";
import type { Mounts } from "./mounts.ts";

/** Where the facts come from. */
export interface ProcFacts {
  readonly areas: {
    readonly system: Accessor<typeof SystemBlock.fields>;
    readonly kernels: Accessor<typeof KernelControlBlock.fields>;
    readonly cores: Accessor<typeof CoreBlock.fields>;
    readonly processes: Accessor<typeof Process.fields>;
    readonly threads: Pool<typeof Thread.fields>;
  };
  readonly memory: TypedMemory;
  readonly pages: { readonly capacity: number; used(): number };
  readonly mounts: Mounts;
  readonly clock: Clock;
  /** The line of `/proc/version`. */
  readonly version: string;
}

const programPage_bytes = 65_536;
/** What Linux programs expect: times in `/proc/PID/stat` are hundredths of a second. */
const ticksPerSecond = 100;

/** Files directly in `/proc`, in the order they are listed. */
export const systemFiles: Readonly<Record<string, (facts: ProcFacts) => string>> = {
  cores: coresText,
  kernels: kernelsText,
  meminfo: memoryText,
  mounts: mountsText,
  uptime: uptimeText,
  version: ({ version }) => `${version}\n`,
};

/** Files of a process's directory, in the order they are listed. */
export const processFiles: Readonly<Record<string, (facts: ProcFacts, slot: number) => string>> = {
  cmdline: commandLine,
  stat: processLine,
  status: processStatus,
};

/** Slot of the process that has this pid now, or −1. */
export function slotOf(facts: ProcFacts, pid: number): number {
  const { processes } = facts.areas;
  const slot = pid % limits.processes;
  if (pid < 1 || processes.pid(slot) !== pid) return -1;
  return isAlive(processes.state(slot)) ? slot : -1;
}

/** Pids of all processes, lowest first. */
export function listPids(facts: ProcFacts): number[] {
  const { processes } = facts.areas;
  const pids: number[] = [];
  for (let slot = 0; slot < limits.processes; slot++) {
    const pid = processes.pid(slot);
    if (pid !== 0 && isAlive(processes.state(slot))) pids.push(pid);
  }
  return pids.sort((a, b) => a - b);
}

function isAlive(state: number): boolean {
  return state === processState.running || state === processState.zombie;
}

function nameOf(value: number, names: Readonly<Record<string, number>>): string {
  return Object.keys(names).find((name) => names[name] === value) ?? `${value}`;
}

function paddedText(bytes: Uint8Array): string {
  const end = bytes.indexOf(0);
  return new TextDecoder().decode(bytes.slice(0, end < 0 ? bytes.length : end));
}

/** Lines of columns, each as wide as its widest cell. */
function table(rows: readonly (readonly (string | number)[])[]): string {
  const widths = rows[0].map((_, column) => Math.max(...rows.map((row) => `${row[column]}`.length)));
  return rows
    .map((row) => `${row.map((cell, column) => `${cell}`.padStart(widths[column])).join(" ")}\n`)
    .join("");
}

function milliseconds(time_ns: number): string {
  return (time_ns / 1e6).toFixed(1);
}

function kernelsText({ areas: { kernels } }: ProcFacts): string {
  const rows: (string | number)[][] = [
    ["kernel", "state", "image", "cores", "first-core", "booted-by", "boot-ms", "processes"],
  ];
  for (let kernel = 0; kernel < limits.cores; kernel++) {
    const state = kernels.state(kernel);
    if (state === kernelState.absent) continue;
    rows.push([
      kernel,
      nameOf(state, kernelState),
      paddedText(kernels.image(kernel)),
      kernels.coreCount(kernel),
      kernels.firstCore(kernel),
      kernels.bootedBy(kernel),
      milliseconds(kernels.bootDuration_ns(kernel)),
      kernels.processesStarted(kernel),
    ]);
  }
  return table(rows);
}

function coresText({ areas: { system, cores } }: ProcFacts): string {
  const rows: (string | number)[][] = [
    ["core", "kernel", "online", "load", "current", "switches", "interrupts", "idle-ms"],
  ];
  for (let core = 0; core < system.coreCount(0); core++) {
    rows.push([
      core,
      cores.kernel(core),
      cores.online(core),
      cores.load(core),
      cores.current(core),
      cores.contextSwitches(core),
      cores.interrupts(core),
      milliseconds(cores.idle_ns(core)),
    ]);
  }
  return table(rows);
}

function memoryText({ areas: { processes }, memory, pages }: ProcFacts): string {
  let programPages = 0;
  for (let slot = 0; slot < limits.processes; slot++) {
    if (processes.state(slot) === processState.running) programPages += processes.memoryPages(slot);
  }
  const total_bytes = pages.capacity * page_bytes;
  const used_bytes = pages.used() * page_bytes;
  const lines: [string, number][] = [
    ["MemTotal", total_bytes],
    ["MemFree", total_bytes - used_bytes],
    ["MemAvailable", total_bytes - used_bytes],
    ["IslandMemory", memory.bytes.length],
    ["ProgramMemory", programPages * programPage_bytes],
  ];
  return lines
    .map(([name, bytes]) => `${`${name}:`.padEnd(16)}${`${Math.floor(bytes / 1024)}`.padStart(10)} kB\n`)
    .join("");
}

function mountsText({ mounts }: ProcFacts): string {
  return mounts
    .list()
    .map(
      ({ type, path, readOnly }) => `${type} ${escapeSpaces(path)} ${type} ${readOnly ? "ro" : "rw"} 0 0\n`,
    )
    .join("");
}

/** Blanks separate fields; Linux writes those within a field as octal escapes. */
function escapeSpaces(path: string): string {
  return path.replace(
    /[ \t\n\\]/g,
    (character) => `\\${character.charCodeAt(0).toString(8).padStart(3, "0")}`,
  );
}

function uptimeText({ areas: { system, cores }, clock }: ProcFacts): string {
  let idle_ns = 0;
  for (let core = 0; core < system.coreCount(0); core++) idle_ns += cores.idle_ns(core);
  return `${(clock.monotonic_ns() / 1e9).toFixed(2)} ${(idle_ns / 1e9).toFixed(2)}\n`;
}

/** Arguments with a NUL after each; empty when the process is ending. */
function commandLine({ areas: { processes }, memory }: ProcFacts, slot: number): string {
  const offset = processes.argumentOffset(slot);
  const limit_bytes = page_bytes << processes.argumentOrder(slot);
  const decoded = offset === 0 ? null : decodeArguments(memory, offset, limit_bytes);
  // The block is freed when the process ends: what was read is then somebody else's.
  if (decoded === null || processes.argumentOffset(slot) !== offset) return "";
  if (processes.state(slot) !== processState.running) return "";
  const decoder = new TextDecoder();
  return decoded.arguments.map((argument) => `${decoder.decode(argument)}\0`).join("");
}

interface ProcessState {
  readonly letter: string;
  readonly name: string;
}

function stateOf({ areas: { processes, threads } }: ProcFacts, slot: number): ProcessState {
  if (processes.state(slot) === processState.zombie) return { letter: "Z", name: "zombie" };
  const blocked = threads.records.state(processes.thread(slot)) === threadState.blocked;
  return blocked ? { letter: "S", name: "sleeping" } : { letter: "R", name: "running" };
}

function processStatus(facts: ProcFacts, slot: number): string {
  const { processes } = facts.areas;
  const state = stateOf(facts, slot);
  const pages_kB = programPage_bytes / 1024;
  const lines: [string, string | number][] = [
    ["Name", paddedText(processes.name(slot)).replaceAll("\n", " ")],
    ["State", `${state.letter} (${state.name})`],
    ["Pid", processes.pid(slot)],
    ["PPid", processes.parent(slot)],
    ["Kernel", processes.kernel(slot)],
    ["Core", processes.core(slot)],
    ["Migratable", migratableText(facts, slot)],
    ["Priority", processes.priority(slot)],
    ["PendingSignal", processes.pendingSignal(slot)],
    ["VmSize", `${processes.memoryPages(slot) * pages_kB} kB`],
    ["VmLimit", `${processes.memoryLimitPages(slot) * pages_kB} kB`],
    ["StartTime", `${milliseconds(processes.startTime_ns(slot))} ms`],
    ["CpuTime", `${milliseconds(cpuTime_ns(facts.areas, slot, facts.clock.monotonic_ns()))} ms`],
  ];
  return lines.map(([name, value]) => `${name}:\t${value}\n`).join("");
}

function migratableText({ areas: { processes } }: ProcFacts, slot: number): string {
  const value = processes.migratable(slot);
  if (value !== migratability.no) return value === migratability.yes ? "yes" : "unknown";
  return `no (${paddedText(processes.obstacle(slot))})`;
}

/** The line of Linux's `/proc/PID/stat`: 52 fields, those unknown here are 0. */
function processLine(facts: ProcFacts, slot: number): string {
  const { processes } = facts.areas;
  const fields: (string | number)[] = new Array(52).fill(0);
  const ticks = (time_ns: number) => Math.floor((time_ns / 1e9) * ticksPerSecond);
  fields[0] = processes.pid(slot);
  fields[1] = `(${paddedText(processes.name(slot)).slice(0, 15)})`;
  fields[2] = stateOf(facts, slot).letter;
  fields[3] = processes.parent(slot);
  fields[13] = ticks(cpuTime_ns(facts.areas, slot, facts.clock.monotonic_ns()));
  fields[17] = processes.priority(slot);
  fields[19] = 1;
  fields[21] = ticks(processes.startTime_ns(slot));
  fields[22] = processes.memoryPages(slot) * programPage_bytes;
  fields[23] = (processes.memoryPages(slot) * programPage_bytes) / page_bytes;
  fields[38] = processes.core(slot);
  return `${fields.join(" ")}\n`;
}
