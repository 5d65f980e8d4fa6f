/**
 * The handshake between the kernels of a normal thread and of its NightWatch threads, on real endpoints, with the
 * schedulers played by the test.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { type Areas, createAreas } from "../../src/kernel/areas.ts";
import { NightwatchGate } from "../../src/kernel/nightwatch-gate.ts";
import { NightwatchGuests, type NightwatchStart } from "../../src/kernel/nightwatch-guests.ts";
import { bitOf } from "../../src/kernel/nightwatch-state.ts";
import type { RunQueue } from "../../src/kernel/run-queue.ts";
import type { Scheduler } from "../../src/kernel/scheduler.ts";
import { nightwatchGate, nightwatchRole, processState, threadState } from "../../src/kernel/state.ts";
import type { WaitService } from "../../src/kernel/wait.ts";
import type { Core } from "../../src/machine/machine.ts";
import { TypedMemory } from "../../src/memory/index.ts";
import { message } from "../../src/message/index.ts";
import { type Node, World } from "../message/world.ts";

const mainCore = 0;
const weakCore = 1;
const slot = 5;
const pid = 5;

/** One core: what its scheduler has ready, and what runs there. */
class TestCore {
  readonly ready: number[] = [];
  readonly node: Node;
  readonly queue: RunQueue;
  readonly core: Core;
  /** Thread in its program, 0 for none. */
  current = 0;
  isBetweenInstructions = true;
  mustStop = false;

  constructor(id: number, world: World, areas: Areas) {
    this.node = world.node(id);
    const threads = areas.threads.records;
    this.queue = {
      enqueue: (thread: number) => void this.ready.push(thread),
      makeReady: (thread: number) => {
        if (threads.state(thread) !== threadState.blocked) return;
        threads.setState(thread, threadState.ready);
        this.ready.push(thread);
      },
    } as unknown as RunQueue;
    this.core = {
      id,
      clock: { monotonic_ns: () => (world.now_ns += 1_000) },
      pause: () => world.onPause(id),
      interrupt: () => undefined,
    } as unknown as Core;
  }

  get scheduler(): Scheduler {
    const scheduler = {
      current: this.current,
      isBetweenInstructions: this.isBetweenInstructions,
      settle: () => undefined,
      stopAtPoll: () => {
        this.mustStop = true;
      },
    };
    return scheduler as unknown as Scheduler;
  }
}

/** A process with a normal thread on one core, and NightWatch threads on the other that may not run yet. */
function rig(count: number) {
  const world = new World();
  const areas = createAreas(TypedMemory.format(new SharedArrayBuffer(96 * 2 ** 20)));
  const { processes, cores } = areas;
  const threads = areas.threads.records;
  const main = new TestCore(mainCore, world, areas);
  const weak = new TestCore(weakCore, world, areas);
  const waits = { wake: () => undefined, waitDone: () => undefined } as unknown as WaitService;
  const endProcess = () => undefined;
  const partsOf = ({ core, node, queue }: TestCore, owner: number) => {
    return { core, areas, endpoint: node.endpoint, queue, waits, owner, endProcess };
  };
  for (const core of [mainCore, weakCore]) cores.setOnline(core, 1);
  const normal = areas.threads.allocate(1);
  threads.setProcess(normal, slot);
  threads.setCore(normal, mainCore);
  threads.setState(normal, threadState.running);
  threads.setNightwatch(normal, nightwatchRole.normal);
  processes.setState(slot, processState.running);
  processes.setPid(slot, pid);
  processes.setThread(slot, normal);
  processes.setNightwatchCore(slot, weakCore);
  processes.setNightwatchGate(slot, nightwatchGate.closed);
  main.current = normal;
  const guests = new NightwatchGuests(partsOf(weak, 2), () => weak.scheduler);
  const gate = new NightwatchGate({
    ...partsOf(main, 1),
    guests: new NightwatchGuests(partsOf(main, 1), () => main.scheduler),
  });
  const nightwatch = Array.from({ length: count }, (_, index) => {
    const thread = areas.threads.allocate(1);
    threads.setProcess(thread, slot);
    threads.setCore(thread, weakCore);
    threads.setNightwatch(thread, nightwatchRole.guest);
    threads.setState(thread, threadState.held);
    processes.setNightwatchThreads(slot, index, thread);
    processes.orNightwatchAlive(slot, bitOf(index + 1));
    const start = { slot, pid, thread, number: index + 1 } as NightwatchStart;
    assert.equal(guests.receive(start, thread, false), 0);
    return thread;
  });
  return { world, areas, threads, main, weak, gate, guests, normal, nightwatch };
}

type Rig = ReturnType<typeof rig>;

/** The weak core's scheduler: takes the next thread that may run. */
function pickWeak({ weak, guests, threads, nightwatch }: Rig): void {
  for (let thread = weak.ready.shift(); thread !== undefined; thread = weak.ready.shift()) {
    assert.ok(nightwatch.includes(thread));
    if (!guests.admits(thread)) continue;
    if (threads.state(thread) === threadState.fresh) guests.begin(thread);
    threads.setState(thread, threadState.running);
    weak.current = thread;
    weak.mustStop = false;
    return;
  }
}

/** A poll on the weak core: messages are served, and a flagged thread is stopped. */
function pollWeak({ weak, guests, threads }: Rig): void {
  weak.node.endpoint.drain();
  const thread = weak.current;
  if (thread === 0 || !weak.mustStop) return;
  threads.setState(thread, threadState.ready);
  weak.ready.push(thread);
  guests.stopped(thread);
  weak.current = 0;
}

function blockNormal({ gate, threads, main, normal }: Rig): void {
  threads.setState(normal, threadState.blocked);
  gate.blocked(normal);
  main.current = 0;
}

/** The main core's scheduler: false if the normal thread was put aside. */
function runNormal({ gate, threads, main, normal }: Rig): boolean {
  threads.setState(normal, threadState.running);
  gate.admits(normal);
  if (!gate.lands(normal)) {
    threads.setState(normal, threadState.held);
    return false;
  }
  main.current = normal;
  return true;
}

test("NightWatch threads run when the normal thread blocks, and stop before it goes on", () => {
  const own = rig(2);
  pickWeak(own);
  assert.equal(own.weak.current, 0);
  blockNormal(own);
  pollWeak(own);
  pickWeak(own);
  assert.equal(own.weak.current, own.nightwatch[0]);
  // The weak core polls while the main core waits.
  own.world.onPause = () => pollWeak(own);
  assert.equal(runNormal(own), true);
  assert.equal(own.weak.current, 0);
  pickWeak(own);
  assert.equal(own.weak.current, 0);
});

test("a weak kernel that does not answer in time: the normal thread is put aside and queued by the answer", () => {
  const own = rig(1);
  blockNormal(own);
  pollWeak(own);
  pickWeak(own);
  assert.equal(runNormal(own), false);
  assert.deepEqual(own.main.ready, []);
  pollWeak(own);
  own.main.node.endpoint.drain();
  assert.deepEqual(own.main.ready, [own.normal]);
  assert.equal(runNormal(own), true);
});

test("a NightWatch thread in a system call that serves messages: the answer waits for its next poll", async () => {
  const own = rig(1);
  blockNormal(own);
  pollWeak(own);
  pickWeak(own);
  own.weak.isBetweenInstructions = false;
  own.world.onPause = () => void own.weak.node.endpoint.drain();
  assert.equal(runNormal(own), false, "it was told that nothing runs while a thread was in a system call");
  own.weak.isBetweenInstructions = true;
  pollWeak(own);
  await new Promise((resolve) => setImmediate(resolve));
  own.weak.node.endpoint.drain();
  own.main.node.endpoint.drain();
  assert.deepEqual(own.main.ready, [own.normal]);
});

test("a weak kernel that dies in between does not keep the normal thread", () => {
  const own = rig(1);
  blockNormal(own);
  pollWeak(own);
  pickWeak(own);
  assert.equal(runNormal(own), false);
  own.weak.node.transport.close();
  own.main.node.endpoint.peersChanged();
  assert.deepEqual(own.main.ready, [own.normal]);
});

test("a weak kernel that has stopped is not asked", () => {
  const own = rig(1);
  blockNormal(own);
  own.areas.cores.setOnline(weakCore, 0);
  assert.equal(runNormal(own), true);
});

test("with the channel full, the threads are resumed as soon as there is room", async () => {
  const own = rig(1);
  const filler = message("filler", {});
  own.weak.node.endpoint.handle(filler, () => undefined);
  while (own.main.node.endpoint.send(weakCore, filler, {}) === 0);
  blockNormal(own);
  assert.equal(own.areas.processes.nightwatchGate(slot), nightwatchGate.closed);
  for (let round = 0; round < 4; round++) {
    pollWeak(own);
    own.main.node.endpoint.drain();
    await new Promise((resolve) => setImmediate(resolve));
  }
  pickWeak(own);
  assert.equal(own.weak.current, own.nightwatch[0]);
});

test("with the channel full, and the normal thread awake again before there is room: nothing runs", async () => {
  const own = rig(1);
  const filler = message("filler", {});
  own.weak.node.endpoint.handle(filler, () => undefined);
  while (own.main.node.endpoint.send(weakCore, filler, {}) === 0);
  blockNormal(own);
  assert.equal(runNormal(own), true);
  for (let round = 0; round < 4; round++) {
    pollWeak(own);
    own.main.node.endpoint.drain();
    await new Promise((resolve) => setImmediate(resolve));
    pickWeak(own);
    assert.equal(own.weak.current, 0);
  }
});

/** Steps of a random schedule. */
const steps = {
  "main: block or run": (own: Rig) => {
    const state = own.threads.state(own.normal);
    if (own.main.current !== 0) blockNormal(own);
    else if (state === threadState.blocked || own.main.ready.shift() !== undefined) runNormal(own);
  },
  "main: drain": (own: Rig) => void own.main.node.endpoint.drain(),
  "weak: poll": (own: Rig) => {
    own.weak.isBetweenInstructions = true;
    pollWeak(own);
  },
  "weak: pick": (own: Rig) => {
    if (own.weak.current === 0) pickWeak(own);
  },
  "weak: system call that serves messages": (own: Rig) => {
    if (own.weak.current === 0) return;
    own.weak.isBetweenInstructions = false;
    own.weak.node.endpoint.drain();
    own.weak.isBetweenInstructions = true;
  },
  "weak: block": ({ weak, threads, guests }: Rig) => {
    if (weak.current === 0) return;
    threads.setState(weak.current, threadState.blocked);
    guests.stopped(weak.current);
    weak.current = 0;
  },
  "weak: wake": ({ weak, nightwatch }: Rig) => {
    for (const thread of nightwatch) weak.queue.makeReady(thread);
  },
  promises: () => new Promise((resolve) => setImmediate(resolve)),
} as const;

test("in any order of events, normal and NightWatch threads never run at once, and none is forgotten", async () => {
  const names = Object.keys(steps) as (keyof typeof steps)[];
  const schedule = fc.array(fc.constantFrom(...names), { maxLength: 60, size: "max" });
  const inPauses = fc.array(fc.constantFrom(...names.filter((name) => name.startsWith("weak"))), {
    maxLength: 5,
    size: "max",
  });
  await fc.assert(
    fc.asyncProperty(fc.integer({ min: 1, max: 3 }), schedule, inPauses, async (count, events, paused) => {
      const own = rig(count);
      let at = 0;
      own.world.onPause = () => {
        const name = paused[at++ % Math.max(1, paused.length)];
        if (name !== undefined) void steps[name](own);
      };
      for (const name of events) {
        await steps[name](own);
        assert.ok(own.main.current === 0 || own.weak.current === 0, `both run after ${name}`);
      }
      // The normal thread blocks for good: every NightWatch thread gets its turn.
      own.world.onPause = () => undefined;
      for (let round = 0; round < 4; round++) {
        steps["weak: poll"](own);
        await steps.promises();
        own.weak.node.endpoint.drain();
        own.main.node.endpoint.drain();
        if (own.main.current === 0 && own.main.ready.shift() !== undefined) assert.ok(runNormal(own));
      }
      if (own.main.current !== 0) blockNormal(own);
      steps["weak: wake"](own);
      const ran = new Set([own.weak.current]);
      for (let round = 0; round < 2 * count + 2; round++) {
        steps["weak: poll"](own);
        steps["weak: block"](own);
        pickWeak(own);
        ran.add(own.weak.current);
      }
      for (const thread of own.nightwatch) assert.ok(ran.has(thread), `thread ${thread} was forgotten`);
      own.world.onPause = () => pollWeak(own);
      assert.ok(runNormal(own), "the normal thread does not get its turn");
    }),
    { numRuns: 150 },
  );
});
