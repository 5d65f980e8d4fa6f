/**
 * The general kernel image, and the code that a core runs when it is started: builds the services, mounts the
 * name space if it is the first, boots the kernel, and runs it until it halts.
 */
import type { Dsm } from "../dsm/index.ts";
import { ProgramLoader } from "../engine/index.ts";
import { Checkpoints } from "../kernel/checkpoint.ts";
import { errno, errnoName } from "../kernel/errno.ts";
import { Forks } from "../kernel/fork.ts";
import { FrameTables } from "../kernel/frame-tables.ts";
import { Kernel } from "../kernel/kernel.ts";
import { PowerManagement } from "../kernel/power-management.ts";
import { ProgramRunner } from "../kernel/program-runner.ts";
import { Restores } from "../kernel/restore.ts";
import { kernelState } from "../kernel/state.ts";
import { contentHash } from "../machine/host/content-hash.ts";
import { HostModuleStore } from "../machine/host/module-store.ts";
import type { Core, OperatorLog } from "../machine/machine.ts";
import { consoleCoreOf, primaryCore, type SystemConfiguration } from "./configuration.ts";
import { GeneralPersonality } from "./general-personality.ts";
import { ProcessFiles } from "./process-files.ts";
import { attachServices, createServices, type ServiceParts, type Services } from "./services.ts";

/** Directories of a fresh root that programs and mounts expect. */
const rootDirectories = ["bin", "dev", "etc", "home", "proc", "tmp", "usr", "var"];

/** Runs kernel `kernel` on a core until it halts. The machine calls it when the core is started. */
export async function bootKernel(
  core: Core,
  kernel: number,
  bootedBy: number,
  given: unknown,
  dsm: Dsm | null = null,
): Promise<void> {
  const started_ns = core.clock.monotonic_ns();
  const configuration = given as SystemConfiguration;
  const log: OperatorLog = (line) => core.log(line);
  const parts: ServiceParts = { core, configuration, log, dsm };
  const first = core.id === primaryCore && bootedBy === consoleCoreOf(configuration);
  const services = first ? createServices(parts) : attachServices(parts);
  if (first) mountNameSpace(services, configuration);
  services.areas.kernels.setImage(kernel, new TextEncoder().encode(configuration.image));
  services.areas.kernels.compareExchangeState(kernel, kernelState.absent, kernelState.booting);
  managePower(parts, services);
  const personality = new GeneralPersonality(services, core);
  personality.open();
  const running = makeKernel(kernel, parts, services, personality);
  if (first) {
    // The primary kernel boots all others; any kernel can be asked to boot one later.
    for (const [other, otherKernel] of configuration.kernelOfCore.entries()) {
      if (other !== core.id) core.start(other, otherKernel);
    }
  }
  core.announce();
  await running.run(bootedBy, started_ns);
  personality.close();
  services.close();
}

/** Who takes interrupts of devices, and what sleeping islands leave to others. */
function managePower({ core, configuration }: ServiceParts, { coherence }: Services): void {
  const { soc } = core;
  if (soc === null) return;
  const { islandOfCore, weakIslands, placements, releaseOnSleep } = configuration;
  const isIndependent = placements.interrupts === "independent";
  new PowerManagement(core, soc, {
    mainIsland: islandOfCore[primaryCore],
    standIn: isIndependent ? (weakIslands[0] ?? null) : null,
    beforeSleep: releaseOnSleep && coherence !== null ? () => void coherence.release() : null,
  });
}

function makeKernel(
  kernel: number,
  parts: ServiceParts,
  services: Services,
  personality: GeneralPersonality,
): Kernel {
  const { core, configuration, log } = parts;
  const loader = new ProgramLoader({
    hash: contentHash,
    fuel: core.soc === null ? null : "close",
    storeUnnoticed: core.soc !== null,
    store:
      configuration.cacheDirectory === null ? undefined : new HostModuleStore(configuration.cacheDirectory),
  });
  const { balance, weakKernels } = configuration;
  const foundation = { ...services, core, log, balance, weakKernels };
  const running: Kernel = new Kernel(kernel, foundation, personality, (table, scheduler) => {
    const runner = new ProgramRunner(
      { ...foundation, personality, loader, table, hotFrames: configuration.hotFrames },
      scheduler,
    );
    new Forks({ ...foundation, personality, table, runner });
    const checkpointing = {
      ...foundation,
      runner,
      personality,
      loader,
      table,
      kernel,
      clock: core.clock,
      handlers: runner.handlers,
      files: new ProcessFiles(services),
      frameTables: new FrameTables(contentHash),
      digest: contentHash,
    };
    new Checkpoints(checkpointing);
    new Restores(checkpointing);
    return runner;
  });
  personality.cpuTime_ns = (thread) => running.cpuTime_ns(thread);
  return running;
}

/** Mounts everything under "/". @throws Error naming the mount that failed: the system does not boot. */
function mountNameSpace(services: Services, configuration: SystemConfiguration): void {
  const { mounts, files } = services;
  require("/", mounts.mountExt2("/", 0, false));
  const rootMount = mounts.root();
  const root = files.openDirectory(rootMount, mounts.fileSystem(rootMount).rootInode);
  for (const directory of rootDirectories) makeDirectory(services, root, directory);
  require("/dev", mounts.mountDevice("/dev"));
  require("/proc", mounts.mountProcess("/proc"));
  require("/bin", mounts.mountPrograms("/bin"));
  for (const [instance, mount] of configuration.mounts.entries()) {
    let path = "";
    for (const part of mount.path.split("/").filter((name) => name !== "")) {
      path += path === "" ? part : `/${part}`;
      makeDirectory(services, root, path);
    }
    require(mount.path, mounts.mountHost(mount.path, instance, mount.readOnly));
  }
  files.release(root);
}

function makeDirectory({ files }: Services, root: number, path: string): void {
  const result = files.makeDirectory(root, path, 0o755);
  if (result < 0 && result !== -errno.EXIST && result !== -errno.ROFS) require(`/${path}`, result);
}

function require(path: string, result: number): void {
  if (result < 0) throw new Error(`cannot mount ${path}: ${errnoName(result)}`);
}
