/*
 * Brings `node_modules` of a checkout in line with `package-lock.json`. When it already is, this costs one
 * hash of the lock file.
 */
import { spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { ExpectedError, root } from "./node.mjs";

const modules = join(root, "node_modules");
const stampFile = join(modules, ".archipelago-lock-hash");
const busyFile = join(root, ".cache", "installing.pid");

const say = (text) => process.stderr.write(`archipelago: ${text}\n`);

function lockHash() {
  const lock = readFileSync(join(root, "package-lock.json"));
  return createHash("sha256").update(lock).update(`${process.platform} ${process.arch}`).digest("hex");
}

function writeStamp() {
  try {
    mkdirSync(modules, { recursive: true });
    writeFileSync(stampFile, lockHash());
  } catch {
    // A checkout that we may not write to: it is compared again the next time.
  }
}

/** True when somebody's own `npm ci` or `npm install` already left what the lock file asks for. */
function matchesLock() {
  const installedFile = join(modules, ".package-lock.json");
  if (!existsSync(installedFile)) return false;
  const installed = JSON.parse(readFileSync(installedFile, "utf8")).packages;
  const wanted = JSON.parse(readFileSync(join(root, "package-lock.json"), "utf8")).packages;
  for (const [path, entry] of Object.entries(wanted)) {
    if (path === "") continue;
    if (installed[path] === undefined ? !entry.optional : installed[path].version !== entry.version)
      return false;
  }
  return true;
}

function isFresh() {
  try {
    if (readFileSync(stampFile, "utf8") === lockHash()) return true;
  } catch {
    // No stamp: compare package by package.
  }
  if (!matchesLock()) return false;
  writeStamp();
  return true;
}

/** npm as our child: what it prints goes to standard error, and settings of an outer npm do not reach it. */
function npm(parameters) {
  const environment = { ...process.env };
  for (const name of Object.keys(environment)) {
    if (
      /^npm_(config_(loglevel|silent|global|omit|only|production|dry_run)|command|lifecycle_|package_)/i.test(
        name,
      )
    )
      delete environment[name];
  }
  const script = process.env.npm_execpath;
  const viaNode = script?.endsWith(".js") || script?.endsWith(".cjs");
  const [command, first] = viaNode ? [process.execPath, [script]] : ["npm", []];
  const windows = process.platform === "win32" && !viaNode;
  return new Promise((resolve, reject) => {
    const child = spawn(command, [...first, ...parameters], {
      cwd: root,
      env: environment,
      stdio: ["ignore", 2, 2],
      shell: windows,
    });
    child.on("error", (error) => reject(new ExpectedError(`npm cannot be started: ${error.message}`)));
    child.on("exit", (code, signal) => resolve(signal === null ? code : signal));
  });
}

/** Only one process may install at a time: two `npm ci` in one folder delete each other's work. */
async function whileAlone(action) {
  mkdirSync(join(root, ".cache"), { recursive: true });
  let announced = false;
  for (;;) {
    try {
      writeFileSync(busyFile, String(process.pid), { flag: "wx" });
      break;
    } catch (error) {
      if (error.code !== "EEXIST") throw error;
    }
    if (!announced) say("another process is installing; waiting for it");
    announced = true;
    await sleep(300);
    if (isAbandoned()) rmSync(busyFile, { force: true });
  }
  try {
    return await action();
  } finally {
    rmSync(busyFile, { force: true });
  }
}

/** The process that announced itself is gone (killed, or the machine was restarted). */
function isAbandoned() {
  let owner = "";
  try {
    owner = readFileSync(busyFile, "utf8");
    process.kill(Number(owner), 0);
    return false;
  } catch (error) {
    // An empty file is one that is just being written.
    return error.code === "ESRCH" && owner !== "";
  }
}

/** Runs `npm ci` if the installed packages are absent or not those of `package-lock.json`. */
export async function install() {
  if (isFresh()) return;
  await whileAlone(async () => {
    if (isFresh()) return;
    say("installing Node.js 26, programs and tools from npm (about 550 MB on disk, once) …");
    const started_ms = Date.now();
    const ticker = setInterval(() => {
      say(`still installing (${Math.round((Date.now() - started_ms) / 1000)} s)`);
    }, 10_000);
    let result;
    try {
      // Warnings about the engine of tools that will run on our own Node.js would only confuse.
      const quiet = ["--loglevel=error", "--no-audit", "--no-fund"];
      result = await npm(["ci", "--include=dev", "--include=optional", ...quiet]);
    } finally {
      clearInterval(ticker);
    }
    if (result !== 0)
      throw new ExpectedError(
        `\`npm ci\` failed (${result}). The first start needs the npm registry: check the network and ` +
          "npm's proxy settings, then run the same command again.",
      );
    writeStamp();
    say(`installed in ${Math.round((Date.now() - started_ms) / 1000)} s`);
  });
}
