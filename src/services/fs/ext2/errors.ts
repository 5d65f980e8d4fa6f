/** What can go wrong that is not an ordinary result of a call. */
import { errno } from "../../../kernel/errno.ts";

/** Why a device cannot be mounted. */
export type MountRefusal =
  | "notExt2"
  | "unsupportedRevision"
  | "unsupportedBlockSize"
  | "unsupportedInodeSize"
  | "unsupportedFeature"
  | "journalNeedsRecovery"
  | "damaged"
  | "diskError"
  | "tooSmall"
  | "readOnlyDevice";

/** The device cannot be mounted or formatted; `reason` for programs, `message` for people. */
export class MountError extends Error {
  readonly reason: MountRefusal;

  constructor(reason: MountRefusal, message: string) {
    super(`ext2: ${message}`);
    this.name = "MountError";
    this.reason = reason;
  }
}

/**
 * The volume cannot go on with a call: the disk failed or a structure on it makes no sense. Thrown from any
 * depth; `Ext2` turns it into a negated errno, after locks were released on the way.
 */
export class VolumeFailure extends Error {
  readonly errno: number;

  constructor(message: string, code: number = errno.IO) {
    super(message);
    this.name = "VolumeFailure";
    this.errno = code;
  }
}
