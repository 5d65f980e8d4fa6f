/** The target's side of a move, with everything around it played by the test. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { createAreas } from "../../src/kernel/areas.ts";
import { errno } from "../../src/kernel/errno.ts";
import { heldBy, Migration, type MigrationParts } from "../../src/kernel/migration.ts";
import { migrate } from "../../src/kernel/protocol.ts";
import { processState, threadState } from "../../src/kernel/state.ts";
import { TypedMemory } from "../../src/memory/index.ts";

type Serve = (request: { slot: number; ticket: number }, from: number) => number;

const source = 0;
const target = 1;
const slot = 5;
const ticket = 3;
const offered = (0x8000_0000 | (ticket << 16) | (source + 1)) >>> 0;

function rig() {
  const areas = createAreas(TypedMemory.format(new SharedArrayBuffer(96 * 2 ** 20)));
  const thread = areas.threads.allocate(1);
  areas.processes.setState(slot, processState.running);
  areas.processes.setThread(slot, thread);
  areas.cores.setOnline(target, 1);
  const log: string[] = [];
  let serve: Serve = () => -errno.NOSYS;
  const posted: unknown[] = [{ ticket, captured: { slot, thread, pid: slot, call: undefined } }];
  new Migration({
    core: { id: target, collect: () => posted.shift(), clock: { monotonic_ns: () => 0 } },
    areas,
    queue: { enqueue: (queued: number) => log.push(`queue ${queued}`) },
    endpoint: {
      serve: (request: unknown, handler: Serve) => {
        if (request === migrate) serve = handler;
      },
    },
    runner: {
      handlers: { register: () => undefined, answerRequest: () => undefined },
      adopt: () => log.push("adopt"),
      dropArrival: () => log.push("drop"),
      watchArrival: () => undefined,
    },
    log: (line: string) => log.push(line),
  } as unknown as MigrationParts);
  return { areas, thread, log, receive: () => serve({ slot, ticket }, source) };
}

test("a process that is offered is taken over", () => {
  const { areas, thread, log, receive } = rig();
  areas.processes.setHolder(slot, offered);
  assert.equal(receive(), 0);
  assert.deepEqual(log, ["adopt", `queue ${thread}`]);
  assert.equal(areas.processes.holder(slot), heldBy(target));
  assert.equal(areas.threads.records.state(thread), threadState.fresh);
});

test("an offer that was taken back does not touch the process that has the thread now", () => {
  // It did: a killed process was taken back and ended, its thread went to a child that was forked here, and the late
  // message first replaced and then dropped that child's context. The kernel died when it came to run it.
  const { areas, thread, log, receive } = rig();
  areas.processes.setHolder(slot, heldBy(target));
  areas.threads.records.setState(thread, threadState.fresh);
  assert.equal(receive(), -errno.CANCELED);
  assert.deepEqual(log, []);
  assert.equal(areas.threads.records.state(thread), threadState.fresh);
});
