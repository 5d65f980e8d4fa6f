/**
 * The host machine: this computer seen as an island of cores. Runs on the main thread of the process that
 * boots the system; it owns the island's memory and the worker threads, and knows nothing of kernels.
 */
import { availableParallelism } from "node:os";
import { extname } from "node:path";
import { MessageChannel, Worker } from "node:worker_threads";
import { corePower, interruptLine, type Machine, type OperatorLog } from "../machine.ts";
import { hostTime_ms } from "./clock.ts";
import { controlAccessor, createControlMemory, raise } from "./control.ts";
import { HostCore, type HostWiring } from "./host-core.ts";
import type { MailboxPort } from "./mailboxes.ts";
import { timerPage } from "./timer-page.ts";
import { allowInlining, enlargeStacks, tolerateMemories } from "./v8-settings.ts";
import type { WorkerRole } from "./worker.ts";

export interface HostMachineOptions {
  /** Cores that run kernels. */
  readonly cores: number;
  readonly memory_bytes: number;
  /** URL of the module that exports `bootKernel`, run by each core's thread. */
  readonly kernelModule: string;
  /** Structured-cloneable; handed to `bootKernel`. */
  readonly configuration: unknown;
  /** Directory where cores keep compiled code between runs, or null. */
  readonly codeCache: string | null;
  readonly log: OperatorLog;
  /** A core's thread ended without being asked to. */
  readonly onCoreFailed: (core: number, reason: string) => void;
}

/** Shortest and longest time an idle core spins before it parks. A futex wake costs tens of microseconds. */
const idleSpin_ns = 20_000;
/** How long a kernel may take to stop by itself: long enough for a computer that has much else to do. */
const haltTimeout_ms = 10_000;
/** When the machine ends, kernels are given less: their threads are ended anyway. */
const stopTimeout_ms = 2_000;

export class HostMachine implements Machine {
  private readonly ram: WebAssembly.Memory;
  readonly coreCount: number;
  /** The core that the main thread acts as. */
  readonly console: HostCore;
  private readonly wiring: HostWiring;
  private readonly workers = new Set<Worker>();
  /** Threads of the cores, by core. */
  private readonly coreWorkers = new Map<number, Worker>();
  private readonly ready: Promise<void>[] = [];
  private readonly options: HostMachineOptions;
  private stopping = false;
  /** Cores whose thread was replaced. */
  private readonly replacements = new Set<number>();

  constructor(options: HostMachineOptions) {
    this.options = options;
    this.coreCount = options.cores;
    this.ram = reserve(options.memory_bytes);
    const controls = Array.from({ length: options.cores + 1 }, createControlMemory);
    for (const memory of controls) controlAccessor(memory).setTimerDeadline_ns(0, Infinity);
    this.wiring = {
      ram: this.ram,
      controls,
      timer: createControlMemory(),
      origin_ms: hostTime_ms(),
      originRealtime_ns: Date.now() * 1e6,
      idleSpin_ns: options.cores > availableParallelism() ? 0 : idleSpin_ns,
    };
    this.console = new HostCore(options.cores, this.wiring, null);
    enlargeStacks();
    allowInlining();
    tolerateMemories();
    this.startWorker(-1);
    for (let core = 0; core < options.cores; core++) this.startWorker(core);
  }

  private startWorker(core: number): void {
    const ports = core < 0 ? [] : this.connect(core);
    const role: WorkerRole = {
      wiring: this.wiring,
      core,
      ports,
      kernelModule: this.options.kernelModule,
      configuration: this.options.configuration,
      codeCache: this.options.codeCache,
    };
    const worker = new Worker(new URL(`./worker${extname(import.meta.url)}`, import.meta.url), {
      workerData: role,
      transferList: ports.map(({ port }) => port),
      // Files are opened on one core and closed on another.
      trackUnmanagedFds: false,
      name: core < 0 ? "timer" : `core ${core}`,
      // Options of the process are not for cores: a test runner's, for example, are refused by workers.
      execArgv: [],
    });
    this.workers.add(worker);
    if (core >= 0) this.coreWorkers.set(core, worker);
    let reason = "its thread ended";
    worker.on("error", (error: unknown) => {
      reason = error instanceof Error ? (error.stack ?? error.message) : String(error);
    });
    worker.on("exit", () => {
      this.workers.delete(worker);
      if (!this.stopping) this.replace(core, reason);
    });
    if (core >= 0) {
      this.ready.push(
        new Promise((resolve, reject) => {
          worker.once("message", () => resolve());
          worker.once("error", reject);
          worker.once("exit", () => reject(new Error(`core ${core} ended before it was ready`)));
        }),
      );
    }
  }

  /** Ports from a core whose thread is about to start to all that have one; those are given the other ends. */
  private connect(core: number): MailboxPort[] {
    this.coreWorkers.delete(core);
    return [...this.coreWorkers].map(([peer, worker]) => {
      const { port1, port2 } = new MessageChannel();
      worker.postMessage({ peer: core, port: port2 } satisfies MailboxPort, [port2]);
      return { peer, port: port1 };
    });
  }

  /** A core's thread died with whatever ran on it. The core itself can be started again, with a new thread. */
  private replace(core: number, reason: string): void {
    if (core >= 0) controlAccessor(this.wiring.controls[core]).setPower(0, corePower.failed);
    this.options.onCoreFailed(core, reason);
    if (core < 0 || this.replacements.has(core)) return;
    // Once only: a thread that dies again and again has a reason that starting it does not mend.
    this.replacements.add(core);
    const page = controlAccessor(this.wiring.controls[core]);
    page.setPending(0, 0);
    page.setParked(0, 0);
    page.setTimerDeadline_ns(0, Infinity);
    page.setPower(0, corePower.absent);
    this.startWorker(core);
    this.ready.at(-1)?.catch(() => undefined);
  }

  /** Resolves when every core can be booted. */
  async whenReady(): Promise<void> {
    await Promise.all(this.ready);
  }

  /** Resolves when a core is on. @throws Error after `timeout_ms`. */
  async whenOn(core: number, timeout_ms: number): Promise<void> {
    const page = controlAccessor(this.wiring.controls[core]);
    const { clock } = this.console;
    const deadline_ns = clock.monotonic_ns() + timeout_ms * 1e6;
    for (let power = page.power(0); power !== corePower.on; power = page.power(0)) {
      const left_ms = (deadline_ns - clock.monotonic_ns()) / 1e6;
      if (left_ms <= 0) throw new Error(`core ${core} did not boot within ${timeout_ms} ms`);
      await page.waitAsyncPower(0, power, left_ms);
    }
  }

  delay(duration_ms: number): Promise<void> {
    return new Promise((resolve) => setTimeout(resolve, duration_ms));
  }

  /** Asks the kernels on some cores to stop. True when all of them have, false when time ran out. */
  async halt(cores: readonly number[]): Promise<boolean> {
    const deadline_ns = this.console.clock.monotonic_ns() + haltTimeout_ms * 1e6;
    for (const core of cores) this.console.interrupt(core, interruptLine.halt);
    for (const core of cores) {
      const page = controlAccessor(this.wiring.controls[core]);
      while (page.power(0) === corePower.on) {
        const left_ms = (deadline_ns - this.console.clock.monotonic_ns()) / 1e6;
        if (left_ms <= 0) return false;
        await page.waitAsyncPower(0, corePower.on, left_ms);
      }
    }
    return true;
  }

  /** Ends all threads; kernels that still run are asked to stop first. */
  async stop(): Promise<void> {
    if (this.stopping) return;
    this.stopping = true;
    const timer = timerPage(this.wiring.timer);
    timer.setStop(0, 1);
    timer.addChanges(0, 1);
    timer.notifyChanges(0);
    const threads = [...this.workers];
    const exits = threads.map(
      (worker) => new Promise<void>((resolve) => worker.once("exit", () => resolve())),
    );
    for (let core = 0; core < this.coreCount; core++) {
      const page = controlAccessor(this.wiring.controls[core]);
      raise(page, interruptLine.halt);
      page.notifyPower(0);
    }
    let expire: NodeJS.Timeout | undefined;
    const timeout = new Promise<void>((resolve) => {
      expire = setTimeout(resolve, stopTimeout_ms);
    });
    await Promise.race([Promise.all(exits), timeout]);
    clearTimeout(expire);
    await Promise.all(threads.map((worker) => worker.terminate()));
  }
}

/** Most that 32-bit addresses reach, and so programs' copy functions. */
const mostMemory_bytes = 2 ** 32;
const wasmPage_bytes = 65_536;

/**
 * The island's memory: a WebAssembly memory, so that programs can be linked with it, and of fixed size. The host
 * commits it page by page, as it is touched.
 * @throws RangeError when it is too large, for the format or for this computer.
 */
function reserve(size_bytes: number): WebAssembly.Memory {
  const size_MiB = Math.ceil(size_bytes / 2 ** 20);
  if (size_bytes > mostMemory_bytes) {
    throw new RangeError(
      `the root disk and the page memory need ${size_MiB} MiB with what the kernels use; the most is ${mostMemory_bytes / 2 ** 20} MiB`,
    );
  }
  const pages = Math.ceil(size_bytes / wasmPage_bytes);
  try {
    return new WebAssembly.Memory({ initial: pages, maximum: pages, shared: true });
  } catch {
    throw new RangeError(`this computer has no memory for a system of ${size_MiB} MiB`);
  }
}
