/** Finds files of npm packages, wherever npm put them. */
import { existsSync, statSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { ProgramNotInstalledError } from "./entry.ts";

/**
 * Absolute path of a file inside an installed package.
 * @throws ProgramNotInstalledError if the package, or the file in it, is missing.
 */
export function packageFile(packageName: string, path: string): string {
  const file = join(packageFolder(packageName), path);
  if (existsSync(file)) return file;
  throw new ProgramNotInstalledError(`the npm package ${packageName} holds no ${path}: run "npm ci"`);
}

export function packageFileSize_bytes(packageName: string, path: string): number {
  return statSync(packageFile(packageName, path)).size;
}

function packageFolder(packageName: string): string {
  let folder: string;
  try {
    folder = dirname(fileURLToPath(import.meta.resolve(packageName)));
  } catch {
    throw new ProgramNotInstalledError(`the npm package ${packageName} is not installed: run "npm ci"`);
  }
  // The entry point lies somewhere inside; the package is the folder with the manifest.
  while (!existsSync(join(folder, "package.json")) && dirname(folder) !== folder) folder = dirname(folder);
  return folder;
}
