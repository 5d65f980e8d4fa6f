/** Where symbolic links may point that programs make in a directory of the host. */

/**
 * Whether a link in `directory` (a path below the root, free of links) to `target` could lead the host's own
 * programs out of the root. A ".." is accepted only in front, where it climbs through real directories: behind
 * another name, which may itself be a link, it could climb anywhere.
 */
export function leadsOut(directory: string, target: string): boolean {
  if (target.startsWith("/") || target.includes("\\") || /^[A-Za-z]:/.test(target)) return true;
  const depth = directory === "" ? 0 : directory.split("/").length;
  let climbed = 0;
  let descended = false;
  for (const name of target.split("/")) {
    if (name === "" || name === ".") continue;
    if (name !== "..") descended = true;
    else if (descended || ++climbed > depth) return true;
  }
  return false;
}
