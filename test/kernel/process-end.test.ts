/** Cores that die in the middle of making, ending or collecting a process: somebody else does it again. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { type Areas, attachAreas, createAreas } from "../../src/kernel/areas.ts";
import { ProcessTable } from "../../src/kernel/processes.ts";
import { RunQueue } from "../../src/kernel/run-queue.ts";
import { limits, processState } from "../../src/kernel/state.ts";
import { WaitService } from "../../src/kernel/wait.ts";
import type { Core } from "../../src/machine/machine.ts";
import { type MemoryOptions, TypedMemory } from "../../src/memory/index.ts";

const buffer = new SharedArrayBuffer(96 * 2 ** 20);
const survivor = tableOf(createAreas(TypedMemory.format(buffer)), 0);
const dyingCore = 1;
const deadOwner = dyingCore + 1;

interface Side {
  readonly areas: Areas;
  readonly table: ProcessTable;
}

/** The process table as a core sees it that does nothing else. */
function tableOf(areas: Areas, id: number): Side {
  const clock = { monotonic_ns: () => 0 };
  const core = { id, clock, interrupt: () => undefined } as unknown as Core;
  const queue = new RunQueue(areas, core, id + 1, undefined);
  const waits = new WaitService(
    { ...areas, waitQueues: areas.waitQueues.records, threads: areas.threads.records },
    queue.makeReady,
    id + 1,
  );
  return { areas, table: new ProcessTable(areas, core, queue, waits, id + 1) };
}

class Dead extends Error {}

/** Does something as a core that dies at its n-th access to memory; false when it came to the end before. */
function dieAt(n: number, action: (side: Side) => void): boolean {
  let left = Infinity;
  const guard: MemoryOptions["guard"] = {
    access: () => {
      if (--left < 0) throw new Dead();
    },
  };
  const side = tableOf(attachAreas(TypedMemory.attach(buffer, { guard })), dyingCore);
  left = n;
  try {
    action(side);
    return false;
  } catch (error) {
    if (error instanceof Dead) return true;
    throw error;
  }
}

/** What is done behind a dead core before its processes are ended. */
function freeLocks(): void {
  const { waitQueues, threads, cores } = survivor.areas;
  for (const pool of [threads, waitQueues]) pool.recover(deadOwner);
  for (let core = 0; core <= limits.cores; core++)
    if (cores.ownerOfQueueMutex(core) === deadOwner) cores.releaseQueueMutex(core, deadOwner);
  for (let queue = 1; queue <= limits.waitQueues; queue++)
    if (waitQueues.records.ownerOfMutex(queue) === deadOwner)
      waitQueues.records.releaseMutex(queue, deadOwner);
}

const description = {
  parent: 0,
  kernel: 0,
  core: dyingCore,
  priority: 1,
  detached: false,
  name: "program",
  argumentOffset: 0,
  argumentOrder: 0,
  memoryLimitPages: 1,
};

function make(): number {
  const slot = survivor.table.allocate(description);
  assert.ok(slot > 0);
  survivor.areas.processes.setState(slot, processState.running);
  return slot;
}

function used(): { threads: number; queues: number } {
  return { threads: survivor.areas.threads.used(), queues: survivor.areas.waitQueues.used() };
}

test("regression: the end of a process can be done again, whatever its core died in", () => {
  const { table, areas } = survivor;
  const before = used();
  for (let n = 0, died = true; died; n++) {
    const slot = make();
    died = dieAt(n, (side) => side.table.end(slot, 1, 0, ""));
    freeLocks();
    // The next process gets what the dead core may have freed already.
    const next = make();
    const thread = areas.processes.thread(next);
    areas.threads.records.setState(thread, 77);
    if (areas.processes.state(slot) === processState.running) table.end(slot, 137, 9, "died");
    assert.equal(areas.processes.state(slot), processState.zombie);
    assert.equal(areas.threads.records.state(thread), 77, `access ${n}: another process's thread was ended`);
    assert.ok(table.collect(slot));
    table.end(next, 0, 0, "");
    assert.ok(table.collect(next));
    assert.deepEqual(used(), before, `access ${n}`);
  }
});

test("regression: a process whose core died while it was made or collected leaves no more than its parts", () => {
  const { table, areas } = survivor;
  for (const kind of ["allocate", "abandon", "collect"] as const) {
    for (let n = 0, died = true; died; n++) {
      const before = used();
      const slot = kind === "allocate" ? 0 : survivor.table.allocate(description);
      if (kind === "collect") {
        areas.processes.setState(slot, processState.running);
        table.end(slot, 0, 0, "");
      }
      let made = slot;
      died = dieAt(n, (side) => {
        if (kind === "allocate") made = side.table.allocate(description);
        else side.table[kind](slot);
      });
      freeLocks();
      // As recovery does: see `endProcesses`.
      for (let other = 1; other < limits.processes; other++) {
        const isDead = areas.processes.core(other) === dyingCore;
        if (areas.processes.state(other) === processState.embryo && isDead) table.abandon(other);
      }
      if (kind === "collect") table.collect(slot);
      if (kind === "allocate" && !died) assert.equal(areas.processes.state(made), processState.free);
      assert.deepEqual(table.list(), [], `${kind}, access ${n}`);
      const after = used();
      assert.ok(after.threads - before.threads <= 1, `${kind}, access ${n}: threads`);
      assert.ok(after.threads >= before.threads, `${kind}, access ${n}: threads freed twice`);
      assert.ok(after.queues - before.queues <= 1, `${kind}, access ${n}: queues`);
      assert.ok(after.queues >= before.queues, `${kind}, access ${n}: queues freed twice`);
    }
  }
});
