/** The command line: options shared by `start` and `run`, turned into boot options. */
import { parseArgs } from "node:util";
import type { BootOptions, HostMount } from "../system/options.ts";

export const usage = `Archipelago: a multiple-kernel operating system that runs WASI programs.

  npm start                                    boot, and give a prompt
  npm start -- run [OPTIONS] PROGRAM [ARGS…]   run one program and exit with its exit code

Options
  --kernel N               run on kernel N (default: the least loaded)
  --cores N                cores to use (default: one per processor, at least 2)
  --preset NAME            multikernel (one kernel per core), clustered, smp
  --mount /PATH=DIR[:ro]   show a host directory to programs; may be repeated
  --root IMAGE             use an ext2 image as the root file system and write changes back
  --memory MIB             most memory one program may use
  --env NAME=VALUE         set a variable for the program; may be repeated
  --help

PROGRAM is a name (sqlite3, python3, …; type "help" at the prompt for the list), a path inside the system,
or a .wasm file on the host.`;

/** A mistake on the command line; its message is all the user needs. */
export class UsageError extends Error {}

export interface CommandLine {
  readonly command: "start" | "run" | "help";
  readonly boot: BootOptions;
  readonly kernel: number | undefined;
  readonly environment: Record<string, string>;
  readonly program: string | undefined;
  readonly arguments: readonly string[];
}

const options = {
  kernel: { type: "string" },
  cores: { type: "string" },
  preset: { type: "string" },
  mount: { type: "string", multiple: true },
  root: { type: "string" },
  memory: { type: "string" },
  env: { type: "string", multiple: true },
  help: { type: "boolean", short: "h" },
} as const;

/** @throws UsageError */
export function parseCommandLine(words: readonly string[]): CommandLine {
  const [command = "start", ...rest] = words;
  if (command === "help" || command === "--help" || command === "-h") return empty("help");
  const named = command === "start" || command === "run";
  if (!named && !command.startsWith("-")) {
    throw new UsageError(`there is no command "${command}"; to run a program: npm start -- run ${command}`);
  }
  const parameters = named ? rest : words;
  // Everything after the program's name belongs to the program, options included.
  const own = command === "run" ? ownParameters(parameters) : parameters.length;
  let values: ReturnType<typeof parse>["values"];
  try {
    values = parse(parameters.slice(0, own)).values;
  } catch (error) {
    throw new UsageError(error instanceof Error ? error.message : String(error));
  }
  if (values.help === true) return empty("help");
  const [program, ...programArguments] = parameters.slice(own);
  if (command === "run" && program === undefined) throw new UsageError("run: which program?");
  return {
    command: command === "run" ? "run" : "start",
    boot: {
      preset: values.preset,
      cores: wholeNumber("--cores", values.cores),
      root: values.root,
      mounts: Object.fromEntries((values.mount ?? []).map(parseMount)),
      processMemory_bytes: scaled(wholeNumber("--memory", values.memory), 1024 * 1024),
    },
    kernel: wholeNumber("--kernel", values.kernel),
    environment: Object.fromEntries((values.env ?? []).map(parseVariable)),
    program,
    arguments: programArguments,
  };
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
  return { command, boot: {}, kernel: undefined, environment: {}, program: undefined, arguments: [] };
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
