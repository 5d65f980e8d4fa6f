/** Workloads whose every event must be the same when their seed is. Each says what its programs gave. */
import type { Archipelago, Process } from "../../../src/index.ts";
import { type ProgramName, programPath } from "../../../src/simulation/programs/programs.ts";
import { runProgram, type Workload } from "./simulated.ts";

const kernelCount = 4;

function start(
  system: Archipelago,
  name: ProgramName,
  args: readonly (string | number)[],
  kernel: number,
): Promise<Process> {
  return system.spawn(programPath(name), args.map(String), {
    kernel,
    stdin: "null",
    stdout: "null",
    stderr: "null",
    directories: { "/": "/" },
  });
}

/** Three processes on three kernels, connected by pipes. */
async function pipeline(system: Archipelago, first: number, seed: number): Promise<string> {
  const [a, b] = [system.pipe(), system.pipe()];
  const place = (step: number) => ({ kernel: (first + step) % kernelCount, stderr: "null" }) as const;
  const source = await system.spawn(programPath("source"), [`${seed}`, "100000", "3000"], {
    ...place(0),
    stdin: "null",
    stdout: a.write,
  });
  const pump = await system.spawn(programPath("pump"), [], { ...place(1), stdin: a.read, stdout: b.write });
  const sink = await system.spawn(programPath("sink"), [], { ...place(2), stdin: b.read });
  const text = await new Response(sink.stdout).text();
  const ends = await Promise.all([source, pump, sink].map((process) => process.wait()));
  return `${ends.map(({ exitCode }) => exitCode).join(" ")} ${JSON.stringify(text)}`;
}

export const pipelines: Workload = async ({ system }) =>
  (await Promise.all([0, 1, 2, 3].map((n) => pipeline(system, n, 7 * n + 1)))).join("\n");

export const forks: Workload = async ({ system }) =>
  (await Promise.all([0, 1, 2, 3].map((kernel) => runProgram(system, "fork", [6, 2000], kernel)))).join("\n");

/** Programs that move by themselves, and others that are moved, in every way. */
export const migrations: Workload = async ({ system }) => {
  const moved = await start(system, "compute", [9, 3_000_000], 0);
  const wandering = [0, 1, 2].map((kernel) => runProgram(system, "wander", [kernel, 12, 5000, 4], kernel));
  const answers: string[] = [];
  for (let n = 1; n < 10; n++) {
    const copy = (["none", "upfront", "on-demand"] as const)[n % 3];
    answers.push(
      await moved.migrate(n % kernelCount, { copy }).then(
        () => `${n}: there at ${system.time_ns()}`,
        (error: Error) => `${n}: ${error.message}`,
      ),
    );
    await system.delay(0.5);
  }
  const { exitCode } = await moved.wait();
  return [...answers, exitCode, ...(await Promise.all(wandering))].join("\n");
};

/** Several kernels in the same files and directories. */
export const files: Workload = async ({ system }) => {
  const works: Promise<string>[] = [];
  for (let kernel = 0; kernel < kernelCount; kernel++) {
    system.files.makeDirectory(`/sim/tree${kernel}`);
    works.push(
      runProgram(system, "tree", [`sim/tree${kernel}`, kernel, 60], kernel),
      runProgram(system, "append", ["sim/log", kernel, 30], kernel),
      runProgram(system, "counter", ["sim/count", "sim/lock", 5], kernel),
      runProgram(system, "write", [`sim/file${kernel}`, kernel, 40_000, 900], kernel),
    );
  }
  const outputs = await Promise.all(works);
  const order = Buffer.from(system.files.read("/sim/log")).toString("hex");
  return [...outputs, order, await runProgram(system, "read", ["sim/file2"], 1)].join("\n");
};

/** Kernels that stop and boot while processes go on. */
export const kernels: Workload = async ({ system }) => {
  const working = [0, 1, 2, 3].map((kernel) => runProgram(system, "compute", [kernel, 400_000], kernel));
  const sleeping = [1, 2].map((kernel) => runProgram(system, "sleep", [3, 10], kernel));
  for (const kernel of [1, 2, 3, 1]) {
    await system.stopKernel(kernel, { processes: "move" });
    await system.delay(2);
    await system.bootKernel(kernel);
  }
  return [...(await Promise.all(working)), ...(await Promise.all(sleeping)), system.time_ns()].join("\n");
};

/** A kernel that crashes in the middle of everything, and is booted again. */
export const crashes: Workload = async ({ system, simulation }) => {
  const works = [0, 1, 2, 3].flatMap((kernel) => [
    runProgram(system, "append", ["sim/log", kernel, 200], kernel),
    runProgram(system, "fork", [4, 3000], kernel),
    runProgram(system, "wander", [kernel, 10, 3000, 4], kernel),
  ]);
  // It may not get as far as asking a kernel that has crashed.
  const ends = Promise.all(works.map((work) => work.catch((error: Error) => error.message)));
  for (const core of [1, 2]) {
    await system.delay(4);
    simulation.crash(core);
    await system.delay(5);
    await system.bootKernel(core);
  }
  const log = Buffer.from(system.files.read("/sim/log")).toString("hex");
  return [...(await ends), log, await runProgram(system, "compute", [1, 1000], 1)].join("\n");
};

/** Real programs with time and chance in them, and a checkpoint of one that is restored. */
export const tools: Workload = async ({ system }) => {
  const outputs = await Promise.all([
    system.run("sqlite3", [":memory:", "select hex(randomblob(16)), julianday('now');"], { kernel: 1 }),
    system.run("shuf", [], { kernel: 2, input: "one\ntwo\nthree\nfour\nfive\n" }),
    system.run("date", ["+%s.%N"], { kernel: 3 }),
    system.run("mktemp", ["-p", "/sim"], { kernel: 0 }),
  ]);
  const computing = await start(system, "compute", [5, 2_000_000], 2);
  await system.delay(3);
  const written = await system.checkpoint(computing.pid, "/sim/checkpoint");
  computing.kill(9);
  const restored = await system.restore("/sim/checkpoint", { kernel: 3 });
  const ends = await Promise.all([computing.wait(), restored.wait()]);
  return [
    ...outputs.map(({ exitCode, stdout, stderr }) => `${exitCode} ${stdout} ${stderr}`),
    JSON.stringify(written),
    ...ends.map(({ exitCode }) => exitCode),
    system.time_ns(),
  ].join("\n");
};

export const workloads = { pipelines, forks, migrations, files, kernels, crashes, tools } as const;
export type WorkloadName = keyof typeof workloads;
