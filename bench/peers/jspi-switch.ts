/**
 * The peer `bare JSPI`: two programs on one thread that yield to each other through JavaScript Promise
 * Integration and nothing else, no kernel and no accounting. Prints nanoseconds per switch.
 * Started with: FILE COUNT DIRECTORY, the file being `syscalls.wasm`.
 */
import { closeSync, openSync, readFileSync } from "node:fs";
import { WASI } from "node:wasi";

const [file, count, directory] = process.argv.slice(2);
const module = new WebAssembly.Module(readFileSync(file));
let running = 2;
let wakeOther: (() => void) | undefined;

/** Sleeps until the other one yields, which this wakes; goes straight on when there is no other one. */
function switchOver(): Promise<number> {
  if (running < 2) return Promise.resolve(0);
  return new Promise((resolve) => {
    const wake = wakeOther;
    wakeOther = () => resolve(0);
    wake?.();
  });
}

async function run(path: string): Promise<number> {
  const stdout = openSync(path, "w");
  const args = ["syscalls", "yield", count, "/"];
  const wasi = new WASI({ version: "preview1", args, env: { PATH: "/bin" }, stdout, preopens: {} });
  const functions = { ...wasi.wasiImport, sched_yield: new WebAssembly.Suspending(switchOver) };
  const instance = new WebAssembly.Instance(module, { wasi_snapshot_preview1: functions });
  wasi.finalizeBindings(instance);
  await WebAssembly.promising(instance.exports._start as () => void)();
  running--;
  wakeOther?.();
  closeSync(stdout);
  return Number(readFileSync(path, "utf8"));
}

const figures = await Promise.all([run(`${directory}/first`), run(`${directory}/second`)]);
process.stdout.write(`${(figures[0] + figures[1]) / 4}\n`);
