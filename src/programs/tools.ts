/** Everyday tools that need only WASI and a few host functions. */
import { command, type ProgramCommand, type ProgramEntry } from "./entry.ts";
import { packageFile, packageFileSize_bytes } from "./package-file.ts";

const scope = "@rivet-dev/agent-os-";

interface Family {
  /** Package name behind the scope. */
  readonly package: string;
  readonly upstream: string;
  readonly license: string;
  readonly tools: Readonly<Record<string, string>>;
}

/** Written by the packages' authors in Rust, with fewer options than the GNU tools of the same name. */
const own = { upstream: "agentOS", license: "Apache-2.0" } as const;
const uutils = { upstream: "uutils coreutils 0.7.0", license: "MIT" } as const;

const families: readonly Family[] = [
  {
    package: "coreutils",
    ...uutils,
    tools: {
      b2sum: "BLAKE2 checksums",
      base32: "encode and decode base 32",
      base64: "encode and decode base 64",
      basename: "last part of a path",
      basenc: "encode and decode several bases",
      cat: "join files",
      chmod: "make files writable or read-only",
      cksum: "checksums",
      comm: "compare sorted files line by line",
      cp: "copy files",
      cut: "columns of lines",
      date: "date and time",
      dir: "list a directory",
      dircolors: "colours of ls",
      dirname: "a path without its last part",
      echo: "write its arguments",
      expand: "tabs to spaces",
      factor: "prime factors",
      false: "fail",
      fmt: "fill paragraphs",
      fold: "wrap lines",
      head: "first lines",
      join: "join lines of sorted files",
      link: "another name for a file",
      ln: "links",
      ls: "list a directory",
      md5sum: "MD5 checksums",
      mkdir: "make directories",
      mktemp: "make a temporary file",
      more: "show files",
      mv: "move files",
      nl: "number lines",
      numfmt: "convert numbers",
      od: "dump bytes",
      paste: "join lines side by side",
      pathchk: "check names",
      printenv: "show the environment",
      printf: "formatted output",
      ptx: "permuted index",
      pwd: "working directory",
      readlink: "target of a symbolic link",
      realpath: "absolute path",
      rm: "remove files",
      rmdir: "remove empty directories",
      seq: "sequences of numbers",
      sha1sum: "SHA-1 checksums",
      sha224sum: "SHA-224 checksums",
      sha256sum: "SHA-256 checksums",
      sha384sum: "SHA-384 checksums",
      sha512sum: "SHA-512 checksums",
      shred: "overwrite files",
      shuf: "shuffle lines",
      split: "split files",
      stat: "attributes of files",
      sum: "checksums",
      tac: "lines in reverse order",
      tail: "last lines",
      tee: "copy input to files",
      touch: "make empty files",
      tr: "translate characters",
      true: "succeed",
      truncate: "set the size of files",
      tsort: "topological sort",
      unexpand: "spaces to tabs",
      uniq: "leave out repeated lines",
      unlink: "remove one name",
      vdir: "list a directory in detail",
      wc: "count lines, words and bytes",
      yes: "repeat a line",
    },
  },
  {
    package: "coreutils",
    ...own,
    tools: {
      "[": "evaluate a condition",
      column: "align columns",
      du: "space used",
      expr: "evaluate an expression",
      rev: "reverse lines",
      sleep: "wait",
      strings: "text in binary files",
      test: "evaluate a condition",
      whoami: "user name",
    },
  },
  { package: "sed", upstream: "uutils sed 0.1.1", license: "MIT", tools: { sed: "edit streams" } },
  {
    package: "gawk",
    upstream: "awk-rs 0.1.0",
    license: "MIT OR Apache-2.0",
    tools: { awk: "process text by patterns" },
  },
  { package: "jq", upstream: "jaq 2", license: "MIT", tools: { jq: "process JSON from standard input" } },
  {
    package: "grep",
    ...own,
    tools: {
      egrep: "search text (extended patterns)",
      fgrep: "search text (fixed strings)",
      grep: "search text",
    },
  },
  { package: "findutils", ...own, tools: { find: "find files" } },
  { package: "fd", ...own, tools: { fd: "find files by pattern" } },
  { package: "ripgrep", ...own, tools: { rg: "search text in directories" } },
  { package: "diffutils", ...own, tools: { diff: "compare files" } },
  { package: "tar", ...own, tools: { tar: "archives" } },
  {
    package: "gzip",
    ...own,
    tools: { gunzip: "decompress files", gzip: "compress files", zcat: "decompress to standard output" },
  },
  { package: "tree", ...own, tools: { tree: "show a directory as a tree" } },
];

function entry(family: Family, name: string, summary: string): ProgramEntry {
  const packageName = scope + family.package;
  const file = `wasm/${name}`;
  return {
    name,
    summary,
    package: packageName,
    upstream: family.upstream,
    license: family.license,
    large: false,
    wasmPath: () => packageFile(packageName, file),
    size_bytes: () => packageFileSize_bytes(packageName, file),
    supportMarker: undefined,
    support: () => [],
    commands: (words): ProgramCommand[] => [command(name, words)],
  };
}

export function tools(): ProgramEntry[] {
  return families.flatMap((family) =>
    Object.entries(family.tools).map(([name, summary]) => entry(family, name, summary)),
  );
}
