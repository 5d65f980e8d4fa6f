/**
 * The words of a C compiler's command line, sorted into what the compiler proper and the linker get.
 *
 * The npm build of clang has no way to start other programs, so it cannot be its own driver; this does what
 * the driver would do.
 */
import { UsageError } from "./entry.ts";

export type Goal = "link" | "object" | "assembly" | "preprocess" | "check";

export interface CompilerWords {
  readonly goal: Goal;
  readonly output: string | undefined;
  /** Source files with the language each is compiled as, in order. */
  readonly sources: readonly { readonly file: string; readonly language: string }[];
  /** Objects, archives, `-l` and `-L` words and linker options, in order. */
  readonly linkWords: readonly string[];
  /** Options for the compiler proper. */
  readonly compilerWords: readonly string[];
  /** Some input is C++, or the compiler was called as one for C++. */
  readonly plusPlus: boolean;
}

const languageOfSuffix: Readonly<Record<string, string>> = {
  c: "c",
  i: "cpp-output",
  C: "c++",
  cc: "c++",
  cp: "c++",
  cpp: "c++",
  cxx: "c++",
  "c++": "c++",
  ii: "c++-cpp-output",
  ll: "ir",
  bc: "ir",
  s: "assembler",
  S: "assembler-with-cpp",
};

/** Options whose value may be the next word. */
const withValue = new Set([
  "-o",
  "-x",
  "-I",
  "-D",
  "-U",
  "-L",
  "-l",
  "-include",
  "-isystem",
  "-z",
  "-Xlinker",
]);

const goals: Readonly<Record<string, Goal>> = {
  "-c": "object",
  "-S": "assembly",
  "-E": "preprocess",
  "-fsyntax-only": "check",
};

/** Driver options that mean nothing here, or what happens anyway. */
const ignored = new Set(["-pipe", "-static", "-v", "-pthread", "-lpthread", "-lm"]);

/** @throws UsageError when a value is missing or a file's language is unknown. */
export function sortCompilerWords(words: readonly string[], calledForPlusPlus: boolean): CompilerWords {
  let goal: Goal = "link";
  let output: string | undefined;
  let language: string | undefined;
  let plusPlus = calledForPlusPlus;
  const sources: { file: string; language: string }[] = [];
  const linkWords: string[] = [];
  const compilerWords: string[] = [];
  for (let index = 0; index < words.length; index++) {
    let word = words[index];
    let value: string | undefined;
    const option = [...withValue].find((known) => word.startsWith(known) && takesValue(known, word));
    if (option !== undefined) {
      value = word.length > option.length ? word.slice(option.length) : words[++index];
      if (value === undefined) throw new UsageError(`clang: ${option} needs a value`);
      word = option;
    }
    if (goals[word] !== undefined) goal = goals[word];
    else if (ignored.has(value === undefined ? word : word + value)) continue;
    else if (word === "-o") output = value;
    else if (word === "-x") language = value === "none" ? undefined : value;
    else if (word === "-L" || word === "-l") linkWords.push(`${word}${value}`);
    else if (word === "-z") linkWords.push("-z", value ?? "");
    else if (word === "-Xlinker") linkWords.push(value ?? "");
    else if (word.startsWith("-Wl,")) linkWords.push(...word.slice(4).split(","));
    else if (word === "-g") compilerWords.push("-debug-info-kind=limited", "-dwarf-version=4");
    else if (word === "-O") compilerWords.push("-O1");
    else if (value !== undefined) compilerWords.push(word, value);
    else if (word.startsWith("-") && word !== "-") compilerWords.push(word);
    else {
      const known = language ?? languageOfFile(word, calledForPlusPlus);
      if (known === undefined) linkWords.push(word);
      else sources.push({ file: word, language: known });
      if (known?.startsWith("c++") === true) plusPlus = true;
    }
  }
  return { goal, output, sources, linkWords, compilerWords, plusPlus };
}

/** `-include` and `-isystem` always stand alone; the others may have their value attached. */
function takesValue(option: string, word: string): boolean {
  if (word === option) return true;
  if (option === "-z" || option === "-Xlinker" || option === "-include") return false;
  return !(option === "-I" && word.startsWith("-Include"));
}

/** Undefined for objects and archives, which go to the linker. */
function languageOfFile(file: string, calledForPlusPlus: boolean): string | undefined {
  if (file === "-") throw new UsageError("clang: -x is needed to read from standard input");
  const suffix = /\.([^./]+)$/.exec(file)?.[1];
  if (suffix === undefined || suffix === "o" || suffix === "a" || suffix === "wasm" || suffix === "so")
    return undefined;
  const language = languageOfSuffix[suffix];
  if (language === undefined) throw new UsageError(`clang: ${file}: unknown kind of file; say which with -x`);
  return language === "c" && calledForPlusPlus ? "c++" : language;
}
