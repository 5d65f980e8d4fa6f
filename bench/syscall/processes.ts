/** Starting processes, switching between them, and interrupting a core that is busy with one. */

import { fileURLToPath } from "node:url";
import { errno } from "../../src/kernel/errno.ts";
import { bootKernel } from "../../src/kernel/protocol.ts";
import { limits } from "../../src/kernel/state.ts";
import { controlAccessor } from "../../src/machine/host/control.ts";
import { HostMachine } from "../../src/machine/host/host-machine.ts";
import { interruptLine } from "../../src/machine/machine.ts";
import { programSource, runNative } from "../peers/native.ts";
import type { Row } from "../row.ts";
import { interleaved, median } from "../statistics.ts";
import type { Candidates } from "../syscall.ts";

const starts = 200;
const yields = 100_000;
const interruptions = 2_000;
/** Seconds: how long a core may take to notice an interrupt before this gives up. */
const looks_max = 100_000_000;
const patience_ns = 10_000_000_000;

/**
 * A program that does nothing, started and awaited. Ours twice: as the library sees it, from `spawn` to the
 * exit status, and inside the kernel, from the claim of its slot in the process table to its end. The peer
 * `node:wasi` instantiates and runs the compiled module, with no process around it; `native` is `posix_spawn`
 * and `waitpid`.
 */
export async function processStart({ system, nodeWasi, native }: Candidates, rounds: number): Promise<Row[]> {
  const { processes } = system["services"].areas;
  const inside: number[] = [];
  const measured: Record<string, () => Promise<number>> = {
    async ours() {
      const times: number[] = [];
      const inKernel: number[] = [];
      for (let n = 0; n < starts; n++) {
        const start_ns = process.hrtime.bigint();
        const started = await system.spawn("nothing", [], {
          kernel: 0,
          stdin: "null",
          stdout: "null",
          stderr: "null",
        });
        const { exitCode, message } = await started.wait();
        times.push(Number(process.hrtime.bigint() - start_ns) / 1000);
        if (exitCode !== 0) throw new Error(`nothing: exit code ${exitCode}: ${message}`);
        // The record keeps its times until the slot is used again.
        const slot = started.pid % limits.processes;
        inKernel.push((processes.endTime_ns(slot) - processes.startTime_ns(slot)) / 1000);
      }
      inside.push(median(inKernel));
      return median(times);
    },
    async "node:wasi"() {
      const { elapsed_ns } = await nodeWasi.run(programSource("nothing.wasm"), ["nothing"], {
        times: starts,
      });
      return elapsed_ns / 1000;
    },
  };
  const spawns = native?.get("spawns");
  const nothing = native?.get("nothing");
  if (spawns !== undefined && nothing !== undefined) {
    measured.native = async () => Number(await runNative(spawns, [String(starts), nothing])) / 1000;
  }
  await interleaved(1, measured);
  inside.length = 0;
  const { ours, ...peers } = await interleaved(rounds, measured);
  const shared = { unit: "µs", better: "lower", peers, published: null } as const;
  return [
    { ...shared, name: "spawn + wait, cached program, from the library", ours, target: 300 },
    { ...shared, name: "spawn to end, cached program, inside the kernel", ours: median(inside), target: 300 },
  ];
}

/**
 * Two processes on one kernel that call `sched_yield` in turns: one switch per call, the call itself included.
 * The kernel's own count proves that every call switched.
 */
export async function contextSwitch(candidates: Candidates, rounds: number): Promise<Row> {
  const { system, workspace } = candidates;
  const words = ["yield", String(yields), "/tmp"];
  const switches = () => system.kernels()[0].contextSwitches;
  const measured = {
    async ours() {
      const before = switches();
      const results = await Promise.all([0, 1].map(() => system.run("syscalls", words, { kernel: 0 })));
      if (switches() - before < 2 * yields) throw new Error("context switch: not every call switched");
      // Each process waits for the other's turn, too.
      return results.reduce((sum, result) => sum + Number(result.stdout), 0) / 4;
    },
    async "bare JSPI"() {
      const program = fileURLToPath(new URL("../peers/jspi-switch.ts", import.meta.url));
      const parameters = [programSource("syscalls.wasm"), String(yields), workspace.scratch];
      return Number(await runNative(process.execPath, ["--no-warnings", program, ...parameters]));
    },
  };
  await interleaved(1, measured);
  const { ours, ...peers } = await interleaved(rounds, measured);
  const name = "context switch: sched_yield between two processes";
  return { name, unit: "ns/switch", better: "lower", ours, peers, published: null, target: 1000 };
}

/**
 * From raising a line on a core to the kernel there taking it, while a program runs on it, measured by the
 * core that raises: the line of devices, which a kernel takes and has nothing to do for. Also a whole request
 * to that kernel and its reply. The peer `native` is a signal to a busy thread, until its handler runs.
 */
export async function interrupts(candidates: Candidates, rounds: number): Promise<Row[]> {
  const { system, native } = candidates;
  const rows: Row[] = [];
  const signals = native?.get("signals");
  const busy: readonly (readonly [string, string, string[]])[] = [
    ["counting loop", "spin", []],
    ["Python loop", "python3", ["-c", "while True: pass"]],
  ];
  for (const [what, program, words] of busy) {
    const running = await system.spawn(program, words, {
      kernel: 0,
      stdin: "null",
      stdout: "null",
      stderr: "null",
    });
    await untilBusy(candidates, running.pid);
    const measured: Record<string, () => Promise<number>> = {
      ours: async () => interruptTime_ns(candidates),
    };
    if (signals !== undefined) {
      measured.native = async () => Number(await runNative(signals, [String(interruptions)]));
    }
    await interleaved(1, measured);
    const { ours, ...peers } = await interleaved(rounds, measured);
    const shared = { unit: "ns", better: "lower", published: null } as const;
    rows.push({ ...shared, name: `interrupt a core busy with a ${what}`, ours, peers, target: 2000 });
    const request = await interleaved(rounds, { ours: () => requestTime_ns(candidates) });
    const name = `request to a kernel busy with a ${what}, and its reply`;
    rows.push({ ...shared, name, ours: request.ours, peers: {}, target: null });
    running.kill();
    await running.wait();
  }
  return rows;
}

/** Until the program has used its core for a moment: it is compiled and started. */
async function untilBusy({ system }: Candidates, pid: number): Promise<void> {
  for (let n = 0; n < 1000; n++) {
    const status = system.processes().find((one) => one.pid === pid);
    if (status === undefined || status.state === "zombie") throw new Error("the busy program ended");
    if (status.cpuTime_ns > 500_000_000) return;
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  throw new Error("the program that was to be busy used no processor time");
}

/** Median time until core 0 has taken an interrupt. */
function interruptTime_ns({ system }: Candidates): number {
  const machine = system["machine"];
  if (!(machine instanceof HostMachine)) throw new Error("this benchmark is for the host machine");
  const page = controlAccessor(machine["wiring"].controls[0]);
  const times: number[] = [];
  for (let n = 0; n < interruptions; n++) {
    const start_ns = process.hrtime.bigint();
    machine.console.interrupt(0, interruptLine.device);
    for (let looks = 0; page.pending(0) !== 0; looks++) {
      if (looks === looks_max) throw new Error("the core took no interrupt");
    }
    times.push(Number(process.hrtime.bigint() - start_ns));
    letRun();
  }
  return median(times);
}

/** Median time of a request that is refused at once: booting a core that runs. */
function requestTime_ns({ system }: Candidates): number {
  const { endpoint } = system["services"];
  const times: number[] = [];
  for (let n = 0; n < interruptions; n++) {
    const start_ns = process.hrtime.bigint();
    const { status } = endpoint.call(0, bootKernel, { core: 0, kernel: 0 }, patience_ns);
    times.push(Number(process.hrtime.bigint() - start_ns));
    if (status !== -errno.BUSY) throw new Error(`the busy kernel answered ${status}`);
    letRun();
  }
  return median(times);
}

/** Gives the busy program some microseconds. */
function letRun(): void {
  for (let n = 0; n < 100; n++) Atomics.pause();
}
