/**
 * A byte to and fro between two processes over two pipes: four system calls, and on one kernel two context
 * switches, per round trip. Peers are two processes of the host, on one processor where ours share a kernel,
 * connected by named pipes.
 */
import { execFile } from "node:child_process";
import { availableParallelism } from "node:os";
import { promisify } from "node:util";
import { hasCommand, programSource } from "../peers/native.ts";
import { nodeWasiProgram } from "../peers/node-wasi.ts";
import type { Row } from "../row.ts";
import { interleaved } from "../statistics.ts";
import type { Candidates } from "../syscall.ts";

const execute = promisify(execFile);
const roundTrips = 20_000;
const connection = `
  cd "$1" && rm -f there back && mkfifo there back || exit 1
  pinPing=$2 pinPong=$3; shift 3
  $pinPong "$@" pong <there >back & $pinPing "$@" ping ${roundTrips} >there <back; wait`;

export async function pingPong(candidates: Candidates, rounds: number): Promise<Row[]> {
  return [
    await row("pipe round trip, both processes on one kernel", candidates, rounds, [0, 0]),
    await row("pipe round trip, processes on two kernels", candidates, rounds, [0, 1]),
  ];
}

async function row(
  name: string,
  candidates: Candidates,
  rounds: number,
  kernels: [number, number],
): Promise<Row> {
  const oneProcessor = kernels[0] === kernels[1];
  const measured: Record<string, () => Promise<number>> = { ours: () => ours(candidates, kernels) };
  if (hasCommand("mkfifo")) {
    // Node's own warnings would mix with the figure, which comes on standard error.
    const node = [process.execPath, "--no-warnings", nodeWasiProgram, programSource("pingpong.wasm")];
    measured["node:wasi"] = () => onHost(candidates, node, oneProcessor);
    const program = candidates.native?.get("pingpong");
    if (program !== undefined) measured.native = () => onHost(candidates, [program], oneProcessor);
  }
  await interleaved(1, measured);
  const { ours: figure, ...peers } = await interleaved(rounds, measured);
  return { name, unit: "ns/round trip", better: "lower", ours: figure, peers, published: null, target: null };
}

async function ours({ system }: Candidates, kernels: [number, number]): Promise<number> {
  const there = system.pipe();
  const back = system.pipe();
  const pong = await system.spawn("pingpong", ["pong"], {
    kernel: kernels[1],
    stdin: there.read,
    stdout: back.write,
    stderr: "null",
  });
  const ping = await system.spawn("pingpong", ["ping", String(roundTrips)], {
    kernel: kernels[0],
    stdin: back.read,
    stdout: there.write,
  });
  const [text] = await Promise.all([new Response(ping.stderr).text(), ping.wait(), pong.wait()]);
  return figureOf(text);
}

async function onHost(
  { workspace }: Candidates,
  command: readonly string[],
  oneProcessor: boolean,
): Promise<number> {
  const pins = oneProcessor ? [0, 0] : [0, 1];
  const canPin = hasCommand("taskset") && availableParallelism() > 1;
  const prefixes = pins.map((processor) => (canPin ? `taskset -c ${processor}` : ""));
  const { stderr } = await execute("sh", [
    "-c",
    connection,
    "sh",
    workspace.scratch,
    ...prefixes,
    ...command,
  ]);
  return figureOf(stderr);
}

function figureOf(text: string): number {
  const figure_ns = Number(text);
  if (!(figure_ns > 0)) throw new Error(`ping-pong: ${JSON.stringify(text)} is no time`);
  return figure_ns;
}
