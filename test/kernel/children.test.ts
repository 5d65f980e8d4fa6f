/** Parents and children in the process table: who may collect whom, and that orphans are collected once. */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { createAreas } from "../../src/kernel/areas.ts";
import { type ChildEnd, isLent, joinChild, orphanChildren } from "../../src/kernel/children.ts";
import { errno } from "../../src/kernel/errno.ts";
import { limits, processState } from "../../src/kernel/state.ts";
import { TypedMemory } from "../../src/memory/index.ts";

const { processes } = createAreas(TypedMemory.format(new SharedArrayBuffer(96 * 2 ** 20)));

function clear(): void {
  for (let slot = 0; slot < limits.processes; slot++) {
    processes.setState(slot, processState.free);
    processes.setPid(slot, 0);
    processes.setParent(slot, 0);
  }
}

function add(pid: number, parent: number, state: number = processState.running): number {
  const slot = pid % limits.processes;
  processes.setState(slot, state);
  processes.setPid(slot, pid);
  processes.setParent(slot, parent);
  processes.setDetached(slot, 0);
  processes.setChildren(slot, 0);
  processes.setBorrows(slot, 0);
  processes.setLentTo(slot, 0);
  if (parent !== 0)
    processes.setChildren(parent % limits.processes, processes.children(parent % limits.processes) + 1);
  return slot;
}

function collect(slot: number): boolean {
  if (processes.state(slot) !== processState.zombie) return false;
  processes.setState(slot, processState.free);
  processes.setPid(slot, 0);
  return true;
}

function end(slot: number, exitCode: number, signal = 0): void {
  processes.setExitCode(slot, exitCode);
  processes.setEndSignal(slot, signal);
  processes.setState(slot, processState.zombie);
}

const nobody: ChildEnd = { pid: 0, exitCode: 0, signal: 0 };

test("a parent collects its own children only, each once", () => {
  clear();
  const parent = add(5, 0);
  const stranger = add(6, 0);
  const child = add(limits.processes + 7, 5);
  const into = { ...nobody };
  const join = (slot: number, pid: number) => joinChild(processes, slot, pid, collect, into);
  assert.equal(join(stranger, 0), -errno.CHILD);
  assert.equal(join(parent, 6), -errno.CHILD);
  assert.equal(join(parent, 7), -errno.CHILD, "an earlier pid of the same slot");
  assert.equal(join(parent, 0), 0);
  assert.equal(join(parent, limits.processes + 7), 0);
  end(child, 137, 9);
  assert.equal(join(stranger, limits.processes + 7), -errno.CHILD);
  assert.equal(join(parent, 0), 1);
  assert.deepEqual(into, { pid: limits.processes + 7, exitCode: 137, signal: 9 });
  assert.equal(join(parent, 0), -errno.CHILD);
});

test("after its parent's end, no child has a parent, waits to be collected, or is collected twice", () => {
  const child = fc.record({ offset: fc.nat(900), ended: fc.boolean(), mine: fc.boolean() });
  fc.assert(
    fc.property(fc.array(child, { maxLength: 20 }), (children) => {
      clear();
      const parent = add(1, 0);
      add(2, 0);
      const slots = new Map<number, { ended: boolean; mine: boolean }>();
      for (const { offset, ended, mine } of children) {
        if (slots.has(offset + 3)) continue;
        const slot = add(offset + 3, mine ? 1 : 2);
        if (ended) end(slot, 0);
        slots.set(slot, { ended, mine });
      }
      const collected: number[] = [];
      orphanChildren(processes, parent, (slot) => {
        if (!collect(slot)) return false;
        collected.push(slot);
        return true;
      });
      assert.equal(processes.children(parent), 0);
      for (const [slot, { ended, mine }] of slots) {
        assert.equal(collected.includes(slot), ended && mine);
        if (mine && !ended) assert.deepEqual([processes.parent(slot), processes.detached(slot)], [0, 1]);
        if (!mine) assert.deepEqual([processes.parent(slot), processes.detached(slot)], [2, 0]);
      }
    }),
    { numRuns: 50 },
  );
});

test("memory is lent until the borrower is done, or its slot stands for another process", () => {
  clear();
  const parent = add(1, 0);
  const child = add(2, 1);
  assert.equal(isLent(processes, parent), false);
  processes.setLentTo(parent, 2);
  assert.equal(isLent(processes, parent), false);
  processes.setBorrows(child, 1);
  assert.equal(isLent(processes, parent), true);
  processes.setPid(child, limits.processes + 2);
  assert.equal(isLent(processes, parent), false);
});
