/** Booting: from options to a running system. */
import { mkdirSync, readFileSync, statSync } from "node:fs";
import { availableParallelism, homedir } from "node:os";
import { extname, join, resolve } from "node:path";
import { HostMachine } from "../machine/host/host-machine.ts";
import type { Machine, OperatorLog } from "../machine/machine.ts";
import {
  type HostMountConfiguration,
  kernelsOf,
  kernelsOn,
  primaryCore,
  type SystemConfiguration,
} from "../presets/configuration.ts";
import { placed } from "../presets/placements.ts";
import { attachServices, memoryFor } from "../presets/services.ts";
import { Archipelago } from "./archipelago.ts";
import { checkKernels, checkSimulationOptions, machineOf, presetOf } from "./check-options.ts";
import { ConsoleCore } from "./console-core.ts";
import type { BootOptions } from "./options.ts";
import { ProgramDirectory } from "./program-directory.ts";
import { islandsOf, simulatedMachine, simulatedOrigin_ns, simulatedProfile } from "./simulated.ts";
import type { Simulation } from "./simulation.ts";

const defaultRoot_bytes = 512 * 1024 * 1024;
const simulatedRoot_bytes = 64 * 1024 * 1024;
const defaultPageMemory_bytes = 64 * 1024 * 1024;
/** Enough page blocks for kernels to pass around. */
const simulatedPageMemory_bytes = 192 * 1024 * 1024;
const defaultProcessMemory_bytes = 4 * 1024 * 1024 * 1024;
const smallestRoot_bytes = 1024 * 1024;
const smallestImage_bytes = 16 * 1024;
/** The terminal's pipes, and some for programs. */
const smallestPageMemory_bytes = 1024 * 1024;
const mostCores = 64;
const bootTimeout_ms = 30_000;

/**
 * Boots a system on this computer. Several may run in one Node.js process.
 *
 *     await using system = await boot({ mounts: { "/work": "." } });
 *     const { stdout } = await system.run("python3", ["-c", "print(6 * 7)"]);
 *
 * @throws RangeError for options that make no sense, Error when a mount or the root image cannot be used.
 */
export async function boot(options: BootOptions = {}): Promise<Archipelago> {
  const preset = presetOf(options.preset);
  checkSimulationOptions(options);
  const machineProfile = machineOf(options.machine ?? preset.machine);
  const profile = machineProfile === null ? null : simulatedProfile(machineProfile, options.cores);
  const cores =
    profile === null ? (options.cores ?? Math.max(2, availableParallelism())) : islandsOf(profile).length;
  if (!Number.isInteger(cores) || cores < 1 || cores > mostCores) {
    throw new RangeError(`cores: ${cores} is not a whole number from 1 to ${mostCores}`);
  }
  const islandOfCore = profile === null ? new Array<number>(cores).fill(0) : islandsOf(profile);
  requireWholeNumber("coresPerKernel", options.coresPerKernel, 0);
  requireWholeNumber("rootSize_bytes", options.rootSize_bytes, smallestRoot_bytes);
  requireWholeNumber("pageMemory_bytes", options.pageMemory_bytes, smallestPageMemory_bytes);
  requireWholeNumber("processMemory_bytes", options.processMemory_bytes, 0);
  const programs = new ProgramDirectory(options.programs ?? {});
  const kernelOfCore = kernelsOf(islandOfCore, options.coresPerKernel ?? preset.coresPerKernel);
  checkKernels("weakKernels", options.weakKernels ?? [], kernelOfCore);
  const configuration: SystemConfiguration = {
    version: packageVersion(),
    bootTime_ns: profile === null ? Date.now() * 1e6 : simulatedOrigin_ns,
    preset: preset.name,
    machine: profile?.name ?? "host",
    image: "general",
    placements: placed(preset.placements, options.placements ?? {}),
    coherence: options.coherence ?? preset.coherence,
    islandOfCore,
    islandCount: islandOfCore[cores - 1] + 1,
    weakIslands: preset.weakIslands.filter((island) => islandOfCore.includes(island)),
    releaseOnSleep: options.releaseOnSleep ?? false,
    kernelOfCore,
    rootImage: options.root === undefined ? null : resolve(options.root),
    rootSize_bytes:
      options.root === undefined
        ? (options.rootSize_bytes ?? (profile === null ? defaultRoot_bytes : simulatedRoot_bytes))
        : imageSize(options.root),
    pageMemory_bytes:
      options.pageMemory_bytes ?? (profile === null ? defaultPageMemory_bytes : simulatedPageMemory_bytes),
    mounts: hostMounts(options.mounts ?? {}),
    programs: programs.files(),
    cacheDirectory: cacheDirectory(options.cacheDirectory),
    // Re-entering is about how this computer optimises code, which takes no time on a simulated machine.
    hotFrames: profile === null && (options.hotFrames ?? true),
    balance: options.balance ?? false,
    weakKernels: options.weakKernels ?? kernelsOn(preset.weakIslands, { kernelOfCore, islandOfCore }),
  };
  const log = options.log ?? ((line: string) => void process.stderr.write(`${line}\n`));
  const failure = new BootFailure();
  let system: Archipelago | undefined;
  const onCoreFailed = (core: number, reason: string): void => {
    failure.report(`core ${core} failed: ${reason}`);
    if (core >= 0) system?.coreFailed(core);
    log(`core ${core} failed: ${reason}`);
  };
  const simulation =
    profile === null
      ? null
      : await simulatedMachine(profile, configuration, {
          ...options,
          log,
          onCoreFailed,
          onCoreLost: (core) => system?.coreLost(core),
          freeHeldBy: (core) => system?.freeHeldBy(core) ?? [].values(),
        });
  const machine =
    simulation?.machine ??
    hostMachine(configuration, log, (core, reason) => {
      if (core >= 0) Array.from(system?.freeHeldBy(core) ?? []);
      onCoreFailed(core, reason);
    });
  try {
    await Promise.race([machine.whenReady(), failure.happened]);
    system = await startSystem(machine, simulation, configuration, programs, options, failure);
    return system;
  } catch (error) {
    await machine.stop();
    throw error;
  }
}

function hostMachine(
  configuration: SystemConfiguration,
  log: OperatorLog,
  onCoreFailed: (core: number, reason: string) => void,
): Machine {
  const { cacheDirectory: directory } = configuration;
  return new HostMachine({
    cores: configuration.kernelOfCore.length,
    memory_bytes: memoryFor(configuration),
    kernelModule: new URL(`../presets/general${extname(import.meta.url)}`, import.meta.url).href,
    configuration,
    codeCache: directory === null ? null : join(directory, "code"),
    log,
    onCoreFailed,
  });
}

async function startSystem(
  machine: Machine,
  simulation: Simulation | null,
  configuration: SystemConfiguration,
  programs: ProgramDirectory,
  options: BootOptions,
  failure: BootFailure,
): Promise<Archipelago> {
  const { console: core } = machine;
  core.start(primaryCore, configuration.kernelOfCore[primaryCore]);
  // The primary kernel formats the memory and boots all others; its core says when there is something to attach.
  await Promise.race([machine.whenOn(primaryCore, bootTimeout_ms), failure.happened]);
  const services = attachServices({
    core,
    dsm: simulation?.dsm ?? null,
    configuration,
    log: options.log ?? (() => undefined),
  });
  const consoleCore = new ConsoleCore(
    core,
    services.areas,
    services.queue,
    services.waits,
    services.owner,
    () => {
      services.endpoint.drain();
      services.pages.tick();
    },
  );
  void consoleCore.run();
  const { cores } = services.areas;
  for (const id of configuration.kernelOfCore.keys()) {
    while (cores.online(id) === 0) {
      await Promise.race([cores.waitAsyncOnline(id, 0, bootTimeout_ms), failure.happened]);
    }
  }
  return new Archipelago({
    machine,
    simulation,
    services,
    console: consoleCore,
    configuration,
    programs,
    processMemory_pages: Math.floor((options.processMemory_bytes ?? defaultProcessMemory_bytes) / 65_536),
  });
}

function requireWholeNumber(option: string, value: number | undefined, least: number): void {
  if (value === undefined || (Number.isSafeInteger(value) && value >= least)) return;
  throw new RangeError(`${option}: ${value} is not a whole number from ${least} on`);
}

/** Turns a core's failure during boot into a rejection. */
class BootFailure {
  readonly happened: Promise<never>;
  report: (reason: string) => void = () => undefined;

  constructor() {
    this.happened = new Promise((_resolve, reject) => {
      this.report = (reason) => reject(new Error(reason));
    });
    this.happened.catch(() => undefined);
  }
}

function hostMounts(mounts: NonNullable<BootOptions["mounts"]>): HostMountConfiguration[] {
  return Object.entries(mounts).map(([path, mount]) => {
    const { directory, readOnly = false } = typeof mount === "string" ? { directory: mount } : mount;
    if (!path.startsWith("/") || path === "/") {
      throw new RangeError(`mount ${path}: must be an absolute path below "/", for example /work`);
    }
    const absolute = resolve(directory);
    if (statSync(absolute, { throwIfNoEntry: false })?.isDirectory() !== true) {
      throw new Error(`mount ${path}: ${directory} is not a directory on the host`);
    }
    return { path, directory: absolute, readOnly };
  });
}

function imageSize(path: string): number {
  const status = statSync(path, { throwIfNoEntry: false });
  if (status === undefined) {
    throw new Error(`root image ${path} does not exist; make one with: mke2fs -t ext2 ${path} 256M`);
  }
  if (!status.isFile()) throw new Error(`root image ${path} is not a file`);
  if (status.size < smallestImage_bytes) throw new Error(`root image ${path} is too small to hold ext2`);
  return status.size;
}

function packageVersion(): string {
  const { version } = JSON.parse(readFileSync(new URL("../../package.json", import.meta.url), "utf8"));
  return String(version);
}

function cacheDirectory(wanted: string | false | undefined): string | null {
  if (wanted === false) return null;
  const base = process.env.XDG_CACHE_HOME ?? join(homedir(), ".cache");
  const directory = wanted ?? join(base, "archipelago");
  try {
    mkdirSync(directory, { recursive: true });
    return directory;
  } catch {
    // A home that cannot be written only costs time: programs are instrumented anew in each system.
    return null;
  }
}
