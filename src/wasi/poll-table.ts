/**
 * The subscriptions of one `poll_oneoff`, decoded once from the program's memory, and what became of each.
 */
import { errno } from "../kernel/errno.ts";
import type { Accessor } from "../memory/index.ts";
import type { Caller } from "./caller.ts";
import { right } from "./rights.ts";
import { absoluteTime, clockId, eventType, hangupFlag, type preview1, type snapshot0 } from "./structs.ts";

/** Subscriptions in one call: many times what a process can have descriptors. */
export const mostSubscriptions = 4096;

type ClockSubscriptions =
  | Accessor<typeof preview1.ClockSubscription.fields>
  | Accessor<typeof snapshot0.ClockSubscription.fields>;
type DescriptorSubscriptions =
  | Accessor<typeof preview1.DescriptorSubscription.fields>
  | Accessor<typeof snapshot0.DescriptorSubscription.fields>;
type ClockFields = typeof preview1.ClockSubscription.fields | typeof snapshot0.ClockSubscription.fields;
type DescriptorFields =
  | typeof preview1.DescriptorSubscription.fields
  | typeof snapshot0.DescriptorSubscription.fields;

interface Subscription {
  userdataLow: number;
  userdataHigh: number;
  type: number;
  fd: number;
  clock: number;
  absolute: boolean;
  timeout_ns: number;
  /** What is wrong with it whatever happens, or 0. */
  refused: number;
  // Filled by `evaluate`.
  ready: boolean;
  error: number;
  bytes: number;
  flags: number;
}

export class PollTable {
  private readonly caller: Caller;
  private readonly clocks: ClockSubscriptions;
  private readonly descriptors: DescriptorSubscriptions;
  /** Bytes of a subscription and of an event in the program's memory. */
  readonly subscriptionSize: number;
  readonly eventSize: number;
  /** Reused from call to call; the first `count` are in use. */
  private readonly subscriptions: Subscription[] = [];
  private count = 0;
  /** Shortest of the timeouts that are durations, Infinity if there is none. */
  private shortest_ns = Infinity;
  /** When the shortest duration ends, monotonic time: kept while the call is repeated. */
  private shortestEnds_ns = Infinity;
  /** Earliest monotonic time at which a clock that was not ready will be; Infinity for never. */
  earliest_ns = Infinity;

  constructor(caller: Caller) {
    const { memory, version } = caller;
    this.caller = caller;
    this.clocks = memory.over<ClockFields>(version.ClockSubscription);
    this.descriptors = memory.over<DescriptorFields>(version.DescriptorSubscription);
    this.subscriptionSize = memory.sizeOf(this.clocks);
    this.eventSize = memory.sizeOf(memory.pollEvents);
  }

  /** Reads `count` subscriptions from memory that was checked. Zero, or −EINVAL for an unknown type of event. */
  decode(address: number, count: number): number {
    this.count = count;
    this.shortest_ns = Infinity;
    for (let n = 0; n < count; n++) {
      const at = address + n * this.subscriptionSize;
      let subscription = this.subscriptions[n];
      if (subscription === undefined) {
        subscription = emptySubscription();
        this.subscriptions[n] = subscription;
      }
      subscription.userdataLow = this.clocks.userdataLow(at);
      subscription.userdataHigh = this.clocks.userdataHigh(at);
      subscription.type = this.clocks.tag(at);
      subscription.refused = 0;
      if (subscription.type === eventType.clock) this.decodeClock(subscription, at);
      else if (subscription.type === eventType.read || subscription.type === eventType.write) {
        subscription.fd = this.descriptors.descriptorNumber(at) | 0;
      } else return -errno.INVAL;
    }
    return 0;
  }

  private decodeClock(subscription: Subscription, at: number): void {
    const { clocks } = this;
    const flags = clocks.clockFlags(at);
    subscription.clock = clocks.clockId(at);
    subscription.timeout_ns = clocks.clockTimeoutHigh(at) * 4_294_967_296 + clocks.clockTimeoutLow(at);
    subscription.absolute = (flags & absoluteTime) !== 0;
    if ((flags & ~absoluteTime) !== 0) subscription.refused = errno.INVAL;
    else if (subscription.clock === clockId.processCpuTime || subscription.clock === clockId.threadCpuTime) {
      // A thread that sleeps uses no processor time.
      subscription.refused = errno.NOTSUP;
    } else if (subscription.clock !== clockId.realtime && subscription.clock !== clockId.monotonic) {
      subscription.refused = errno.INVAL;
    } else if (!subscription.absolute && subscription.timeout_ns < this.shortest_ns) {
      this.shortest_ns = subscription.timeout_ns;
    }
  }

  /**
   * Says when durations began to count. `callDeadline_ns` is what `callDeadline` gave when the call was made
   * the first time, or 0 if this is the first time.
   */
  startDurations(now_ns: number, callDeadline_ns: number): void {
    this.shortestEnds_ns = callDeadline_ns > 0 ? callDeadline_ns : now_ns + this.shortest_ns;
  }

  /** When the shortest duration ends, to be kept while the thread sleeps; 0 if there is none. */
  get callDeadline_ns(): number {
    return this.shortest_ns === Infinity ? 0 : this.shortestEnds_ns;
  }

  /** Looks at every subscription. The number of those that are ready or wrong. */
  evaluate(): number {
    const { clock } = this.caller.services;
    let now_ns = -1;
    let realtime_ns = -1;
    let ready = 0;
    this.earliest_ns = Infinity;
    for (let n = 0; n < this.count; n++) {
      const subscription = this.subscriptions[n];
      subscription.error = subscription.refused;
      subscription.bytes = 0;
      subscription.flags = 0;
      if (subscription.refused !== 0) subscription.ready = true;
      else if (subscription.type === eventType.clock) {
        if (now_ns < 0) {
          now_ns = clock.monotonic_ns();
          realtime_ns = clock.realtime_ns();
        }
        const ends_ns = this.endOf(subscription, now_ns, realtime_ns);
        subscription.ready = ends_ns <= now_ns;
        if (!subscription.ready && ends_ns < this.earliest_ns) this.earliest_ns = ends_ns;
      } else this.evaluateDescriptor(subscription);
      if (subscription.ready) ready++;
    }
    return ready;
  }

  /** Monotonic time at which a clock subscription becomes ready. */
  private endOf(subscription: Subscription, now_ns: number, realtime_ns: number): number {
    if (!subscription.absolute) return this.shortestEnds_ns + (subscription.timeout_ns - this.shortest_ns);
    if (subscription.clock === clockId.monotonic) {
      return subscription.timeout_ns - this.caller.process.clockOffset_ns;
    }
    return now_ns + (subscription.timeout_ns - realtime_ns);
  }

  private evaluateDescriptor(subscription: Subscription): void {
    const { files } = this.caller;
    const file = this.pollable(subscription);
    let bytes = file;
    if (file >= 0)
      bytes = subscription.type === eventType.read ? files.pollRead(file) : files.pollWrite(file);
    subscription.ready = bytes !== -errno.AGAIN;
    if (bytes < 0) {
      if (subscription.ready) subscription.error = -bytes;
      return;
    }
    subscription.bytes = bytes;
    if (files.hangup(file)) subscription.flags = hangupFlag;
  }

  /** The open file of a descriptor subscription, or a negated errno. */
  private pollable(subscription: Subscription): number {
    const access = subscription.type === eventType.read ? right.FD_READ : right.FD_WRITE;
    const file = this.caller.lookup(subscription.fd, right.POLL_FD_READWRITE | access);
    return file < 0 ? -this.caller.dataError(subscription.fd, file) : file;
  }

  /** Links the thread into the queues of all descriptors. False if one of them could not be waited for. */
  waitOnAll(): boolean {
    const { files } = this.caller;
    let complete = true;
    for (let n = 0; n < this.count; n++) {
      const subscription = this.subscriptions[n];
      if (subscription.type === eventType.clock) continue;
      const file = this.pollable(subscription);
      if (file < 0) continue;
      const queue = subscription.type === eventType.read ? files.readQueue(file) : files.writeQueue(file);
      if (!this.caller.waitOn(queue)) complete = false;
    }
    return complete;
  }

  /** Writes an event for every subscription that is ready, to memory that was checked. */
  putEvents(address: number): void {
    const events = this.caller.memory.pollEvents;
    let at = address;
    for (let n = 0; n < this.count; n++) {
      const subscription = this.subscriptions[n];
      if (!subscription.ready) continue;
      events.clear(at);
      events.setUserdataHalves(at, subscription.userdataLow, subscription.userdataHigh);
      events.setError(at, subscription.error);
      events.setType(at, subscription.type);
      events.setReadinessBytes(at, subscription.bytes);
      events.setReadinessFlags(at, subscription.flags);
      at += this.eventSize;
    }
  }
}

function emptySubscription(): Subscription {
  return {
    userdataLow: 0,
    userdataHigh: 0,
    type: 0,
    fd: 0,
    clock: 0,
    absolute: false,
    timeout_ns: 0,
    refused: 0,
    ready: false,
    error: 0,
    bytes: 0,
    flags: 0,
  };
}
