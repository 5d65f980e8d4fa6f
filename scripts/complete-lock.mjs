/*
 * Writes `package-lock.json` anew from `package.json`, complete for all platforms: `npm run lock`.
 *
 * npm leaves out optional packages that it cannot see (a registry mirror may hold only its own platform's),
 * and `npm ci` then refuses the lock file everywhere. The missing ones are added by name and version; npm
 * fetches them, without a recorded checksum, only on the platform that they are for.
 */
import { execFileSync } from "node:child_process";
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("..", import.meta.url));
const systems = ["android", "darwin", "freebsd", "linux", "openbsd", "win32"];
const processors = ["arm64", "x64", "ia32", "arm", "ppc64", "riscv64", "s390x"];

/** What the package's name says about where it runs. */
function platformOf(name) {
  const words = name.split("/").at(-1).split("-");
  const os = systems.filter((system) => words.includes(system));
  const cpu = processors.filter((processor) => words.includes(processor));
  if (os.length === 0 || cpu.length === 0) throw new Error(`${name}: its name tells no platform`);
  return { os, cpu };
}

const folder = mkdtempSync(join(tmpdir(), "archipelago-lock-"));
cpSync(join(root, "package.json"), join(folder, "package.json"));
execFileSync(
  "npm",
  ["install", "--package-lock-only", "--omit-lockfile-registry-resolved", "--loglevel=error"],
  {
    cwd: folder,
    stdio: ["ignore", 2, 2],
  },
);
const lock = JSON.parse(readFileSync(join(folder, "package-lock.json"), "utf8"));
rmSync(folder, { recursive: true });

for (const entry of Object.values(lock.packages)) {
  for (const [name, version] of Object.entries(entry.optionalDependencies ?? {})) {
    const path = `node_modules/${name}`;
    if (lock.packages[path] !== undefined) continue;
    lock.packages[path] = {
      version,
      ...platformOf(name),
      ...(entry.dev ? { dev: true } : {}),
      optional: true,
    };
    console.log(`added ${name} ${version}`);
  }
}
const sorted = Object.entries(lock.packages).sort(([a], [b]) => (a < b ? -1 : 1));
lock.packages = Object.fromEntries(sorted);
writeFileSync(join(root, "package-lock.json"), `${JSON.stringify(lock, null, 2)}\n`);
