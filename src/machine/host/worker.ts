/**
 * Entry of every worker thread of the host machine: a core, or the timer. A core's thread loads the kernel's
 * code once, then waits for a boot word; when its kernel halts it is ready to be booted again.
 */
import { enableCompileCache } from "node:module";
import { parentPort, workerData } from "node:worker_threads";
import { corePower } from "../machine.ts";
import { HostClock } from "./clock.ts";
import { controlAccessor } from "./control.ts";
import { HostCore, type HostWiring } from "./host-core.ts";
import { Mailboxes, type MailboxPort } from "./mailboxes.ts";
import { runTimer } from "./timer.ts";
import { timerPage } from "./timer-page.ts";

/** Shareable with `workerData`. */
export interface WorkerRole {
  readonly wiring: HostWiring;
  /** Core id, or −1 for the timer. */
  readonly core: number;
  /** To the cores that were started before. */
  readonly ports: readonly MailboxPort[];
  /** Module that exports `bootKernel`, and what it is given besides the core. */
  readonly kernelModule: string;
  readonly configuration: unknown;
  /** Directory for compiled code, or null. */
  readonly codeCache: string | null;
}

/** What a kernel module exports: runs a kernel on the core until it halts. */
export type BootKernel = (
  core: HostCore,
  kernel: number,
  bootedBy: number,
  configuration: unknown,
) => Promise<void>;

const role = workerData as WorkerRole;

if (role.core < 0) {
  const timer = timerPage(role.wiring.timer);
  runTimer(timer, role.wiring.controls.map(controlAccessor), new HostClock(role.wiring, timer));
} else {
  await runCore();
}

async function runCore(): Promise<void> {
  // Loading the kernel's code is most of what it takes to get a core ready.
  if (role.codeCache !== null) enableCompileCache(role.codeCache);
  const { bootKernel } = (await import(role.kernelModule)) as { bootKernel: BootKernel };
  const core = new HostCore(role.core, role.wiring, new Mailboxes(role.ports));
  const page = controlAccessor(core.control);
  const timer = timerPage(role.wiring.timer);
  page.setPower(0, corePower.off);
  parentPort?.postMessage("ready");
  while (timer.stop(0) === 0) {
    if (page.power(0) === corePower.off) page.waitPower(0, corePower.off, 1_000);
    if (page.power(0) !== corePower.starting) continue;
    core.takeInterrupts();
    await bootKernel(core, page.bootKernel(0), page.bootedBy(0), role.configuration);
    core.setTimer(Infinity);
    page.setPower(0, corePower.off);
    page.notifyPower(0);
  }
}
