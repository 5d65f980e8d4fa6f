/** Checkpoint files on the host, as the system sees and makes them. */
import { closeSync, openSync, renameSync, rmSync, statSync, writeSync } from "node:fs";
import { basename, resolve } from "node:path";
import type { Archipelago } from "../system/archipelago.ts";

/** Where checkpoints of the host are in the system, and what their names end with. */
const directory = "/bin";
const suffix = ".checkpoint";

/** Name under which the system shows a checkpoint of the host: one that no program has. */
function nameOf(file: string): string {
  const name = basename(file);
  return name.endsWith(suffix) ? name : `${name}${suffix}`;
}

/**
 * What `boot` must be told so that a checkpoint on the host can be restored without being copied: a program file that
 * it shows. @throws Error when there is no such file.
 */
export function programsWithCheckpoint(file: string): Record<string, string> {
  if (statSync(file, { throwIfNoEntry: false })?.isFile() !== true) {
    throw new Error(`${file}: there is no such file at ${resolve(file)}`);
  }
  return { [nameOf(file)]: file };
}

/** Path in the system of a checkpoint that it was booted with. */
export function checkpointPath(file: string): string {
  return `${directory}/${nameOf(file)}`;
}

/** Takes a checkpoint that was written in the system out to the host; the file there is never half written. */
export function moveToHost(system: Archipelago, path: string, file: string): void {
  const unfinished = `${file}.unfinished-${process.pid}`;
  const content = system.files.read(path);
  try {
    const descriptor = openSync(unfinished, "w");
    try {
      for (let done = 0; done < content.length; ) done += writeSync(descriptor, content, done);
    } finally {
      closeSync(descriptor);
    }
    renameSync(unfinished, file);
  } catch (error) {
    rmSync(unfinished, { force: true });
    throw error;
  } finally {
    system.files.remove(path);
  }
}
