/**
 * The shared areas of a system: created once by the kernel that boots first, attached by everyone else.
 * This is the list of all state that more than one kernel sees (the ext2 and page services add their own).
 */
import type { Area, Pool, TypedMemory } from "../memory/index.ts";
import {
  CoreBlock,
  DescriptorTable,
  KernelControlBlock,
  limits,
  Mount,
  OpenFile,
  Pipe,
  Process,
  ProcessSnapshot,
  SystemBlock,
  Thread,
  Waiter,
  WaitQueue,
} from "./state.ts";

export interface Areas {
  readonly system: Area<typeof SystemBlock.fields>;
  readonly kernels: Area<typeof KernelControlBlock.fields>;
  readonly cores: Area<typeof CoreBlock.fields>;
  readonly processes: Area<typeof Process.fields>;
  readonly threads: Pool<typeof Thread.fields>;
  readonly waitQueues: Pool<typeof WaitQueue.fields>;
  readonly waiters: Area<typeof Waiter.fields>;
  readonly openFiles: Pool<typeof OpenFile.fields>;
  readonly descriptors: Area<typeof DescriptorTable.fields>;
  readonly pipes: Pool<typeof Pipe.fields>;
  /** Texts of `/proc` that are open. */
  readonly snapshots: Pool<typeof ProcessSnapshot.fields>;
  readonly mounts: Area<typeof Mount.fields>;
}

/** Creates every area in freshly formatted memory. */
export function createAreas(memory: TypedMemory): Areas {
  return {
    system: memory.create("system", SystemBlock, { count: 1 }),
    kernels: memory.create("kernels", KernelControlBlock, { count: limits.cores, separate: true }),
    cores: memory.create("cores", CoreBlock, { count: limits.cores + 1, separate: true }),
    processes: memory.create("processes", Process, { count: limits.processes, separate: true }),
    threads: memory.createPool("threads", Thread, { count: limits.threads }),
    waitQueues: memory.createPool("waitQueues", WaitQueue, { count: limits.waitQueues }),
    waiters: memory.create("waiters", Waiter, { count: (limits.threads + 1) * limits.waitersPerThread }),
    openFiles: memory.createPool("openFiles", OpenFile, { count: limits.openFiles }),
    descriptors: memory.create("descriptors", DescriptorTable, { count: limits.processes, separate: true }),
    pipes: memory.createPool("pipes", Pipe, { count: limits.pipes }),
    snapshots: memory.createPool("snapshots", ProcessSnapshot, { count: limits.processSnapshots }),
    mounts: memory.create("mounts", Mount, { count: limits.mounts }),
  };
}

/** Looks every area up in memory that another kernel prepared. */
export function attachAreas(memory: TypedMemory): Areas {
  return {
    system: memory.attachArea("system", SystemBlock),
    kernels: memory.attachArea("kernels", KernelControlBlock),
    cores: memory.attachArea("cores", CoreBlock),
    processes: memory.attachArea("processes", Process),
    threads: memory.attachPool("threads", Thread),
    waitQueues: memory.attachPool("waitQueues", WaitQueue),
    waiters: memory.attachArea("waiters", Waiter),
    openFiles: memory.attachPool("openFiles", OpenFile),
    descriptors: memory.attachArea("descriptors", DescriptorTable),
    pipes: memory.attachPool("pipes", Pipe),
    snapshots: memory.attachPool("snapshots", ProcessSnapshot),
    mounts: memory.attachArea("mounts", Mount),
  };
}
