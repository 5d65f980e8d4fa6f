/**
 * `poll_oneoff`: waits until one of many things happens: a clock reaches a time, a pipe or a terminal can be
 * read or written.
 *
 * The thread is linked into the queues of everything it waits for, looks at everything once more, and sleeps
 * until one of the queues is woken or the earliest clock is due; then the engine repeats the call. Durations
 * count from the first call: when the shortest of them ends is kept in the thread record meanwhile.
 */
import { errno } from "../kernel/errno.ts";
import type { Caller } from "./caller.ts";
import { mostSubscriptions } from "./poll-table.ts";

/** `poll_oneoff` */
export function pollOneoff(
  caller: Caller,
  subscriptionsAddress: number,
  eventsAddress: number,
  subscriptionCount: number,
  resultAddress: number,
): number {
  const { memory, poll } = caller;
  const { threads, clock } = caller.services;
  const { thread } = caller.process;
  const subscriptions = subscriptionsAddress >>> 0;
  const events = eventsAddress >>> 0;
  const count = subscriptionCount >>> 0;
  const result = resultAddress >>> 0;
  memory.refresh();
  caller.awake();
  const started_ns = threads.callDeadline_ns(thread);
  if (started_ns !== 0) threads.setCallDeadline_ns(thread, 0);
  if (count === 0 || count > mostSubscriptions) return errno.INVAL;
  if (
    !memory.holds(subscriptions, count * poll.subscriptionSize) ||
    !memory.holds(events, count * poll.eventSize) ||
    !memory.holdsWord(result)
  ) {
    return errno.FAULT;
  }
  const failure = poll.decode(subscriptions, count);
  if (failure < 0) return -failure;
  poll.startDurations(clock.monotonic_ns(), started_ns);
  let ready = poll.evaluate();
  if (ready === 0) {
    const complete = poll.waitOnAll();
    ready = poll.evaluate();
    if (ready === 0) {
      threads.setCallDeadline_ns(thread, poll.callDeadline_ns);
      return caller.sleep(poll.earliest_ns, complete);
    }
    caller.awake();
  }
  poll.putEvents(events);
  memory.words.setValue(result, ready);
  return errno.SUCCESS;
}
