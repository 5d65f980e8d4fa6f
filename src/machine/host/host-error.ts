/** Errors of the host as error numbers of the system. */
import { errno } from "../../kernel/errno.ts";

/** Names that Node.js gives to errors and that the system's table calls differently. */
const aliases: Readonly<Record<string, number>> = {
  EWOULDBLOCK: errno.AGAIN,
  EOPNOTSUPP: errno.NOTSUP,
  ENOTSUP: errno.NOTSUP,
  // Arguments that the host cannot express, such as a name with a NUL in it.
  ERR_INVALID_ARG_VALUE: errno.INVAL,
  ERR_OUT_OF_RANGE: errno.INVAL,
};

const numbers = errno as Readonly<Record<string, number>>;

/** The negated errno for what a call of `node:fs` threw; −EIO for what the table does not have. */
export function hostErrno(error: unknown): number {
  const code = (error as NodeJS.ErrnoException).code;
  if (code === undefined) throw error;
  return -(aliases[code] ?? numbers[code.slice(1)] ?? errno.IO);
}
