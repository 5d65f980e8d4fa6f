/** `clock_*`: the machine's clocks and the processor time of the caller. */
import { errno } from "../kernel/errno.ts";
import type { Caller } from "./caller.ts";
import { clockId } from "./structs.ts";

/** Times of day are kept in doubles, which step by this much around the present. */
const realtimeStep_ns = 256;

/** `clock_res_get`: the smallest step of a clock, at least one nanosecond. */
export function clockResolution(caller: Caller, id: number, resultAddress: number): number {
  const { memory, services } = caller;
  const result = resultAddress >>> 0;
  const step_ns = Math.max(1, Math.ceil(services.clock.resolution_ns));
  const resolution_ns = id === clockId.realtime ? Math.max(step_ns, realtimeStep_ns) : step_ns;
  if (id < clockId.realtime || id > clockId.threadCpuTime) return errno.INVAL;
  memory.refresh();
  if (!memory.holdsQuantity(result)) return errno.FAULT;
  memory.setQuantity(result, resolution_ns);
  return errno.SUCCESS;
}

/** `clock_time_get`: the time now; how precise the caller wants it makes no difference. */
export function clockTime(caller: Caller, id: number, resultAddress: number): number {
  const { memory, services } = caller;
  const result = resultAddress >>> 0;
  let time_ns: number;
  if (id === clockId.monotonic) time_ns = services.clock.monotonic_ns() + caller.process.clockOffset_ns;
  else if (id === clockId.realtime) time_ns = services.clock.realtime_ns();
  else if (id === clockId.processCpuTime || id === clockId.threadCpuTime) {
    // A process has one thread.
    time_ns = services.cpuTime_ns(caller.process.thread);
  } else return errno.INVAL;
  memory.refresh();
  if (!memory.holdsQuantity(result)) return errno.FAULT;
  memory.setQuantity(result, Math.floor(time_ns));
  return errno.SUCCESS;
}
