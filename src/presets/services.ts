/**
 * The services of the general image, put together for one core (or the console): everything shared is
 * created by whoever boots first and attached by the others, then wrapped in this core's own objects.
 *
 * The island's memory: typed areas, then the pages of the page service, then the root disk.
 */
import type { Dsm, DsmGuard } from "../dsm/index.ts";
import { type Areas, attachAreas, createAreas } from "../kernel/areas.ts";
import { CaptureService } from "../kernel/capture.ts";
import { ProcessTable } from "../kernel/processes.ts";
import { makeReady } from "../kernel/protocol.ts";
import { type HandOver, RunQueue } from "../kernel/run-queue.ts";
import { WaitService } from "../kernel/wait.ts";
import { NodeHostDirectory } from "../machine/host/host-directory.ts";
import { HostDisk } from "../machine/host/host-disk.ts";
import { ProgramFiles } from "../machine/host/program-files.ts";
import { type Core, corePower, interruptLine, type OperatorLog } from "../machine/machine.ts";
import { Ram } from "../machine/ram.ts";
import { type Soc, sharedInterrupt } from "../machine/soc.ts";
import { type MemoryOptions, TypedMemory } from "../memory/index.ts";
import { Endpoint, formatMessages, SharedTransport } from "../message/index.ts";
import type { BlockDevice } from "../services/block/block-device.ts";
import { ImageDevice } from "../services/block/image-device.ts";
import { Ramdisk } from "../services/block/ramdisk.ts";
import { Devices, deviceNumber } from "../services/device/devices.ts";
import { registerMemoryDevices } from "../services/device/memory-devices.ts";
import {
  attachTerminal,
  createTerminal,
  Terminal,
  TerminalPeer,
  TerminalProxy,
} from "../services/device/terminal.ts";
import { DmaDevice } from "../services/dma/device.ts";
import { DmaDriver, type DmaParts } from "../services/dma/driver.ts";
import { DeviceFileSystem } from "../services/fs/devfs.ts";
import { Ext2, type Ext2Options } from "../services/fs/ext2/ext2.ts";
import { inodeNumber } from "../services/fs/ext2/layout.ts";
import { Files } from "../services/fs/files.ts";
import type { FileSystem } from "../services/fs/filesystem.ts";
import { HostFileSystem } from "../services/fs/hostfs.ts";
import { Mounts } from "../services/fs/mounts.ts";
import { ProcFileSystem } from "../services/fs/procfs.ts";
import { ProgramFileSystem } from "../services/fs/program-filesystem.ts";
import { ProxiedFileSystem } from "../services/fs/proxied/proxy.ts";
import { FileSystemServer } from "../services/fs/proxied/server.ts";
import { NetworkService } from "../services/network/network.ts";
import { pageUser } from "../services/pages/layout.ts";
import type { PageService } from "../services/pages/page-service.ts";
import { Pipes } from "../services/pipe/pipes.ts";
import { coherenceTables_bytes, joinCoherence, leaveCoherence, memoryOptions } from "./coherence.ts";
import { consoleCoreOf, primaryCore, type SystemConfiguration } from "./configuration.ts";
import { attachPages, createPages, startPages } from "./pages.ts";

/** Room for all typed areas but message rings; reserved, and committed by the host as it is touched. */
const fixedAreas_bytes = 96 * 1024 * 1024;
/** Room for the rings between two cores that talk to each other. */
const rings_bytes = 32 * 1024;
const fixedAreas = 128;
/** Room for what the message layer keeps besides its rings. */
const messageAreas_bytes = 1024 * 1024;
const page_bytes = 4096;

export interface ServiceParts {
  readonly core: Core;
  readonly configuration: SystemConfiguration;
  readonly log: OperatorLog;
  /** Software coherence, on machines that need it. */
  readonly dsm: Dsm | null;
}

/** What the parts of a system on one core share. */
export interface Services {
  readonly memory: TypedMemory;
  /** Where message rings lie: the same memory, or one that no cache holds where islands are not coherent. */
  readonly messages: TypedMemory;
  /** This core's part in software coherence; null where hardware does it. */
  readonly coherence: DsmGuard | null;
  readonly dsm: Dsm | null;
  readonly areas: Areas;
  readonly ram: Ram;
  readonly pages: PageService;
  readonly endpoint: Endpoint;
  readonly queue: RunQueue;
  readonly waits: WaitService;
  readonly captures: CaptureService;
  readonly table: ProcessTable;
  readonly mounts: Mounts;
  readonly files: Files;
  readonly network: NetworkService;
  /** Null on machines without a DMA engine. */
  readonly dma: DmaDriver | null;
  /** Serves the devices that have raised interrupts for this core's island: for the kernel's `device` line. */
  serveDevices(): void;
  readonly terminal: TerminalPeer;
  /** Number that names this core as a holder of locks: core id + 1. */
  readonly owner: number;
  /** This core's object for the root file system. */
  root(): Ext2;
  /** The device under the root file system. */
  readonly rootDevice: BlockDevice;
  /** Makes the file systems durable. */
  sync(): void;
  /** Frees what a dead kernel held in the root file system. */
  recoverRoot(deadOwner: number): void;
  /** Leaves the root disk clean. Nobody may use it afterwards. */
  unmount(): void;
  close(): void;
}

/** Pairs of cores, the console included, that may send to each other. */
function talkingPairs(configuration: SystemConfiguration): number {
  const endpoints = consoleCoreOf(configuration) + 1;
  return endpoints * (endpoints - 1);
}

function areasSize_bytes(configuration: SystemConfiguration): number {
  return fixedAreas_bytes + (hasMessageMemory(configuration) ? 0 : ringsSize_bytes(configuration));
}

function ringsSize_bytes(configuration: SystemConfiguration): number {
  return talkingPairs(configuration) * rings_bytes;
}

function hasMessageMemory(configuration: SystemConfiguration): boolean {
  return configuration.machine !== "host";
}

/** Bytes of island memory that a system needs. */
export function memoryFor(configuration: SystemConfiguration): number {
  return (
    areasSize_bytes(configuration) + configuration.pageMemory_bytes + roundUp(configuration.rootSize_bytes)
  );
}

/** Bytes of memory outside all caches that a system on a simulated machine needs. */
export function uncachedMemoryFor(configuration: SystemConfiguration): number {
  return (
    messageAreas_bytes +
    ringsSize_bytes(configuration) +
    coherenceTables_bytes(configuration, memoryFor(configuration))
  );
}

/** Creates everything shared; called once, by the primary kernel. */
export function createServices(parts: ServiceParts): Services {
  const { core, configuration } = parts;
  const ringAreas = talkingPairs(configuration);
  let messages: TypedMemory | undefined;
  if (core.soc !== null) {
    messages = TypedMemory.format(core.soc.uncached, {
      ...uncachedOptions(core, core.soc),
      areasMax: fixedAreas + ringAreas,
    });
    parts.dsm?.createTables(messages);
  }
  const coherence = joinCoherence(core, parts.dsm, messages);
  const memory = TypedMemory.format(core.ram.buffer, {
    ...memoryOptions(core, coherence),
    user: ownerOf(core),
    byteLength: areasSize_bytes(configuration),
    areasMax: fixedAreas + configuration.mounts.length * 4 + (messages === undefined ? ringAreas : 0),
  });
  formatMessages(messages ?? memory, { endpoints_max: consoleCoreOf(configuration) + 1 });
  createAreas(memory);
  createPages(memory, configuration, areasSize_bytes(configuration));
  return assemble(parts, { memory, messages: messages ?? memory, coherence }, true);
}

/** Attaches to what the primary kernel created. */
export function attachServices(parts: ServiceParts): Services {
  const { core } = parts;
  const { soc } = core;
  const messages = soc === null ? undefined : TypedMemory.attach(soc.uncached, uncachedOptions(core, soc));
  const coherence = joinCoherence(core, parts.dsm, messages);
  const memory = TypedMemory.attach(core.ram.buffer, {
    ...memoryOptions(core, coherence),
    user: ownerOf(core),
  });
  return assemble(parts, { memory, messages: messages ?? memory, coherence }, false);
}

function uncachedOptions(core: Core, soc: Soc): MemoryOptions {
  return { guard: soc.uncachedGuard, waiting: core.waiting, user: ownerOf(core) };
}

/** Number under which a core owns locks and records. */
function ownerOf(core: Core): number {
  return core.id + 1;
}

/** The memories of a core, and what keeps them in step. */
type Memories = Pick<Services, "memory" | "messages" | "coherence">;

function assemble(parts: ServiceParts, memories: Memories, create: boolean): Services {
  const { memory, messages } = memories;
  const { core, configuration, log } = parts;
  const owner = ownerOf(core);
  const areas = attachAreas(memory);
  if (create) areas.system.setCoreCount(0, configuration.kernelOfCore.length);
  const ram = new Ram(core.ram.buffer, memory.guard);
  const pagesParts = { core, configuration, memory, owner, log };
  const pages = attachPages(pagesParts);
  const queue = new RunQueue(
    areas,
    core,
    owner,
    configuration.placements.scheduler === "independent" ? handOver(parts, () => endpoint) : undefined,
  );
  const waits = new WaitService(
    { ...areas, waitQueues: areas.waitQueues.records, threads: areas.threads.records },
    queue.makeReady,
    owner,
  );
  const transport = new SharedTransport({
    memory: messages,
    address: core.id,
    doorbell: { ring: (target) => core.interrupt(target, interruptLine.message) },
  });
  const endpoint = new Endpoint({
    transports: [transport],
    now_ns: () => core.clock.monotonic_ns(),
    pause: () => core.pause(),
    report: (fault) => {
      // What was sent to a kernel that has died meanwhile is no wonder.
      if (fault.kind !== "stale") log(`core ${core.id}: message dropped: ${JSON.stringify(fault)}`);
    },
  });
  endpoint.handle(makeReady, ({ thread }) => queue.takeOver(thread));
  startPages(pages, endpoint, pagesParts);
  const pipes = new Pipes(areas, ram, pages, waits, owner);
  pages.registerMover(pageUser.pipe, pipes.mover);
  const terminalState = create ? createTerminal(memory, pipes) : attachTerminal(memory);
  const devices = new Devices();
  registerMemoryDevices(devices, (target) => core.random(target));
  for (const name of ["tty", "console"] as const) {
    const isOwner = core.id === primaryCore;
    const device =
      isOwner || configuration.placements.terminal === "shadowed"
        ? new Terminal(name, terminalState, pipes)
        : new TerminalProxy(name, terminalState, pipes, endpoint, areas.cores, primaryCore);
    devices.register(deviceNumber[name], device);
    if (isOwner && name === "tty") device.serve(endpoint);
  }
  const programs = new ProgramFiles(configuration.programs);
  const now_ns = () => core.clock.coarse_ns();
  const block = blockDevice(parts, memory, owner, create);
  const hostDirectories: NodeHostDirectory[] = [];
  let root: Ext2 | undefined;
  const openRoot = () => {
    root ??= create
      ? makeRoot(configuration, { memory, ram, device: block, owner, now_ns })
      : Ext2.attach({ memory, ram, device: block, owner, now_ns });
    return root;
  };
  const proxiedRoot = rootProxy(parts, endpoint);
  if (core.id === primaryCore) new FileSystemServer(endpoint, openRoot);
  const mounts: Mounts = new Mounts(
    areas,
    {
      ext2: { open: () => proxiedRoot ?? openRoot() },
      host: {
        open: (instance, readOnly) => {
          const directory = new NodeHostDirectory(configuration.mounts[instance].directory, readOnly);
          hostDirectories.push(directory);
          const options = { memory, name: `host.${instance}`, directory, owner };
          return create ? HostFileSystem.create(options) : HostFileSystem.attach(options);
        },
      },
      process: {
        open: () =>
          new ProcFileSystem({
            facts: {
              areas,
              memory,
              pages,
              mounts,
              clock: core.clock,
              version: `Archipelago ${configuration.version}`,
            },
            snapshots: areas.snapshots,
            pages,
            owner,
          }),
      },
      device: { open: () => new DeviceFileSystem(devices, configuration.bootTime_ns) },
      programs: { open: () => new ProgramFileSystem(programs, configuration.bootTime_ns) },
    },
    owner,
  );
  const driverParts = { memory, waitQueues: areas.waitQueues, ram, pages, waits, owner };
  const networkParts = { ...driverParts, hardware: core.soc };
  const network = create ? NetworkService.create(networkParts) : NetworkService.attach(networkParts);
  let dma: DmaDriver | null = null;
  if (core.soc !== null) {
    const dmaParts = { ...driverParts, hardware: core.soc, ...dmaIslands(parts, core.soc) };
    dma = create ? DmaDriver.create(dmaParts) : DmaDriver.attach(dmaParts);
    devices.register(deviceNumber.dma, new DmaDevice(dma));
  }
  const files = new Files({ areas, ram, mounts, devices, pages, waits, network, owner });
  return {
    ...memories,
    dsm: parts.dsm,
    areas,
    ram,
    pages,
    endpoint,
    queue,
    waits,
    captures: new CaptureService(areas, core, queue, waits),
    table: new ProcessTable(areas, core, queue, waits, owner),
    mounts,
    files,
    network,
    dma,
    serveDevices: () => {
      const pending = core.soc?.interrupts.take() ?? 0;
      // Without a look at what is pending: another island's kernel may have taken the interrupt and left this to us.
      dma?.interrupt();
      if ((pending & (1 << sharedInterrupt.network)) !== 0) network.interrupt();
    },
    terminal: new TerminalPeer(terminalState, pipes, waits),
    owner,
    root: openRoot,
    rootDevice: block,
    sync: () => void root?.syncAll(),
    unmount: () => void openRoot().unmount(),
    recoverRoot: (deadOwner) => void openRoot().recover(deadOwner),
    close: () => {
      programs.close();
      for (const directory of hostDirectories) directory.dispose();
      leaveCoherence(core, parts.dsm, memories.coherence);
    },
  };
}

/** The root file system where the primary kernel owns it and this core is another's; the console looks itself. */
function rootProxy({ core, configuration }: ServiceParts, endpoint: Endpoint): FileSystem | undefined {
  const { kernelOfCore, placements } = configuration;
  const own = kernelOfCore[core.id];
  if (placements.files !== "proxied" || own === undefined || own === kernelOfCore[primaryCore])
    return undefined;
  // A writable ext2 volume: what is read-only says so when it is written to.
  const facts = { type: "ext2", readOnly: false, rootInode: inodeNumber.root };
  return new ProxiedFileSystem({ endpoint, owner: primaryCore, ...facts });
}

/** Tells another island's kernels by message that a thread of theirs is to be made ready. */
function handOver({ core, configuration }: ServiceParts, endpoint: () => Endpoint): HandOver | undefined {
  const { soc } = core;
  if (soc === null || configuration.islandCount === 1) return undefined;
  return {
    island: soc.islandOfCore[core.id],
    send: (thread, island) => {
      const target = coreThatIsOn(core, soc, island);
      return target >= 0 && endpoint().send(target, makeReady, { thread }) === 0;
    },
  };
}

/** What the DMA driver needs to leave other islands' transfers to their kernels. The console has none. */
function dmaIslands({ core, configuration }: ServiceParts, soc: Soc): Pick<DmaParts, "island" | "leaveTo"> {
  return {
    island: soc.islandOfCore[core.id],
    leaveTo: (island) => {
      const target = coreThatIsOn(core, soc, island);
      if (configuration.kernelOfCore[target] === undefined) return false;
      core.interrupt(target, interruptLine.device);
      return true;
    },
  };
}

/** The first core of an island that is on, or −1. */
function coreThatIsOn(core: Core, { islandOfCore }: Soc, island: number): number {
  return islandOfCore.findIndex((of, other) => of === island && core.power(other) === corePower.on);
}

function blockDevice(parts: ServiceParts, memory: TypedMemory, owner: number, create: boolean): BlockDevice {
  const { configuration } = parts;
  const { buffer } = parts.core.ram;
  const base = areasSize_bytes(configuration) + configuration.pageMemory_bytes;
  if (configuration.rootImage === null) {
    return new Ramdisk({ buffer, base, size_bytes: configuration.rootSize_bytes, guard: memory.guard });
  }
  const options = {
    memory,
    name: "root",
    buffer,
    base,
    guard: memory.guard,
    disk: new HostDisk(configuration.rootImage),
    owner,
  };
  return create ? ImageDevice.create(options) : ImageDevice.attach(options);
}

function makeRoot(configuration: SystemConfiguration, options: Ext2Options): Ext2 {
  return configuration.rootImage === null ? Ext2.create(options) : Ext2.mount(options);
}

function roundUp(size_bytes: number): number {
  return Math.ceil(size_bytes / page_bytes) * page_bytes;
}
