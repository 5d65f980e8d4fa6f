/** Checkpoints: a process outside of any system, and the file format for it, which FORMAT.md describes. */
export { decodeCheckpoint } from "./decode.ts";
export { type CheckpointSink, type CheckpointSize, encodeCheckpoint } from "./encode.ts";
export { CheckpointError, DamagedCheckpointError } from "./errors.ts";
export { type Digest, formatVersion } from "./format.ts";
export { countFrames, describeFrames, type Frame } from "./frames.ts";
export {
  type AnsweredCall,
  type Checkpoint,
  type DescriptorImage,
  type FileImage,
  fileKind,
  type MemoryImage,
  type PipeImage,
  type ProcessImage,
  type ProcessState,
  type ProgramImage,
  type StartImage,
  type StoredCheckpoint,
  type StoredMemory,
  type ThreadImage,
} from "./model.ts";
export { type CheckpointSource, sourceOf } from "./sections.ts";
