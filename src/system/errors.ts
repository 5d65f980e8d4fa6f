import { errnoName } from "../kernel/errno.ts";

/** A call of the system's API was refused. `code` is the errno's name, for example `"ENOENT"`. */
export class SystemError extends Error {
  readonly code: string;

  /** `result` is a negated errno, `what` names the thing. */
  constructor(result: number, what: string) {
    super(`${what}: ${errnoName(result)}`);
    this.name = "SystemError";
    this.code = errnoName(result);
  }
}

/** Passes a result through. @throws SystemError when it is a negated errno. */
export function succeed(result: number, what: string): number {
  if (result < 0) throw new SystemError(result, what);
  return result;
}
