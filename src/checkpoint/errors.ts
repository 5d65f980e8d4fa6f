/** Why a checkpoint cannot be made or used. The messages are for people: what is wrong, and what helps. */

/** What to do about a file that is not what it was when it was written. */
const remedyForDamage = "use another copy of the file, or take the checkpoint again";

/** The checkpoint cannot be made or used; nothing was changed. */
export class CheckpointError extends Error {
  override name = "CheckpointError";
}

/** The file is not as it was written. */
export class DamagedCheckpointError extends CheckpointError {
  override name = "DamagedCheckpointError";

  constructor(problem: string) {
    super(`the checkpoint is damaged: ${problem}; ${remedyForDamage}`);
  }
}
