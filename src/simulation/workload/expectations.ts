/**
 * What must hold when all jobs of a workload have ended, whatever the schedule was: exit codes and outputs, the contents
 * of files that one job wrote, sums over files that many wrote, and consistency of what they saw.
 */

import { SystemError } from "../../system/errors.ts";
import type { FileAccess } from "../../system/file-access.ts";
import type { Operation } from "../history.ts";
import { checkLinearizability } from "../linearizability.ts";
import { wrongAnswer } from "../programs/library.ts";
import {
  computed,
  hash,
  patternOf,
  printed,
  type RegisterEntry,
  readRecords,
  readRegisterLog,
  step,
} from "../programs/predictions.ts";
import { runTree } from "../programs/tree-model.ts";
import { type Access, checkSequentialConsistency } from "../sequential-consistency.ts";
import { type RegisterInput, register } from "../specifications.ts";
import { paths, type SpawnAction } from "./actions.ts";
import type { Job } from "./job.ts";
import type { ViolationKind } from "./violation.ts";

export type Complain = (kind: ViolationKind, text: string) => void;

export interface ExpectationOptions {
  /** Clocks of all cores agree with the order in which things happen: what was read and written must be linearisable. */
  readonly realTime: boolean;
}

const signalBase = 128;

/** A job's name for people. */
export function nameOf({ action }: Job): string {
  return `job ${action.job} (${action.kind === "spawn" ? action.program : "pipeline"})`;
}

/** Checks how one job ended, and what it wrote. */
export function checkOutcome(job: Job, jobs: readonly Job[], complain: Complain): void {
  const { action, end } = job;
  if (end === undefined) return;
  // Of a pipeline any part may end the others, by an end of file or by an error.
  if (action.kind === "pipeline" && !job.undisturbed) return;
  for (const { exitCode, signal, message } of end.statuses) {
    if (signal !== 0 && job.signals.has(signal) && exitCode === signalBase + signal) return;
    const mayGiveUp = exitCode === wrongAnswer.gaveUp && lockMayBeLost(job, jobs);
    if (exitCode === 0 || mayGiveUp) continue;
    complain("outcome", `${nameOf(job)} ended with ${exitCode}${message === "" ? "" : `: ${message}`}`);
    return;
  }
  // Its children may have been ended, and say so to their parent, where it was moved away and lives on.
  if (action.kind === "spawn" && action.program === "fork" && !job.undisturbed) return;
  const expected = outputOf(job);
  if (expected === undefined || end.statuses.some(({ exitCode }) => exitCode !== 0)) return;
  const output = new TextDecoder().decode(end.output);
  if (output !== expected)
    complain("outcome", `${nameOf(job)} wrote ${JSON.stringify(output)}, not ${JSON.stringify(expected)}`);
}

/** What a job writes to its standard output, where that is known. */
function outputOf({ action }: Job): string | undefined {
  if (action.kind === "pipeline") {
    const content = patternOf(action.seed, action.length);
    return printed(hash(content), content.length);
  }
  const [first, second, third] = action.numbers;
  switch (action.program) {
    case "compute":
      return printed(computed(first, second));
    case "wander":
      return printed(computed(first, second * third));
    case "write":
      return printed(hash(patternOf(first, second)));
    case "append":
    case "counter":
      return printed(first);
    case "sleep":
      return printed(1);
    case "fork":
      return printed((first * (first - 1)) / 2, (first * (first + 1)) / 2);
    case "tree":
      return printed(runTree(first, second).hash);
    case "hoard":
      return "";
    case "victim":
    case "register":
      return undefined;
  }
}

/** Somebody who may have held the job's lock was ended from outside. */
function lockMayBeLost(job: Job, jobs: readonly Job[]): boolean {
  const { action } = job;
  if (action.kind !== "spawn" || action.program !== "counter") return false;
  return sharers(jobs, "counter", action.shared).some((other) => !other.undisturbed);
}

/** Checks all files that jobs wrote. */
export function checkFiles(
  jobs: readonly Job[],
  files: FileAccess,
  options: ExpectationOptions,
  complain: Complain,
): void {
  for (const job of jobs) {
    if (job.action.kind !== "spawn") continue;
    if (job.action.program === "write") checkWritten(job, job.action, files, complain);
    if (job.action.program === "tree" && job.undisturbed) checkTree(job, job.action, files, complain);
  }
  for (const shared of sharedNumbers(jobs)) {
    checkLog(sharers(jobs, "append", shared), shared, files, complain);
    checkCounter(sharers(jobs, "counter", shared), shared, files, complain);
    checkRegister(sharers(jobs, "register", shared), shared, options, complain);
  }
}

/** A file with one writer: all of the pattern, or its beginning when the writer was disturbed. */
function checkWritten(
  job: Job,
  { job: number, numbers }: SpawnAction,
  files: FileAccess,
  complain: Complain,
): void {
  const expected = patternOf(numbers[0], numbers[1]);
  const content = readIfThere(files, `/${paths.own(number)}`);
  if (content === undefined) {
    if (job.undisturbed) complain("content", `${nameOf(job)}: its file is not there`);
    return;
  }
  if (content.length > expected.length || (job.undisturbed && content.length !== expected.length)) {
    complain("content", `${nameOf(job)}: its file has ${content.length} bytes, not ${expected.length}`);
    return;
  }
  const wrong = content.findIndex((byte, index) => byte !== expected[index]);
  if (wrong >= 0)
    complain("content", `${nameOf(job)}: byte ${wrong} of ${content.length} of its file is wrong`);
}

function checkTree(
  job: Job,
  { job: number, numbers }: SpawnAction,
  files: FileAccess,
  complain: Complain,
): void {
  const expected = runTree(numbers[0], numbers[1]);
  const root = `/${paths.own(number)}`;
  const found = files.list(root).map(({ name, type }) => `${name} ${type}`);
  const names = [
    ...[...expected.files.keys()].map((name) => `${name} file`),
    ...[...expected.directories].map((name) => `${name} directory`),
  ].sort();
  if (found.join() !== names.join()) {
    complain("content", `${nameOf(job)}: its directory holds ${found.join(", ")}, not ${names.join(", ")}`);
    return;
  }
  for (const [name, content] of expected.files) {
    if (!equal(files.read(`${root}/${name}`), content))
      complain("content", `${nameOf(job)}: ${name} is wrong`);
  }
}

/** A file that many appended to: whole records, each writer's in order; all of them from those that were left alone. */
function checkLog(jobs: readonly Job[], shared: number, files: FileAccess, complain: Complain): void {
  if (jobs.length === 0) return;
  const content = readIfThere(files, `/${paths.log(shared)}`) ?? new Uint8Array(0);
  const counts = readRecords(content);
  if (!(counts instanceof Map)) {
    complain("content", `log ${shared}: ${counts.text}`);
    return;
  }
  for (const job of jobs) {
    if (job.action.kind !== "spawn") continue;
    const wanted = job.action.numbers[0];
    const found = counts.get(job.action.job) ?? 0;
    if (found > wanted || (job.undisturbed && found !== wanted))
      complain("content", `log ${shared}: ${found} of the ${wanted} records of ${nameOf(job)}`);
  }
}

/** A number that many added to under a lock: nothing lost, nothing twice. */
function checkCounter(jobs: readonly Job[], shared: number, files: FileAccess, complain: Complain): void {
  if (jobs.length === 0) return;
  let least = 0;
  let most = 0;
  for (const { action, end, undisturbed } of jobs) {
    if (action.kind !== "spawn") continue;
    const complete = end?.statuses[0].exitCode === 0;
    if (complete) least += action.numbers[0];
    if (complete || !undisturbed || end?.statuses[0].exitCode === wrongAnswer.gaveUp)
      most += action.numbers[0];
  }
  const content = readIfThere(files, `/${paths.counter(shared)}`) ?? new Uint8Array(0);
  const value = content.length < 4 ? 0 : new DataView(content.buffer, content.byteOffset).getUint32(0, true);
  if (value < least || value > most) {
    const range = least === most ? `${least}` : `${least} to ${most}`;
    complain("content", `counter ${shared} is ${value}, must be ${range}`);
  }
  const undisturbed = jobs.every((job) => job.undisturbed);
  if (undisturbed && files.exists(`/${paths.lock(shared)}`))
    complain("content", `counter ${shared}: its lock was left behind`);
}

/** Words of a file that many read and wrote, with a log of it: is there an order that explains all? */
function checkRegister(
  jobs: readonly Job[],
  shared: number,
  options: ExpectationOptions,
  complain: Complain,
): void {
  const trace: Access[] = [];
  const operations: Operation<RegisterInput, number>[] = [];
  for (const job of jobs) {
    const { action, end } = job;
    if (action.kind !== "spawn" || end === undefined) continue;
    const entries = readRegisterLog(end.output);
    const processor = action.job;
    for (const { isWrite, location, value, before_ns, after_ns } of entries) {
      const object = `word ${location}`;
      const label = `${before_ns} to ${after_ns} ns`;
      trace.push({ processor, location: object, label, ...(isWrite ? { written: value } : { read: value }) });
      operations.push({
        process: processor,
        object,
        input: isWrite ? { kind: "write", value } : { kind: "read" },
        output: isWrite ? 0 : value,
        calledAt: before_ns,
        returnedAt: after_ns,
      });
    }
    // It may have been ended between its last call and the log of it.
    const next = entries.length < action.numbers[1] ? nextEntry(action, entries.length) : undefined;
    if (next === undefined || !next.isWrite) continue;
    const object = `word ${next.location}`;
    trace.push({ processor, location: object, written: next.value, label: "perhaps" });
    operations.push({
      process: processor,
      object,
      input: { kind: "write", value: next.value },
      output: undefined,
      calledAt: entries.at(-1)?.after_ns ?? 0,
      returnedAt: Number.POSITIVE_INFINITY,
    });
  }
  const ordered = checkSequentialConsistency(trace);
  if (ordered.result === "violation") complain("consistency", `register ${shared}: ${ordered.text}`);
  if (!options.realTime) return;
  const linear = checkLinearizability(operations, register());
  if (linear.result === "violation")
    complain("consistency", `register ${shared}: ${linear.explanation.text}`);
}

/** What the program `register` does in its round number `round`, from 0. */
function nextEntry(
  { numbers: [locations, , seed], job }: SpawnAction,
  round: number,
): Omit<RegisterEntry, "before_ns" | "after_ns"> {
  let state = seed >>> 0;
  for (let i = 0; i <= round; i++) state = step(state);
  return {
    isWrite: ((state >>> 20) & 1) !== 0,
    location: (state >>> 24) % locations,
    value: (Math.imul(job, 65536) + round + 1) >>> 0,
  };
}

function sharers(jobs: readonly Job[], program: SpawnAction["program"], shared: number): Job[] {
  return jobs.filter(
    ({ action }) => action.kind === "spawn" && action.program === program && action.shared === shared,
  );
}

function sharedNumbers(jobs: readonly Job[]): number[] {
  const numbers = jobs.flatMap(({ action }) => (action.kind === "spawn" ? [action.shared] : []));
  return [...new Set(numbers)].sort((a, b) => a - b);
}

/** A file's content; undefined when it is not there. */
export function readIfThere(files: FileAccess, path: string): Uint8Array | undefined {
  try {
    return files.read(path);
  } catch (error) {
    if (error instanceof SystemError && error.code === "ENOENT") return undefined;
    throw error;
  }
}

function equal(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && a.every((byte, index) => byte === b[index]);
}
