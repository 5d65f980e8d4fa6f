/**
 * Parents and children in WASIX: `proc_fork`, `proc_join`, `proc_parent`. In C:
 *
 *     __attribute__((import_module("wasix_32v1"), import_name("proc_fork")))
 *     int proc_fork(int copyMemory, int *pid);
 */
import type { ChildEnd } from "../kernel/children.ts";
import { errno } from "../kernel/errno.ts";
import { DIED } from "../kernel/wait.ts";
import { layoutOf } from "../memory/index.ts";
import type { Caller } from "./caller.ts";
import type { WasiFunction } from "./functions.ts";
import { guestFormat, JoinStatus, joinStatus, OptionPid, optionTag } from "./structs.ts";

const optionPidSize = layoutOf(OptionPid, guestFormat).size;
const joinStatusSize = layoutOf(JoinStatus, guestFormat).size;

const joinFlag = { nonBlocking: 1, wakeStopped: 2 } as const;
const allJoinFlags = 3;

/**
 * `proc_fork`: the caller twice; the pid of the child goes to one and 0 to the other. Both have the same open files,
 * and each its own memory. Without `copyMemory` the child runs in the memory of its parent, which waits
 * until the child has ended or called `proc_exec`. ENOTSUP: this program cannot be captured.
 */
function fork(caller: Caller, copyMemory: number, resultAddress: number): number {
  const { memory, process } = caller;
  const address = resultAddress >>> 0;
  memory.refresh();
  if (!memory.holdsWord(address)) return errno.FAULT;
  caller.awake();
  if (process.dying()) return DIED;
  const linked = caller.waitOn(process.childQueue);
  const pid = process.fork(copyMemory !== 0);
  if (pid === undefined) return caller.sleep(Infinity, linked);
  caller.awake();
  if (pid < 0) return -pid;
  // The child that ran in this memory may have made it grow.
  memory.refresh();
  memory.words.setValue(address, pid);
  return errno.SUCCESS;
}

/**
 * `proc_join`: waits for a child to end, any without a pid, and collects its status; the pid says which it was.
 * "Nothing", when not to block and no child has ended. ECHILD: there is none to wait for.
 */
function join(caller: Caller, pidAddress: number, flags: number, statusAddress: number): number {
  const { memory, process } = caller;
  const option = pidAddress >>> 0;
  const status = statusAddress >>> 0;
  memory.refresh();
  if (!memory.holds(option, optionPidSize) || !memory.holds(status, joinStatusSize)) return errno.FAULT;
  const tag = memory.optionPids.tag(option);
  if (tag > optionTag.some || (flags & ~allJoinFlags) !== 0) return errno.INVAL;
  const wanted = tag === optionTag.some ? memory.optionPids.pid(option) : 0;
  if (tag === optionTag.some && wanted === 0) return errno.CHILD;
  caller.awake();
  if (process.dying()) return DIED;
  const blocks = (flags & joinFlag.nonBlocking) === 0;
  const linked = blocks && caller.waitOn(process.childQueue);
  const end: ChildEnd = { pid: wanted, exitCode: 0, signal: 0 };
  const joined = process.join(wanted, end);
  if (joined === 0 && blocks) return caller.sleep(Infinity, linked);
  caller.awake();
  if (joined < 0) return -joined;
  memory.optionPids.setTag(option, optionTag.some);
  memory.optionPids.setPid(option, end.pid);
  const { joinStatuses } = memory;
  const ended = end.signal === 0 ? joinStatus.exited : joinStatus.signalled;
  joinStatuses.setTag(status, joined === 0 ? joinStatus.nothing : ended);
  joinStatuses.setExitCode(status, end.exitCode);
  if (end.signal !== 0) joinStatuses.setSignal(status, end.signal);
  return errno.SUCCESS;
}

/** `proc_parent`: the parent of the caller, which names itself; 0 is the console. */
function parentOf(caller: Caller, pid: number, resultAddress: number): number {
  const { memory, process } = caller;
  const address = resultAddress >>> 0;
  memory.refresh();
  if (!memory.holdsWord(address)) return errno.FAULT;
  if (pid >>> 0 !== process.pid) return errno.PERM;
  memory.words.setValue(address, process.parent);
  return errno.SUCCESS;
}

export const processFunctions: Readonly<Record<string, WasiFunction>> = {
  proc_fork: {
    parameters: "ii",
    make: (c) => (copyMemory: number, result: number) => fork(c.caller, copyMemory, result),
  },
  proc_join: {
    parameters: "iii",
    make: (c) => (pid: number, flags: number, status: number) => join(c.caller, pid, flags, status),
  },
  proc_parent: {
    parameters: "ii",
    make: (c) => (pid: number, result: number) => parentOf(c.caller, pid, result),
  },
};
