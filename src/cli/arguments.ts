/** The command line: options shared by `start` and `run`, turned into boot options. */
import { parseArgs } from "node:util";
import type { BootOptions, HostMount } from "../system/options.ts";
import { machineOptions } from "./machine-options.ts";
import { UsageError } from "./usage-error.ts";

export const usage = `Archipelago: a multiple-kernel operating system that runs WASI programs.

  npm start                                    boot, and give a prompt
  npm start -- run [OPTIONS] PROGRAM [ARGS…]   run one program and exit with its exit code
  npm start -- run --from FILE [ARGS…]         go on from a snapshot or a checkpoint
  npm start -- snapshot --out FILE [OPTIONS] PROGRAM [ARGS…]
                                               run a program until it is ready, and keep it in a file

Options
  --kernel N               run on kernel N (default: the least loaded)
  --cores N                cores to use (default: one per processor, at least 2)
  --preset NAME            multikernel (one kernel per core), clustered, smp; on a simulated machine: k2
  --machine NAME           simulate a machine: omap4, omap4-dual, omap4-1200, haswell-4, i7-920, opteron-48
  --seed N                 simulated machines: what chance decides follows from it; the same N, the same run
  --place SERVICE=WHERE    where a service keeps its state, e.g. pages=shadowed; may be repeated
  --coherence NAME         how islands without coherence are kept in step: two-state (K2's), three-state
  --mount /PATH=DIR[:ro]   show a host directory to programs; may be repeated
  --root IMAGE             use an ext2 image as the root file system and write changes back
  --memory MIB             most memory one program may use
  --balance                push running programs to kernels with less to do
  --no-hot-frames          do not enter long-running programs anew in optimised code
  --env NAME=VALUE         set a variable for the program; may be repeated
  --from FILE              with run: start from this file, with these arguments and variables if the program asks
  --checkpoint FILE        with run: write the running program to this file at every SIGUSR2
  --out FILE               with snapshot: the file to write
  --at POINT               with snapshot: when the program is ready: "input" (it would wait for standard input, the
                           default), "call:NAME[:N]" (before its Nth WASI call of that name), "open:PATH" (before it
                           opens a path that ends so), "output:TEXT" (after it has written that)
  --embed                  with snapshot and --checkpoint: put the program itself into the file, too
  --help

PROGRAM is a name (sqlite3, python3, …; type "help" at the prompt for the list), a path inside the system,
or a .wasm file on the host.`;

export { UsageError };

export interface CommandLine {
  readonly command: "start" | "run" | "snapshot" | "help";
  readonly boot: BootOptions;
  readonly kernel: number | undefined;
  readonly environment: Record<string, string>;
  readonly program: string | undefined;
  /** File on the host that a program is started from, that a snapshot is written to, and checkpoints are. */
  readonly from: string | undefined;
  readonly out: string | undefined;
  readonly checkpoint: string | undefined;
  /** When a snapshot is taken. */
  readonly at: string | undefined;
  /** Checkpoints hold the program, too. */
  readonly embed: boolean;
  readonly arguments: readonly string[];
}

const options = {
  kernel: { type: "string" },
  cores: { type: "string" },
  preset: { type: "string" },
  machine: { type: "string" },
  seed: { type: "string" },
  place: { type: "string", multiple: true },
  coherence: { type: "string" },
  mount: { type: "string", multiple: true },
  root: { type: "string" },
  memory: { type: "string" },
  env: { type: "string", multiple: true },
  balance: { type: "boolean" },
  "no-hot-frames": { type: "boolean" },
  from: { type: "string" },
  out: { type: "string" },
  checkpoint: { type: "string" },
  at: { type: "string" },
  embed: { type: "boolean" },
  help: { type: "boolean", short: "h" },
} as const;

/** @throws UsageError */
export function parseCommandLine(words: readonly string[]): CommandLine {
  const [command = "start", ...rest] = words;
  if (command === "help" || command === "--help" || command === "-h") return empty("help");
  const runs = command === "run" || command === "snapshot";
  const named = command === "start" || runs;
  if (!named && !command.startsWith("-")) {
    throw new UsageError(`there is no command "${command}"; to run a program: npm start -- run ${command}`);
  }
  const parameters = named ? rest : words;
  // Everything after the program's name belongs to the program, options included.
  const own = runs ? ownParameters(parameters) : parameters.length;
  let values: ReturnType<typeof parse>["values"];
  try {
    values = parse(parameters.slice(0, own)).values;
  } catch (error) {
    throw new UsageError(error instanceof Error ? error.message : String(error));
  }
  if (values.help === true) return empty("help");
  const chosen = programOf(command, values.from, parameters.slice(own));
  checkFiles(command, values);
  return {
    command: command === "run" || command === "snapshot" ? command : "start",
    boot: {
      ...machineOptions({
        preset: values.preset,
        machine: values.machine,
        cores: wholeNumber("--cores", values.cores),
        seed: values.seed,
        place: values.place ?? [],
        coherence: values.coherence,
      }),
      root: values.root,
      balance: values.balance,
      hotFrames: values["no-hot-frames"] === true ? false : undefined,
      mounts: Object.fromEntries((values.mount ?? []).map(parseMount)),
      processMemory_bytes: scaled(wholeNumber("--memory", values.memory), 1024 * 1024),
    },
    kernel: wholeNumber("--kernel", values.kernel),
    environment: Object.fromEntries((values.env ?? []).map(parseVariable)),
    ...chosen,
    from: values.from,
    out: values.out,
    checkpoint: values.checkpoint,
    at: values.at,
    embed: values.embed === true,
  };
}

/** A program that goes on from a file has its name in there. */
function programOf(
  command: string,
  from: string | undefined,
  words: readonly string[],
): Pick<CommandLine, "program" | "arguments"> {
  if (from !== undefined) return { program: undefined, arguments: words };
  const [program, ...rest] = words;
  if (program === undefined && (command === "run" || command === "snapshot")) {
    throw new UsageError(`${command}: which program?`);
  }
  return { program, arguments: rest };
}

/** Which command each option about files belongs to. */
function checkFiles(command: string, values: ReturnType<typeof parse>["values"]): void {
  const belongs = { from: "run", checkpoint: "run", out: "snapshot", at: "snapshot" } as const;
  for (const [name, owner] of Object.entries(belongs)) {
    if (values[name as keyof typeof belongs] !== undefined && command !== owner) {
      throw new UsageError(`--${name} belongs to the command "${owner}"`);
    }
  }
  if (command === "snapshot" && values.out === undefined) {
    throw new UsageError("snapshot: give the file to write, with --out FILE");
  }
}

function parse(args: readonly string[]) {
  return parseArgs({ args: [...args], options, strict: true, allowPositionals: false });
}

/** How many words come before the program's name. */
function ownParameters(words: readonly string[]): number {
  let at = 0;
  while (at < words.length && words[at].startsWith("-")) {
    if (words[at] === "--") return at + 1;
    const name = words[at].slice(2);
    const takesValue = name in options && options[name as keyof typeof options].type === "string";
    at += takesValue ? 2 : 1;
  }
  return at;
}

function empty(command: "help"): CommandLine {
  return {
    command,
    boot: {},
    kernel: undefined,
    environment: {},
    program: undefined,
    arguments: [],
    from: undefined,
    out: undefined,
    checkpoint: undefined,
    at: undefined,
    embed: false,
  };
}

function wholeNumber(option: string, value: string | undefined): number | undefined {
  if (value === undefined) return undefined;
  if (!/^\d+$/.test(value)) throw new UsageError(`${option}: "${value}" is not a whole number`);
  return Number(value);
}

function scaled(value: number | undefined, factor: number): number | undefined {
  return value === undefined ? undefined : value * factor;
}

function parseMount(text: string): [string, HostMount] {
  const match = /^(\/[^=]*)=(.+?)(:ro)?$/.exec(text);
  if (match === null)
    throw new UsageError(`--mount ${text}: write it as /path=directory or /path=directory:ro`);
  return [match[1], { directory: match[2], readOnly: match[3] !== undefined }];
}

function parseVariable(text: string): [string, string] {
  const at = text.indexOf("=");
  if (at < 1) throw new UsageError(`--env ${text}: write it as NAME=VALUE`);
  return [text.slice(0, at), text.slice(at + 1)];
}
