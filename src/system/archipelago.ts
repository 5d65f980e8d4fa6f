/**
 * A running system, for the code that booted it: start, list and end processes, read and write files, look
 * at kernels, shut down. Every method may be called at any time until `shutdown`.
 */
import { argumentBlock_bytes_max, encodeArguments } from "../kernel/argument-block.ts";
import { errno } from "../kernel/errno.ts";
import { nightwatchCoreFrom } from "../kernel/nightwatch.ts";
import { orderFor } from "../kernel/page-allocator.ts";
import type { ProcessStatus } from "../kernel/processes.ts";
import { text } from "../kernel/processes.ts";
import { bootKernel, mostInitialFiles, spawn } from "../kernel/protocol.ts";
import { kernelState, limits } from "../kernel/state.ts";
import { corePower, type Machine } from "../machine/machine.ts";
import { primaryCore, type SystemConfiguration } from "../presets/configuration.ts";
import { freeHeldBy, recoverCoherence, recoverFrom, unlistedThreads } from "../presets/recovery.ts";
import type { Services } from "../presets/services.ts";
import type {
  CheckpointOptions,
  CheckpointSummary,
  RestoreOptions,
  SnapshotOptions,
  SnapshotSummary,
} from "./checkpoint-options.ts";
import { SystemCheckpoints } from "./checkpoints.ts";
import type { ConsoleCore } from "./console-core.ts";
import { SystemError, succeed } from "./errors.ts";
import { FileAccess } from "./file-access.ts";
import { InitialFiles } from "./initial-files.ts";
import { type MigrateOptions, Mover } from "./mover.ts";
import type { PipeEnd, SpawnOptions } from "./options.ts";
import { type ExitStatus, Process, type ProcessServices } from "./process.ts";
import type { ProgramDirectory, ProgramStep } from "./program-directory.ts";
import { rootImage, saveRoot } from "./save-root.ts";
import type { Simulation } from "./simulation.ts";
import { takeSnapshot } from "./snapshot.ts";
import { SystemTerminal } from "./terminal.ts";
import { collectUnclaimed, endedProcesses } from "./unclaimed.ts";
import { type SystemUsage, usageOf } from "./usage.ts";

/** One kernel, as `kernels()` shows it. */
export interface KernelStatus {
  readonly kernel: number;
  readonly state: "absent" | "booting" | "running" | "stopped" | "dead";
  readonly image: string;
  readonly cores: readonly number[];
  readonly bootDuration_ns: number;
  readonly processes: number;
  readonly contextSwitches: number;
  readonly interrupts: number;
}

/** Everything a program wrote, and how it ended. */
export interface RunResult extends ExitStatus {
  readonly stdout: string;
  readonly stderr: string;
}

const defaultPriority = 2;
/** A core that makes a thread ready has queued it long before this. */
const settlingTime_ms = 500;
/** How long killed processes may take to end before their kernel is stopped anyway. */
const endTimeout_ns = 1e9;
const defaultEnvironment = { PATH: "/bin", HOME: "/home", USER: "root", PWD: "/" };
const kernelStateNames = ["absent", "booting", "running", "stopped", "dead"] as const;

export class Archipelago implements AsyncDisposable {
  /** Files of the system, as a program with the whole tree would see them. */
  readonly files: FileAccess;
  /** The system's terminal. */
  readonly terminal: SystemTerminal;
  /** The simulated machine that the system runs on; null on the host. */
  readonly simulation: Simulation | null;
  private readonly machine: Machine;
  private readonly services: Services;
  private readonly console: ConsoleCore;
  private readonly mover: Mover;
  private readonly checkpoints: SystemCheckpoints;
  private readonly configuration: SystemConfiguration;
  private readonly programs: ProgramDirectory;
  private readonly processMemory_pages: number;
  /** Ends of pipes that processes were started with: nobody else can have them. */
  private readonly pipeEndsGiven = new WeakSet<PipeEnd>();
  private ending: Promise<void> | undefined;
  private closed = false;

  /** @internal Use `boot`. */
  constructor(parts: {
    machine: Machine;
    simulation: Simulation | null;
    services: Services;
    console: ConsoleCore;
    configuration: SystemConfiguration;
    programs: ProgramDirectory;
    processMemory_pages: number;
  }) {
    this.machine = parts.machine;
    this.simulation = parts.simulation;
    this.services = parts.services;
    this.console = parts.console;
    this.mover = new Mover(parts.services, parts.console);
    this.configuration = parts.configuration;
    this.programs = parts.programs;
    this.processMemory_pages = parts.processMemory_pages;
    this.files = new FileAccess(parts.services);
    this.checkpoints = new SystemCheckpoints({
      services: parts.services,
      console: parts.console,
      files: this.files,
      processServices: this.processServices(),
      processMemory_pages: parts.processMemory_pages,
      pipeEndsGiven: this.pipeEndsGiven,
      chooseCore: (kernel) => this.chooseCore(kernel),
      placeSupport: (path) => parts.programs.placeSupportFor(path, this.files),
    });
    this.terminal = new SystemTerminal(parts.services.terminal, parts.console);
  }

  /** Name of the preset it was booted with. */
  get preset(): string {
    return this.configuration.preset;
  }

  /** Names of the programs that can be started without a path. */
  programNames(): string[] {
    return this.programs.names();
  }

  /**
   * Starts a program: a name from `programNames()` or an absolute path of a WASI binary in the system.
   *
   * A program that does not exist or is no program ends at once with exit code 127 or 126, as in a shell.
   * @throws SystemError EAGAIN when the process table is full; ENOENT for a directory that is not there.
   */
  async spawn(program: string, args: readonly string[] = [], options: SpawnOptions = {}): Promise<Process> {
    this.requireRunning();
    const { stdin = "pipe", stdout = "pipe", stderr = "pipe" } = options;
    const given = new InitialFiles(this.processServices(), this.files);
    given.takeOver([stdin, stdout, stderr], this.pipeEndsGiven);
    try {
      const { directories: chosen, workingDirectory = "/" } = options;
      const context = {
        stdinIsTerminal: stdin === "terminal",
        workingDirectory: chosen === undefined ? workingDirectory : undefined,
      };
      const steps = this.programs.prepare(program, args, context, this.files);
      given.connect(stdin, "read");
      given.connect(stdout, "write");
      given.connect(stderr, "write");
      const directories = Object.entries(chosen ?? defaultDirectories(workingDirectory));
      for (const [name, path] of directories) given.preopen(name, this.files.openDirectory(path));
      const core = this.chooseCore(options.kernel, options.nightwatch);
      const start = (step: ProgramStep) => this.requestSpawn(core, step, given, options);
      const process = await Process.start(steps, start, this.processServices(), given.takeStreams());
      // A compiler's next process needs them again; otherwise an end of file must not wait for us.
      if (steps.length === 1) given.release();
      return process;
    } catch (error) {
      given.finish();
      throw error;
    }
  }

  /** Starts a program, feeds it `input`, and collects everything it writes until it ends. */
  async run(
    program: string,
    args: readonly string[] = [],
    options: Omit<SpawnOptions, "stdin" | "stdout" | "stderr"> & {
      readonly input?: string | Uint8Array;
    } = {},
  ): Promise<RunResult> {
    const process = await this.spawn(program, args, options);
    const [stdout, stderr, status] = await Promise.all([
      collectText(process.stdout),
      collectText(process.stderr),
      process.wait(),
      feed(process.stdin, options.input),
    ]);
    return { ...status, stdout, stderr };
  }

  /** A pipe inside the system: give its ends to two processes. */
  pipe(): { readonly read: PipeEnd; readonly write: PipeEnd } {
    const pipe = this.services.files.makePipe();
    if (typeof pipe === "number") throw new SystemError(pipe, "pipe");
    return { read: { file: pipe.reader }, write: { file: pipe.writer } };
  }

  /** Every process of the system, whatever kernel it runs on. */
  processes(): ProcessStatus[] {
    return this.services.table.list();
  }

  /** Sends a signal to any process. @throws SystemError ESRCH, EINVAL. */
  kill(pid: number, signal = 15): void {
    succeed(this.services.table.kill(pid, signal), `kill ${pid}`);
  }

  /**
   * Moves a process to another kernel, while it runs; it notices nothing. Resolves when it is there.
   * @throws SystemError ESRCH, ENODEV (no such kernel runs), ENOTSUP (the program cannot be captured; the message
   * says why), ENOMEM, ENOLINK (that kernel died). The process then goes on where it was.
   */
  async migrate(pid: number, kernel: number, options: MigrateOptions = {}): Promise<void> {
    this.requireRunning();
    await this.mover.migrate(pid, kernel, options);
  }

  /**
   * Writes a running process to a file of the system, and lets it go on. The file holds everything that the process
   * consists of; `restore` makes a process of it again, in this system or in a later one.
   * @throws CheckpointError when the process is one that cannot be written, and says why; SystemError for the file.
   */
  async checkpoint(pid: number, path: string, options: CheckpointOptions = {}): Promise<CheckpointSummary> {
    this.requireRunning();
    return this.checkpoints.take(pid, path, options);
  }

  /**
   * Makes a process from a file that `checkpoint` wrote: it goes on where it was. Standard streams that were pipes
   * or the terminal are connected anew (as in `spawn`), everything else is opened again by its path.
   * @throws CheckpointError for a file that is damaged, or a process that cannot go on here, and says why; nothing has
   * changed then. SystemError for a file that cannot be read.
   */
  async restore(path: string, options: RestoreOptions = {}): Promise<Process> {
    this.requireRunning();
    return this.checkpoints.restore(path, options);
  }

  /**
   * Runs a program until it has finished its initialisation, writes it to a file of the system, and ends it. `restore`
   * starts it from there, with fresh arguments and variables for programs that ask for them after that moment.
   * @throws CheckpointError when it ends before, or cannot be written; RangeError for `at`; what `spawn` throws.
   */
  async snapshot(
    path: string,
    program: string,
    args: readonly string[] = [],
    options: SnapshotOptions = {},
  ): Promise<SnapshotSummary> {
    const parts = {
      console: this.console,
      areas: this.services.areas,
      spawn: this.spawn.bind(this),
      take: this.checkpoint.bind(this),
    };
    return takeSnapshot(parts, path, program, args, options);
  }

  kernels(): KernelStatus[] {
    const { kernels, cores } = this.services.areas;
    const found: KernelStatus[] = [];
    const count = Math.max(...this.configuration.kernelOfCore) + 1;
    for (let kernel = 0; kernel < count; kernel++) {
      const own = this.configuration.kernelOfCore.flatMap((of, core) => (of === kernel ? [core] : []));
      found.push({
        kernel,
        state: kernelStateNames[kernels.state(kernel)],
        image: text(kernels.image(kernel)),
        cores: own,
        bootDuration_ns: kernels.bootDuration_ns(kernel),
        processes: own.reduce((sum, core) => sum + cores.load(core), 0),
        contextSwitches: own.reduce((sum, core) => sum + cores.contextSwitches(core), 0),
        interrupts: own.reduce((sum, core) => sum + cores.interrupts(core), 0),
      });
    }
    return found;
  }

  /** Nanoseconds since the machine was switched on, by its own clock: on a simulated machine, virtual time. */
  time_ns(): number {
    return this.machine.console.clock.monotonic_ns();
  }

  /** Resolves after some time of the machine's: on a simulated machine that takes as long as what happens meanwhile. */
  async delay(duration_ms: number): Promise<void> {
    this.requireRunning();
    if (!(duration_ms >= 0)) throw new RangeError(`delay: ${duration_ms} is not a number of milliseconds`);
    await this.machine.delay(duration_ms);
  }

  /** What the system has in use: processes, open files, pipes, pages, room on the root file system. */
  usage(): SystemUsage {
    return usageOf(this.services);
  }

  /**
   * Writes the root file system as an ext2 image to a host file, which `boot({ root })` takes. Meant for a
   * system whose programs do not write at the moment.
   */
  saveRoot(path: string): void {
    this.requireRunning();
    saveRoot(this.services, path);
  }

  /** The bytes of the root file system as they are now, for checkers. */
  rootImage(): Uint8Array {
    this.requireRunning();
    return rootImage(this.services);
  }

  /** Every mounted file system. */
  mounts(): { readonly path: string; readonly type: string; readonly readOnly: boolean }[] {
    return this.services.mounts.list().map(({ path, type, readOnly }) => ({ path, type, readOnly }));
  }

  /**
   * Boots a kernel on its cores, asked of any running kernel. Resolves when it runs.
   * @throws SystemError ENOLINK when it dies before.
   */
  async bootKernel(kernel: number): Promise<void> {
    this.requireRunning();
    const { endpoint, areas } = this.services;
    const by = this.onlineCores()[0];
    for (const [core, of] of this.configuration.kernelOfCore.entries()) {
      if (of !== kernel || areas.cores.online(core) !== 0) continue;
      const reply = await endpoint.request(by, bootKernel, { core, kernel });
      succeed(reply.status, `boot kernel ${kernel} on core ${core}`);
    }
    const cores = [...this.configuration.kernelOfCore.keys()].filter(
      (core) => this.configuration.kernelOfCore[core] === kernel,
    );
    while (areas.kernels.state(kernel) !== kernelState.running) {
      const powers = cores.map((core) => this.machine.console.power(core));
      if (powers.every((power) => power === corePower.failed || power === corePower.off))
        throw new SystemError(-errno.NOLINK, `kernel ${kernel} died while it booted`);
      await areas.kernels.waitAsyncState(kernel, areas.kernels.state(kernel), 100);
    }
  }

  /**
   * Stops a kernel; its cores can be booted again with `bootKernel`. Its processes are moved to the other kernels
   * first if `processes` is "move"; those that cannot be moved, or all of them otherwise, are ended.
   * @throws Error for the kernel that owns the terminal, and for one that does not stop in time.
   */
  async stopKernel(kernel: number, options: { readonly processes?: "move" | "end" } = {}): Promise<void> {
    this.requireRunning();
    const cores = this.onlineCores().filter((core) => this.configuration.kernelOfCore[core] === kernel);
    if (cores.length === 0) throw new RangeError(`kernel ${kernel} is not running`);
    if (cores.includes(primaryCore))
      throw new Error(`kernel ${kernel} owns the terminal and cannot be stopped alone`);
    if (options.processes === "move") {
      const others = [...new Set(this.configuration.kernelOfCore)].filter((other) => other !== kernel);
      await this.mover.evacuate(kernel, cores, others);
    }
    await this.endProcesses((process) => process.kernel === kernel);
    if (!(await this.machine.halt(cores))) throw new Error(`kernel ${kernel} did not stop in time`);
    for (const core of cores) this.services.pages.recover(core + 1, kernel);
  }

  /** @internal A core was lost: what others may need of it at any moment, at interrupt level. */
  coreLost(core: number): void {
    recoverCoherence(this.services, this.machine.console, core);
  }

  /** @internal Frees what a core that was lost has held, piece by piece: see `freeHeldBy`. */
  *freeHeldBy(core: number): Generator<void> {
    if (!this.closed) yield* freeHeldBy(this.services, this.machine.console, core);
  }

  /**
   * @internal The machine lost a core, and nothing of it is held any more: its kernel's part of the system is cleaned
   * up, its processes end.
   */
  coreFailed(core: number): void {
    if (this.closed) return;
    recoverFrom(this.services, this.machine.console, core);
    // Threads that the core was just waking: those that nobody queues for a while, nobody will.
    const suspects = unlistedThreads(this.services);
    const ended = endedProcesses(this.services, core);
    void this.machine.delay(settlingTime_ms).then(async () => {
      if (this.ending !== undefined) return;
      for (const thread of unlistedThreads(this.services)) {
        if (suspects.has(thread)) this.services.queue.enqueue(thread);
      }
      // Who waits for one of the processes may have been among the threads.
      await this.machine.delay(settlingTime_ms);
      if (this.ending === undefined) collectUnclaimed(this.services, ended);
    });
  }

  /** Writes everything to the root image, stops all kernels and ends the machine. Processes are ended. */
  shutdown(): Promise<void> {
    this.ending ??= this.end();
    return this.ending;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.shutdown();
  }

  private async end(): Promise<void> {
    this.services.areas.system.setShutdown(0, 1);
    await this.endProcesses(() => true);
    await this.untilNoneBoots();
    await this.machine.halt(this.onlineCores());
    // Until here, a core that dies may hold what is still needed.
    this.services.unmount();
    this.closed = true;
    this.console.stop();
    await this.machine.stop();
    this.services.close();
  }

  /** A core that boots cannot be told to halt, and needs what others share. It is not waited for long. */
  private async untilNoneBoots(): Promise<void> {
    const { console } = this.machine;
    const { cores } = this.services.areas;
    const deadline_ns = console.clock.monotonic_ns() + endTimeout_ns;
    const boots = (core: number) =>
      cores.online(core) === 0 &&
      (console.power(core) === corePower.starting || console.power(core) === corePower.on);
    while ([...this.configuration.kernelOfCore.keys()].some(boots)) {
      if (console.clock.monotonic_ns() >= deadline_ns) return;
      await this.machine.delay(1);
    }
  }

  /** Kills the processes that are chosen and waits, not for long, until they have ended. */
  private async endProcesses(chosen: (process: ProcessStatus) => boolean): Promise<void> {
    const remaining = () =>
      this.processes().filter((process) => process.state !== "zombie" && chosen(process));
    const deadline_ns = this.machine.console.clock.monotonic_ns() + endTimeout_ns;
    for (;;) {
      // Again and again: they may fork meanwhile.
      const left = remaining();
      for (const process of left) this.services.table.kill(process.pid, 9);
      if (left.length === 0 || this.machine.console.clock.monotonic_ns() >= deadline_ns) return;
      await this.machine.delay(1);
    }
  }

  private requireRunning(): void {
    if (this.ending !== undefined) throw new Error("this system was shut down");
  }

  private onlineCores(): number[] {
    const { cores } = this.services.areas;
    return this.configuration.kernelOfCore.map((_, core) => core).filter((core) => cores.online(core) !== 0);
  }

  /** The least loaded online core, of a given kernel if one is named; for a NightWatch thread, of a weak kernel. */
  private chooseCore(kernel: number | undefined, nightwatch = false): number {
    const { cores } = this.services.areas;
    if (nightwatch) {
      if (kernel !== undefined) throw new RangeError("nightwatch chooses the kernel; name none besides");
      const core = nightwatchCoreFrom(this.services.areas, this.configuration.weakKernels);
      if (core < 0) throw new RangeError("no kernel for NightWatch threads is running");
      return core;
    }
    const candidates = this.onlineCores().filter(
      (core) =>
        cores.closing(core) === 0 &&
        (kernel === undefined || this.configuration.kernelOfCore[core] === kernel),
    );
    if (candidates.length === 0) {
      throw new RangeError(kernel === undefined ? "no kernel is running" : `kernel ${kernel} is not running`);
    }
    return candidates.reduce((best, core) => (cores.load(core) < cores.load(best) ? core : best));
  }

  /** Asks the kernel of a core to start a process; it gets references of its own to the open files. */
  private async requestSpawn(
    core: number,
    step: ProgramStep,
    given: InitialFiles,
    options: SpawnOptions,
  ): Promise<number> {
    const { pages, memory, endpoint, files } = this.services;
    const priority = options.priority ?? defaultPriority;
    if (!Number.isInteger(priority) || priority < 0 || priority >= limits.priorities) {
      throw new RangeError(`priority ${priority} is not one of 0 to ${limits.priorities - 1}`);
    }
    const { memory_bytes = Infinity } = options;
    if (!(memory_bytes >= 0)) throw new RangeError(`memory_bytes: ${memory_bytes} is not a number of bytes`);
    if (given.files.length > mostInitialFiles)
      throw new RangeError(`too many directories: ${given.preopens.length}`);
    const variables = Object.entries({ ...defaultEnvironment, ...step.environment, ...options.environment });
    const block = encodeArguments({
      program: step.path,
      arguments: step.arguments,
      environment: variables.map(([name, value]) => `${name}=${value}`),
      preopens: given.preopens,
      stoppingPoint: options.stoppingPoint,
    });
    const commandLine = step.arguments.join(" ");
    if (block.length > argumentBlock_bytes_max) {
      throw new SystemError(-errno.TOOBIG, `${commandLine.slice(0, 60)}: ${block.length} bytes of arguments`);
    }
    const order = orderFor(block.length);
    const offset = pages.allocate(order);
    if (offset < 0)
      throw new SystemError(-errno.NOMEM, `${commandLine.slice(0, 60)}: no pages for its arguments`);
    memory.write(offset, block);
    for (const file of given.files) files.retain(file);
    const name = new Uint8Array(63);
    const nameLength = new TextEncoder().encodeInto(commandLine, name).written;
    const reply = await endpoint.request(core, spawn, {
      parent: 0,
      priority,
      detached: 0,
      nightwatch: options.nightwatch === true ? 1 : 0,
      memoryLimitPages: Math.min(this.processMemory_pages, Math.floor(memory_bytes / 65_536)),
      name,
      nameLength,
      argumentOffset: offset,
      argumentOrder: order,
      fileCount: given.files.length,
      files: Array.from({ length: mostInitialFiles }, (_, descriptor) => given.files[descriptor] ?? 0),
    });
    return succeed(reply.status, commandLine.slice(0, 60));
  }

  private processServices(): ProcessServices {
    const { areas, table, files } = this.services;
    return { areas, table, files, console: this.console, mover: this.mover };
  }
}

function defaultDirectories(workingDirectory: string): Record<string, string> {
  // Older C libraries look relative paths up in "."; newer ones take the last directory that fits, "/".
  return { ".": workingDirectory, "/": "/" };
}

async function collectText(stream: ReadableStream<Uint8Array> | null): Promise<string> {
  if (stream === null) return "";
  const decoder = new TextDecoder();
  let collected = "";
  for await (const chunk of stream) collected += decoder.decode(chunk, { stream: true });
  return collected + decoder.decode();
}

async function feed(
  stream: WritableStream<Uint8Array> | null,
  input: string | Uint8Array = "",
): Promise<void> {
  if (stream === null) return;
  const writer = stream.getWriter();
  try {
    if (input.length > 0)
      await writer.write(typeof input === "string" ? new TextEncoder().encode(input) : input);
    await writer.close();
  } catch {
    // The program ended without reading everything, as `head` does.
  }
}
