/** Files that the code which booted the system makes, reads and removes, beside a model of them. */
import { SystemError } from "../../system/errors.ts";
import type { FileAccess } from "../../system/file-access.ts";
import { patternOf } from "../programs/predictions.ts";
import { type FileAction, paths, workDirectory } from "./actions.ts";
import type { Complain } from "./expectations.ts";

type Node = { readonly kind: "file"; readonly content: Uint8Array } | { readonly kind: "directory" };

export class ConsoleFiles {
  readonly #files: FileAccess;
  readonly #nodes = new Map<number, Node>();

  constructor(files: FileAccess) {
    this.#files = files;
    files.makeDirectory(`/${workDirectory}/console`, { recursive: true });
  }

  /** Does an action to the system and to the model; complains when they do not agree. */
  run(action: FileAction, complain: Complain): void {
    const expected = this.#expect(action);
    const actual = this.#act(action);
    if (actual !== expected)
      complain("content", `${action.operation} of ${paths.console(action.name)}: ${actual}, not ${expected}`);
    if (actual === expected && expected === "done") this.#apply(action);
  }

  /** Compares everything. */
  check(complain: Complain): void {
    const listed = this.#files.list(`/${workDirectory}/console`).map(({ name, type }) => `${name} ${type}`);
    const expected = [...this.#nodes].map(([name, { kind }]) => `n${name} ${kind}`).sort();
    if (listed.join() !== expected.join())
      complain("content", `the console's directory holds ${listed.join(", ")}, not ${expected.join(", ")}`);
    for (const name of [...this.#nodes.keys()].sort())
      this.run({ kind: "file", operation: "read", name }, complain);
  }

  /** What the action's result must be: "done", or an errno's name. */
  #expect(action: FileAction): string {
    const node = this.#nodes.get(action.name);
    switch (action.operation) {
      case "write":
        return node?.kind === "directory" ? "EISDIR" : "done";
      case "read":
        return node === undefined ? "ENOENT" : node.kind === "directory" ? "EISDIR" : "done";
      case "remove":
        return node === undefined ? "ENOENT" : "done";
      case "makeDirectory":
        return node === undefined ? "done" : "EEXIST";
      case "rename": {
        const target = this.#nodes.get(action.to);
        if (node === undefined) return "ENOENT";
        if (target === undefined || target.kind === node.kind) return "done";
        return target.kind === "directory" ? "EISDIR" : "ENOTDIR";
      }
    }
  }

  #act(action: FileAction): string {
    const path = `/${paths.console(action.name)}`;
    try {
      switch (action.operation) {
        case "write":
          this.#files.write(path, patternOf(action.seed, action.length));
          break;
        case "read":
          return this.#sameContent(action.name, this.#files.read(path)) ? "done" : "wrong content";
        case "remove":
          this.#files.remove(path);
          break;
        case "makeDirectory":
          this.#files.makeDirectory(path);
          break;
        case "rename":
          this.#files.rename(path, `/${paths.console(action.to)}`);
          break;
      }
      return "done";
    } catch (error) {
      if (error instanceof SystemError) return error.code;
      throw error;
    }
  }

  #apply(action: FileAction): void {
    const node = this.#nodes.get(action.name);
    switch (action.operation) {
      case "write":
        this.#nodes.set(action.name, { kind: "file", content: patternOf(action.seed, action.length) });
        break;
      case "read":
        break;
      case "remove":
        this.#nodes.delete(action.name);
        break;
      case "makeDirectory":
        this.#nodes.set(action.name, { kind: "directory" });
        break;
      case "rename":
        if (node === undefined || action.to === action.name) break;
        this.#nodes.delete(action.name);
        this.#nodes.set(action.to, node);
        break;
    }
  }

  #sameContent(name: number, found: Uint8Array): boolean {
    const node = this.#nodes.get(name);
    if (node?.kind !== "file" || node.content.length !== found.length) return false;
    return found.every((byte, index) => byte === node.content[index]);
  }
}
