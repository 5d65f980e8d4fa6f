/**
 * The services of the general image, put together for one core (or the console): everything shared is
 * created by whoever boots first and attached by the others, then wrapped in this core's own objects.
 *
 * The island's memory: typed areas, then the pages of the page service, then the root disk.
 */
import { type Areas, attachAreas, createAreas } from "../kernel/areas.ts";
import { CaptureService } from "../kernel/capture.ts";
import { ProcessTable } from "../kernel/processes.ts";
import { RunQueue } from "../kernel/run-queue.ts";
import { WaitService } from "../kernel/wait.ts";
import { NodeHostDirectory } from "../machine/host/host-directory.ts";
import { HostDisk } from "../machine/host/host-disk.ts";
import { ProgramFiles } from "../machine/host/program-files.ts";
import { type Core, interruptLine, type OperatorLog } from "../machine/machine.ts";
import { Ram } from "../machine/ram.ts";
import { TypedMemory } from "../memory/index.ts";
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
import { DeviceFileSystem } from "../services/fs/devfs.ts";
import { Ext2, type Ext2Options } from "../services/fs/ext2/ext2.ts";
import { Files } from "../services/fs/files.ts";
import { HostFileSystem } from "../services/fs/hostfs.ts";
import { Mounts } from "../services/fs/mounts.ts";
import { ProcFileSystem } from "../services/fs/procfs.ts";
import { ProgramFileSystem } from "../services/fs/program-filesystem.ts";
import { Pages } from "../services/pages/pages.ts";
import { Pipes } from "../services/pipe/pipes.ts";
import { consoleCoreOf, primaryCore, type SystemConfiguration } from "./configuration.ts";

/** Room for all typed areas but message rings; reserved, and committed by the host as it is touched. */
const fixedAreas_bytes = 96 * 1024 * 1024;
/** Room for the rings between two cores that talk to each other. */
const rings_bytes = 32 * 1024;
const fixedAreas = 128;
const page_bytes = 4096;

export interface ServiceParts {
  readonly core: Core;
  readonly configuration: SystemConfiguration;
  readonly log: OperatorLog;
}

/** What the parts of a system on one core share. */
export interface Services {
  readonly memory: TypedMemory;
  readonly areas: Areas;
  readonly ram: Ram;
  readonly pages: Pages;
  readonly endpoint: Endpoint;
  readonly queue: RunQueue;
  readonly waits: WaitService;
  readonly captures: CaptureService;
  readonly table: ProcessTable;
  readonly mounts: Mounts;
  readonly files: Files;
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
  return fixedAreas_bytes + talkingPairs(configuration) * rings_bytes;
}

/** Bytes of island memory that a system needs. */
export function memoryFor(configuration: SystemConfiguration): number {
  return (
    areasSize_bytes(configuration) + configuration.pageMemory_bytes + roundUp(configuration.rootSize_bytes)
  );
}

/** Creates everything shared; called once, by the primary kernel. */
export function createServices(parts: ServiceParts): Services {
  const { core, configuration } = parts;
  const memory = TypedMemory.format(core.ram.buffer, {
    byteLength: areasSize_bytes(configuration),
    areasMax: fixedAreas + configuration.mounts.length * 4 + talkingPairs(configuration),
  });
  formatMessages(memory, { endpoints_max: consoleCoreOf(configuration) + 1 });
  createAreas(memory);
  Pages.create(memory, {
    name: "pages",
    base: areasSize_bytes(configuration),
    count: Math.floor(configuration.pageMemory_bytes / page_bytes),
    owner: core.id + 1,
  });
  return assemble(parts, memory, true);
}

/** Attaches to what the primary kernel created. */
export function attachServices(parts: ServiceParts): Services {
  return assemble(parts, TypedMemory.attach(parts.core.ram.buffer), false);
}

function assemble(parts: ServiceParts, memory: TypedMemory, create: boolean): Services {
  const { core, configuration, log } = parts;
  const owner = core.id + 1;
  const areas = attachAreas(memory);
  if (create) areas.system.setCoreCount(0, configuration.kernelOfCore.length);
  areas.cores.setMemoryUser(core.id, memory.user);
  const ram = new Ram(core.ram.buffer);
  const pages = Pages.attach(memory, "pages", owner);
  const queue = new RunQueue(areas, core, owner);
  const waits = new WaitService(
    { ...areas, waitQueues: areas.waitQueues.records, threads: areas.threads.records },
    queue.makeReady,
    owner,
  );
  const transport = new SharedTransport({
    memory,
    address: core.id,
    doorbell: { ring: (target) => core.interrupt(target, interruptLine.message) },
  });
  const endpoint = new Endpoint({
    transports: [transport],
    now_ns: () => core.clock.monotonic_ns(),
    pause: () => core.pause(),
    report: (fault) => log(`core ${core.id}: message dropped: ${JSON.stringify(fault)}`),
  });
  const pipes = new Pipes(areas, ram, pages, waits, owner);
  const terminalState = create ? createTerminal(memory, pipes) : attachTerminal(memory);
  const devices = new Devices();
  registerMemoryDevices(devices, (target) => core.random(target));
  for (const name of ["tty", "console"] as const) {
    const isOwner = core.id === primaryCore;
    const device = isOwner
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
  const mounts: Mounts = new Mounts(
    areas,
    {
      ext2: { open: openRoot },
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
  const files = new Files({ areas, ram, mounts, devices, pages, waits, owner });
  return {
    memory,
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
    },
  };
}

function blockDevice(parts: ServiceParts, memory: TypedMemory, owner: number, create: boolean): BlockDevice {
  const { configuration } = parts;
  const { buffer } = parts.core.ram;
  const base = areasSize_bytes(configuration) + configuration.pageMemory_bytes;
  if (configuration.rootImage === null) {
    return new Ramdisk({ buffer, base, size_bytes: configuration.rootSize_bytes });
  }
  const options = {
    memory,
    name: "root",
    buffer,
    base,
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
