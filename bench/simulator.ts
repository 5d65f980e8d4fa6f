/**
 * The `simulator` suite: how fast the simulated machine is on this computer. Events of its queue alone, of two cores
 * that send each other mails, and of a booted system at work; and how long a simulated second of a light task takes.
 */
import { omap4 } from "../src/machine/profiles/omap4.ts";
import { EventQueue } from "../src/machine/sim/event-queue.ts";
import { SimMachine } from "../src/machine/sim/sim-machine.ts";
import { k2Setting, MeasuredSystem } from "./k2/measured-system.ts";
import type { Row } from "./row.ts";
import { interleaved } from "./statistics.ts";

const rounds = 9;
const queueEvents = 200_000;
const mails = 100_000;
/** Events that wait in the queue while others come and go: a booted system has fewer. */
const waiting = 1000;

export async function suite(): Promise<Row[]> {
  const rows: Row[] = [];
  const add = async (name: string, target: string | null, candidates: Parameters<typeof interleaved>[1]) => {
    await interleaved(1, candidates);
    const { ours, ...peers } = await interleaved(rounds, candidates);
    const base = { unit: "events/s", better: "higher" as const, published: null };
    rows.push({ name, ...base, ours, peers, target });
  };
  await add(`event queue alone, ${waiting} events waiting`, "1,000,000", {
    ours: () => queueSpeed(),
    "sorted array": () => sortedArraySpeed(),
  });
  await add("mails between two cores", "1,000,000", { ours: () => mailSpeed() });
  rows.push(...(await systemSpeed()));
  return rows;
}

/** What is done in so many nanoseconds, per second. */
function perSecond(count: number, start_ns: bigint): number {
  return (count * 1e9) / Number(process.hrtime.bigint() - start_ns);
}

/** Times that look random and are the same each time. */
function* delays(): Generator<number, never> {
  for (let state = 1; ; ) {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    yield state / 4096;
  }
}

/** Every event that is taken schedules another one, as most do. */
function queueSpeed(): number {
  const queue = new EventQueue();
  const delay = delays();
  let left = queueEvents;
  let now_ns = 0;
  const run = () => {
    left--;
    queue.push(now_ns + delay.next().value, (left & 1) === 0, run);
  };
  for (let n = 0; n < waiting; n++) queue.push(delay.next().value, true, run);
  const start_ns = process.hrtime.bigint();
  while (left > 0) {
    const event = queue.pop();
    if (event === undefined) break;
    now_ns = event.time_ns;
    event.run();
  }
  return perSecond(queueEvents, start_ns);
}

/** The simplest thing that could work: an array in the order of time. */
function sortedArraySpeed(): number {
  const events: { time_ns: number; run: () => void }[] = [];
  const delay = delays();
  const push = (time_ns: number, run: () => void) => {
    let low = 0;
    let high = events.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (events[middle].time_ns > time_ns) low = middle + 1;
      else high = middle;
    }
    events.splice(low, 0, { time_ns, run });
  };
  let left = queueEvents;
  let now_ns = 0;
  const run = () => {
    left--;
    push(now_ns + delay.next().value, run);
  };
  for (let n = 0; n < waiting; n++) push(delay.next().value, run);
  const start_ns = process.hrtime.bigint();
  while (left > 0) {
    const event = events.pop();
    if (event === undefined) break;
    now_ns = event.time_ns;
    event.run();
  }
  return perSecond(queueEvents, start_ns);
}

/** Two cores answer each other's mails at interrupt level. */
async function mailSpeed(): Promise<number> {
  let left = mails;
  let finished = () => {};
  const ended = new Promise<void>((resolve) => {
    finished = resolve;
  });
  const machine: SimMachine = new SimMachine({
    profile: omap4,
    seed: 1,
    memory_bytes: 65_536,
    uncached_bytes: 65_536,
    bootKernel: async (core) => {
      core.soc.mailbox.receive((from, word) => {
        if (left-- > 0) core.soc.mailbox.send(from, word + 1);
        else finished();
      });
      core.announce();
      if (core.id === 1) core.soc.mailbox.send(0, 0);
      await core.idle(Infinity);
    },
    log: () => undefined,
    onCoreLost: () => undefined,
    onCoreFailed: () => undefined,
    onFailure: (error) => {
      throw error;
    },
    hostTurn: () => new Promise((resolve) => setImmediate(resolve)),
  });
  machine.console.start(0, 0);
  await machine.whenOn(0, 1000);
  const before = machine.queue.takenCount;
  const start_ns = process.hrtime.bigint();
  machine.console.start(1, 1);
  await ended;
  const speed = perSecond(machine.queue.takenCount - before, start_ns);
  machine.driver.stop();
  return speed;
}

interface SystemRound {
  readonly eventsPerSecond: number;
  readonly realPerSimulated: number;
}

/** Both kernels run DMA transfers of 4 KiB at full speed, or sleep, as light tasks mostly do. */
async function systemSpeed(): Promise<Row[]> {
  const busy: SystemRound[] = [];
  const asleep: SystemRound[] = [];
  await using measured = await MeasuredSystem.boot(k2Setting.boot);
  const observe = async (
    window_ns: number,
    words: (begin_ms: number, end_ms: number) => (string | number)[],
  ) => {
    const begin_ns = Math.ceil(measured.time_ns / 1e9 + 1) * 1e9;
    const ended = measured.runLight(words(begin_ns / 1e6, (begin_ns + window_ns) / 1e6), k2Setting.light);
    await measured.readAt(begin_ns);
    const events = measured.eventCount;
    const start_ns = process.hrtime.bigint();
    await measured.readAt(begin_ns + window_ns);
    const real_ns = Number(process.hrtime.bigint() - start_ns);
    await ended;
    return {
      eventsPerSecond: ((measured.eventCount - events) * 1e9) / real_ns,
      realPerSimulated: real_ns / window_ns,
    };
  };
  for (let round = 0; round < rounds; round++) {
    busy.push(await observe(0.5e9, (begin, end) => ["drive", 4096, begin, end]));
    asleep.push(await observe(20e9, (begin) => ["rounds", "udp", 65_536, 1 << 20, 2, begin + 1, 10_000]));
  }
  const middle = (values: readonly number[]) => [...values].sort((a, b) => a - b)[values.length >> 1];
  const base = { peers: {}, published: null };
  return [
    {
      name: "K2 system, DMA transfers of 4 KiB without a pause",
      unit: "events/s",
      better: "higher",
      ours: middle(busy.map(({ eventsPerSecond }) => eventsPerSecond)),
      target: null,
      ...base,
    },
    {
      name: "K2 system, the same: real time of a simulated second",
      unit: "s",
      better: "lower",
      ours: middle(busy.map(({ realPerSimulated }) => realPerSimulated)),
      target: "a few seconds",
      ...base,
    },
    {
      name: "K2 system, 1 MiB by UDP every ten seconds: real time of a simulated second",
      unit: "s",
      better: "lower",
      ours: middle(asleep.map(({ realPerSimulated }) => realPerSimulated)),
      target: "a few seconds",
      ...base,
    },
  ];
}
