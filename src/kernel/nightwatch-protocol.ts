/**
 * Messages about NightWatch threads (K2, ASPLOS 2014, section 8), between the *main* kernel, which runs the normal
 * thread of a process, and the *weak* kernel, to which the NightWatch threads of that process are pinned.
 *
 * Spawn:   1. A thread of the process calls `nightwatch_spawn`. Its kernel claims a thread record, posts memory and
 *             program (`Core.post`) and sends `nightwatch_spawn_request`. The call does not wait.
 *          2. `nightwatch_spawn_reply`: its status is 0 once the weak kernel has the thread, or a negated errno: the
 *             thread counts as lost.
 * Suspend: 1. `nightwatch_suspend_request` (SuspendNW): the main kernel is about to run the normal thread, and switches
 *             to it meanwhile.
 *          2. The weak kernel flags every NightWatch thread of the process. From here on its scheduler passes them over.
 *          3. `nightwatch_suspend_reply` (AckSuspendNW): none of them runs. The normal thread goes on; its kernel has
 *             waited for this right before the return to the program.
 * Resume:  `nightwatch_resume` (ResumeNW): the normal thread has blocked; the weak kernel removes the flags. No answer.
 * End:     1. `nightwatch_end_request`: the process ends, or runs another program. The main kernel waits until
 *             `nightwatchAlive` of the process is 0.
 *          2. `nightwatch_end_reply`: its status is 0; the threads end one after the other.
 *
 * The paper answers SuspendNW before it flags the threads, as its message is an interrupt on the weak core: whatever
 * ran there no longer does. Here messages are served at polls of the running program, between two programs, or while
 * a system call waits for another kernel. In the first two cases no NightWatch thread is in its program, and the
 * answer goes out at once; in the third it goes out when the call is over and the thread was stopped at its next poll.
 *
 * All of them have the same priority, so that those about one process arrive in the order in which they were sent. If
 * the weak kernel dies or stops, requests to it are settled as if its threads were suspended: they are.
 */
import { u8, u32 } from "../memory/index.ts";
import { message, request } from "../message/index.ts";

export const spawnNightwatch = request(
  "nightwatch_spawn",
  {
    /** Names the object that was posted. */
    ticket: u32,
    thread: u32,
    /** 1: it may run at once. 0: from the next `nightwatch_resume` on. */
    runnable: u8,
  },
  {},
);

export const suspendNightwatch = request("nightwatch_suspend", { pid: u32 }, {});
/** With the size of the process's memory, which its normal thread may have made grow. */
export const resumeNightwatch = message("nightwatch_resume", { pid: u32, memoryPages: u32 });
export const endNightwatch = request("nightwatch_end", { pid: u32 }, {});
