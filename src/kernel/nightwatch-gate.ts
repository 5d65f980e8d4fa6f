/**
 * The main kernel's part in scheduling NightWatch threads: they run only while the normal thread of their process is
 * blocked. The messages: `nightwatch-protocol.ts`.
 *
 * As this kernel knows it, the gate of a process is open (its NightWatch threads may run), closed (they do not), or
 * closing. It changes only here, when the scheduler of this core
 * - picks the normal thread (`admits`): an open gate begins to close, and the switch to the thread goes on meanwhile;
 * - is about to let it go on (`lands`): the gate must be closed. The wait for that is short. If the weak kernel is busy
 *   with something long, the thread is put aside (`held`), other threads run, and the answer queues it again;
 * - has suspended it because it must wait (`blocked`): the gate opens. A thread that was only preempted keeps it closed.
 */
import type { Core } from "../machine/machine.ts";
import type { Endpoint, RequestType } from "../message/index.ts";
import type { Areas } from "./areas.ts";
import { errno } from "./errno.ts";
import type { NightwatchGuests } from "./nightwatch-guests.ts";
import { resumeNightwatch, suspendNightwatch } from "./nightwatch-protocol.ts";
import type { RunQueue } from "./run-queue.ts";
import { nightwatchGate, nightwatchRole, threadState } from "./state.ts";

/**
 * How long the core waits for the answer before it runs something else. It usually comes within a microsecond, or,
 * when the weak core sleeps, within what it takes to wake it.
 */
const wait_ns = 100_000;

export interface GateParts {
  readonly core: Core;
  readonly areas: Areas;
  readonly endpoint: Endpoint;
  readonly queue: RunQueue;
  /** The NightWatch threads of this core, for processes whose normal thread is here as well. */
  readonly guests: NightwatchGuests;
}

export class NightwatchGate {
  private readonly parts: GateParts;
  /** By process slot: the number of the request that its gate closes by. */
  private readonly closing = new Map<number, number>();
  private requests = 0;

  constructor(parts: GateParts) {
    this.parts = parts;
  }

  /** The scheduler has picked the normal thread of a process that had NightWatch threads when it ran last. */
  admits(thread: number): void {
    const { areas } = this.parts;
    const { processes } = areas;
    const threads = areas.threads.records;
    const slot = threads.process(thread);
    if (processes.nightwatchAlive(slot) === 0) threads.setNightwatch(thread, nightwatchRole.none);
    else if (processes.nightwatchGate(slot) === nightwatchGate.open) this.close(slot);
  }

  /** Whether it may go on. If not, the scheduler puts it aside, and it is queued again as soon as it may. */
  lands(thread: number): boolean {
    const { core, areas, endpoint } = this.parts;
    const slot = areas.threads.records.process(thread);
    if (this.isClosed(slot) || areas.processes.nightwatchAlive(slot) === 0) return true;
    const deadline_ns = core.clock.monotonic_ns() + wait_ns;
    do {
      endpoint.drain();
      if (this.isClosed(slot)) return true;
      core.pause();
    } while (core.clock.monotonic_ns() < deadline_ns);
    // A kernel that stops goes off line, then answers what it finds; what comes later it never reads.
    if (areas.cores.online(areas.processes.nightwatchCore(slot)) !== 0) return false;
    this.closed(slot);
    return true;
  }

  /** It waits for something: its NightWatch threads may run. */
  blocked(thread: number): void {
    const { processes, threads } = this.parts.areas;
    const slot = threads.records.process(thread);
    if (processes.nightwatchAlive(slot) === 0 || !this.isClosed(slot)) return;
    this.open(slot, thread);
  }

  private isClosed(slot: number): boolean {
    return this.parts.areas.processes.nightwatchGate(slot) === nightwatchGate.closed;
  }

  private open(slot: number, thread: number): void {
    const { core, areas, endpoint, guests } = this.parts;
    const { processes } = areas;
    const memoryPages = processes.memoryPages(slot);
    const pid = processes.pid(slot);
    const target = processes.nightwatchCore(slot);
    if (target === core.id) {
      processes.setNightwatchGate(slot, nightwatchGate.open);
      guests.resume(pid, memoryPages);
      return;
    }
    const status = endpoint.send(target, resumeNightwatch, { pid, memoryPages });
    if (status === 0) processes.setNightwatchGate(slot, nightwatchGate.open);
    else if (status === -errno.AGAIN) {
      // No room in the channel. By then the thread may have run again, or its process may be another one.
      const again = () => {
        const isBlocked = areas.threads.records.state(thread) === threadState.blocked;
        if (isBlocked && processes.pid(slot) === pid && processes.thread(slot) === thread)
          this.blocked(thread);
      };
      endpoint
        .writable(target)
        .then(again)
        .catch((error: unknown) => core.panic(error));
    }
  }

  private close(slot: number): void {
    const { core, areas, guests } = this.parts;
    const { processes } = areas;
    const pid = processes.pid(slot);
    const target = processes.nightwatchCore(slot);
    processes.setNightwatchGate(slot, nightwatchGate.closing);
    const request = ++this.requests;
    this.closing.set(slot, request);
    const closed = () => {
      // Not by a late answer to a request that nobody waits for any more.
      if (this.closing.get(slot) === request) this.closed(slot);
    };
    if (target === core.id) {
      void guests.suspend(pid);
      closed();
      return;
    }
    deliver(this.parts, target, suspendNightwatch, { pid }, closed);
  }

  private closed(slot: number): void {
    const { areas, queue } = this.parts;
    const threads = areas.threads.records;
    this.closing.delete(slot);
    areas.processes.setNightwatchGate(slot, nightwatchGate.closed);
    const thread = areas.processes.thread(slot);
    if (threads.state(thread) !== threadState.held) return;
    threads.setState(thread, threadState.ready);
    queue.enqueue(thread);
  }
}

/** Who sends. */
export interface Sender {
  readonly core: Pick<Core, "panic">;
  readonly endpoint: Endpoint;
}

/** Sends a request, as soon as there is room for it; `settled` gets the status. */
export function deliver<Q, R>(
  { core, endpoint }: Sender,
  target: number,
  type: RequestType<Q, R>,
  value: Q,
  settled: (status: number) => void,
): void {
  const attempt = () => {
    endpoint.ask(target, type, value, ({ status }) => {
      if (status !== -errno.AGAIN && status !== -errno.DEADLK) settled(status);
      else {
        endpoint
          .writable(target)
          .then(attempt)
          .catch((error: unknown) => core.panic(error));
      }
    });
  };
  attempt();
}
