/**
 * Messages between kernels, and from the console to kernels.
 *
 * Spawn:  1. `spawn_request` to the core that is to run the process; the argument block and the open files are
 *            in shared memory and change hands with the message.
 *         2. `spawn_reply`: its status is the pid, or a negated errno; then the receiver has given block and files up. Only
 *            when no reply comes at all (the core died) does the sender still own them, or with −BADMSG: a request that
 *            makes no sense changes nothing.
 * Boot:   1. `boot_request` to any running kernel: start a kernel on that core.
 *         2. `boot_reply`: its status is 0 once the core was started, −BUSY when it is not off, −INVAL for a core or a
 *            kernel that there is not. The new kernel's control
 *            block says when it runs.
 * Migrate: 1. The source core posts the process's record, its memory and its compiled program (`Core.post`), then sends
 *            `migrate_request`.
 *         2. `migrate_reply`: its status is 0 when the target has the process, or a negated errno, and then the
 *            source keeps it. See `migration.ts` for what decides who has it when no reply comes.
 * Restore: 1. `restore_request` to the core that is to run the process; the page is that of a `CheckpointOrder`, which
 *            stays the sender's, as do the files it names.
 *         2. `restore_reply`: its status is the pid, or a negated errno and the order says why.
 * Close:  1. `close_request` to a core whose kernel is about to stop.
 *         2. `close_reply`: its status is 0; the core takes no process from another one any more, until it is booted again.
 * Wake:    `make_ready` to a core of the island that a thread belongs to, where schedulers are independent: that core
 *            makes it ready as if it had been woken there. No reply; who cannot send it wakes the thread itself.
 * Terminal: `terminal_read_request` / `terminal_write_request` to the kernel that owns the terminal; the reply
 *         carries the bytes read, or the number written; −AGAIN when it would have to wait.
 */
import { array, bytes, f64, i32, u8, u16, u32 } from "../memory/index.ts";
import { message, request } from "../message/index.ts";

/** Descriptors a new process can start with. */
export const mostInitialFiles = 32;

export const spawn = request(
  "spawn",
  {
    parent: u32,
    priority: u8,
    detached: u8,
    nightwatch: u8,
    memoryLimitPages: u32,
    name: bytes(63),
    nameLength: u8,
    argumentOffset: f64,
    argumentOrder: u8,
    fileCount: u16,
    files: array(u32, mostInitialFiles),
  },
  {},
);

export const makeReady = message("make_ready", { thread: u32 });

export const bootKernel = request("boot", { core: u32, kernel: u32 }, {});

export const closeCore = request("close", {}, {});
export const migrate = request("migrate", { slot: u32, ticket: u32 }, {});

export const restore = request("restore", { page: u32 }, {});

export const terminalRead = request("terminal_read", { length: u32 }, { result: i32 }, { tail: true });
export const terminalWrite = request("terminal_write", {}, { result: i32 }, { tail: true });
