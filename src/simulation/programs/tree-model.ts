/** What the program `tree` does to its directory, done to a model of it. */
import { hash, patternOf, step } from "./predictions.ts";

/** `ENOENT` and `EEXIST` as WASI numbers them. */
const [noEntry, exists] = [44, 20];

export interface TreeResult {
  /** Content of the files by name, and the names of directories. */
  readonly files: ReadonlyMap<string, Uint8Array>;
  readonly directories: ReadonlySet<string>;
  /** What the program prints. */
  readonly hash: number;
}

/** Runs the operations of a seed in an empty directory. */
export function runTree(seed: number, count: number): TreeResult {
  const files = new Map<string, Uint8Array>();
  const directories = new Set<string>();
  let state = seed >>> 0;
  let value = hash(new Uint8Array(0));
  const next = (limit: number): number => {
    state = step(state);
    return (state >>> 16) % limit;
  };
  for (let i = 0; i < count; i++) {
    const operation = next(8);
    const number = next(6);
    const length = next(5000);
    const name = `f${number}`;
    const content = files.get(name);
    let errno = 0;
    switch (operation) {
      case 0:
      case 1:
        files.set(name, patternOf(state, length));
        break;
      case 2:
        files.set(name, joined(content ?? new Uint8Array(0), patternOf(state, length)));
        break;
      case 3:
        errno = files.delete(name) ? 0 : noEntry;
        break;
      case 4:
        if (content === undefined) errno = noEntry;
        else {
          files.delete(name);
          files.set(`f${length % 6}`, content);
        }
        break;
      case 5:
        if (content === undefined) errno = noEntry;
        else
          files.set(
            name,
            joined(content.subarray(0, length), new Uint8Array(Math.max(0, length - content.length))),
          );
        break;
      case 6:
        if (content === undefined) errno = noEntry;
        else value = hash(content, value);
        break;
      case 7:
        errno = directories.delete(`d${number}`) ? exists : 0;
        if (errno === 0) directories.add(`d${number}`);
        break;
    }
    value = hash(new Uint8Array(Uint32Array.of(errno).buffer), value);
  }
  return { files, directories, hash: value };
}

function joined(a: Uint8Array, b: Uint8Array): Uint8Array {
  const whole = new Uint8Array(a.length + b.length);
  whole.set(a);
  whole.set(b, a.length);
  return whole;
}
