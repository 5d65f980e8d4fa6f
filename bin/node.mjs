/*
 * Finds the Node.js 26 that npm installed beside us, and runs it as if it were this process: the same
 * standard streams, signals passed on, the same end.
 */
import { spawn } from "node:child_process";
import { closeSync, existsSync, openSync, realpathSync } from "node:fs";
import { createRequire } from "node:module";
import { constants } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

/** The package's folder, symbolic links resolved. */
export const root = realpathSync(join(dirname(fileURLToPath(import.meta.url)), ".."));

/** A checkout (or a link to one), where TypeScript is run directly; else the package as npm packed it. */
export const isSource = existsSync(join(root, "package-lock.json"));

/** An error whose message is all that the user needs. */
export class ExpectedError extends Error {
  expected = true;
}

const neededMajor = 26;

/** Package of the Node.js binary for this platform; macOS on ARM has its own prefix in the registry. */
function binaryPackage() {
  const platform = process.platform === "win32" ? "win" : process.platform;
  const prefix = platform === "darwin" && process.arch === "arm64" ? "node-bin" : "node";
  return `${prefix}-${platform}-${process.arch}`;
}

/** Absolute path of the Node.js to use, or undefined when there is none. */
export function findNodeBinary() {
  try {
    const manifest = createRequire(join(root, "package.json")).resolve(`${binaryPackage()}/package.json`);
    const binary = join(dirname(manifest), "bin", process.platform === "win32" ? "node.exe" : "node");
    if (existsSync(binary)) return realpathSync(binary);
  } catch {
    // Not installed: the user's own Node.js may do.
  }
  return Number(process.versions.node.split(".")[0]) >= neededMajor ? process.execPath : undefined;
}

/** As `findNodeBinary`, but an absent one is an error that says what to do. */
export function nodeBinary() {
  const binary = findNodeBinary();
  if (binary !== undefined) return binary;
  throw new ExpectedError(
    `Node.js ${neededMajor} is needed, this is ${process.version}, and the npm package "${binaryPackage()}" ` +
      "that would bring it is not installed. If npm has it for this platform, run `npm install` without " +
      `--omit=optional; otherwise install Node.js ${neededMajor} from https://nodejs.org/ and try again.`,
  );
}

/** True when a terminal controls us: it sends Ctrl-C to our child by itself. */
function hasTerminal() {
  try {
    closeSync(openSync("/dev/tty", "r"));
    return true;
  } catch {
    return false;
  }
}

/**
 * Runs a Node.js with our standard streams (or other `stdio`) and gives its exit code. If a signal ends it,
 * the same signal ends this process.
 */
export function runNode(binary, parameters, options = {}) {
  return new Promise((resolve, reject) => {
    const child = spawn(binary, parameters, { stdio: "inherit", ...options });
    const sentByTerminal = hasTerminal() ? ["SIGINT", "SIGQUIT"] : [];
    const forward = (signal) => {
      if (!sentByTerminal.includes(signal)) child.kill(signal);
    };
    const signals = ["SIGINT", "SIGTERM", "SIGHUP", "SIGQUIT", "SIGUSR2"];
    for (const signal of signals) process.on(signal, forward);
    child.on("error", reject);
    child.on("exit", (code, signal) => {
      for (const name of signals) process.off(name, forward);
      if (signal === null) resolve(code ?? 1);
      else {
        process.kill(process.pid, signal);
        // A signal that is ignored or only dumps: the shell's convention says what happened.
        setTimeout(() => resolve(128 + (constants.signals[signal] ?? 0)), 100);
      }
    });
  });
}
