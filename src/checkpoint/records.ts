/** The payloads of the small sections: how each part of the model is written as fields, and read again. */
import type { FieldReader, FieldWriter } from "./fields.ts";
import { digest_bytes } from "./format.ts";
import {
  type DescriptorImage,
  type FileImage,
  fileKind,
  type PipeImage,
  type ProcessImage,
  type ProgramImage,
  type StartImage,
  type ThreadImage,
  type ThreadPhase,
} from "./model.ts";

/** How one kind of record is written and read; `read` checks what can be checked without the other records. */
export interface RecordCodec<T> {
  write(fields: FieldWriter, value: T): void;
  read(fields: FieldReader): T;
}

/** In place of an index or a time: there is none. */
const none = 0xffff_ffff;
const noTime = Number.MAX_SAFE_INTEGER;

/** All but the module, which has a section of its own. */
export const programRecord: RecordCodec<ProgramImage> = {
  write(fields, { hash, size_bytes, path, instrumenter, frameTable }) {
    fields.raw(Uint8Array.fromHex(hash));
    fields.u64(size_bytes);
    fields.text(path);
    fields.text(instrumenter);
    fields.raw(Uint8Array.fromHex(frameTable));
  },
  read(fields) {
    return {
      hash: fields.raw(digest_bytes).toHex(),
      size_bytes: fields.u64("the size of the program"),
      path: fields.text("the path of the program"),
      instrumenter: fields.text("the name of the instrumenter"),
      frameTable: fields.raw(digest_bytes).toHex(),
      module: null,
    };
  },
};

export const startRecord: RecordCodec<StartImage> = {
  write(fields, { arguments: words, environment, preopens }) {
    fields.list(words, (one) => fields.block(one));
    fields.list(environment, (one) => fields.block(one));
    fields.list(preopens, (one) => fields.text(one));
  },
  read(fields) {
    return {
      arguments: fields.list("arguments", 4, () => fields.block()),
      environment: fields.list("variables", 4, () => fields.block()),
      preopens: fields.list("directories", 4, () => fields.text("the name of a directory")),
    };
  },
};

export const processRecord: RecordCodec<ProcessImage> = {
  write(fields, process) {
    fields.u32(process.pid);
    fields.u32(process.parent);
    fields.text(process.name);
    fields.u32(process.priority);
    fields.u32(process.memoryLimit_pages);
    fields.u64(Math.round(process.cpuTime_ns));
    fields.u64(Math.round(process.monotonic_ns));
    fields.u64(Math.round(process.realtime_ns / realtimeUnit_ns));
    fields.list(process.pendingSignals, (one) => fields.u32(one));
  },
  read(fields) {
    return {
      pid: fields.u32(),
      parent: fields.u32(),
      name: fields.text("the name of the process"),
      priority: fields.u32(),
      memoryLimit_pages: fields.u32(),
      cpuTime_ns: fields.u64("the processor time"),
      monotonic_ns: fields.u64("the time"),
      realtime_ns: fields.u64("the time") * realtimeUnit_ns,
      pendingSignals: fields.list("signals", 4, () => fields.u32()),
    };
  },
};

/** Nanoseconds since 1970 are more than a number holds exactly: they are stored as microseconds. */
const realtimeUnit_ns = 1000;

const phases: readonly ThreadPhase[] = ["start", "entry"];

export const threadRecord: RecordCodec<ThreadImage> = {
  write(fields, { phase, frames, globals, callRemaining_ns, answeredCall }) {
    fields.u32(phases.indexOf(phase));
    fields.u64(callRemaining_ns === null ? noTime : Math.round(callRemaining_ns));
    fields.u32(answeredCall?.kind ?? 0);
    fields.u32(answeredCall === null ? 0 : answeredCall.result >>> 0);
    fields.block(globals);
    fields.block(frames);
  },
  read(fields) {
    const phase = phases[fields.oneOf("where a thread began", fields.u32(), [0, 1])];
    const remaining_ns = fields.u64("the time that a call has left");
    const kind = fields.u32();
    const result = fields.u32() | 0;
    return {
      answeredCall: kind === 0 ? null : { kind, result },
      phase,
      callRemaining_ns: remaining_ns === noTime ? null : remaining_ns,
      globals: fields.block(),
      frames: fields.block(),
    };
  },
};

const kinds = Object.values(fileKind);
const file_bytes = 44;

export const filesRecord: RecordCodec<readonly FileImage[]> = {
  write(fields, files) {
    fields.list(files, (file) => {
      fields.u32(file.kind);
      fields.u32(file.flags);
      fields.u32(file.pipe ?? none);
      fields.u64(file.position);
      fields.u64(file.size_bytes);
      fields.u64(Math.round(file.modificationTime_ns / realtimeUnit_ns));
      fields.u32(0);
      fields.text(file.path);
    });
  },
  read(fields) {
    return fields.list("open files", file_bytes, () => {
      const kind = fields.oneOf("the kind of an open file", fields.u32(), kinds);
      const flags = fields.u32();
      const pipe = fields.u32();
      const position = fields.u64("a position");
      const size_bytes = fields.u64("the size of a file");
      const modificationTime_ns = fields.u64("the time of a file") * realtimeUnit_ns;
      fields.oneOf("a reserved field", fields.u32(), [0]);
      const path = fields.text("the path of an open file");
      const isPipe = kind === fileKind.pipeReader || kind === fileKind.pipeWriter;
      if (isPipe === (path !== "")) fields.fail("an open file has no path, or a pipe has one");
      if (!isPipe && pipe !== none) fields.fail("an open file is a pipe and none");
      return {
        kind,
        flags,
        pipe: pipe === none ? null : pipe,
        position,
        size_bytes,
        modificationTime_ns,
        path,
      };
    });
  },
};

const descriptor_bytes = 20;

export const descriptorsRecord: RecordCodec<readonly DescriptorImage[]> = {
  write(fields, descriptors) {
    fields.list(descriptors, (one) => {
      fields.u32(one.number);
      fields.u32(one.file);
      fields.u32(one.rights);
      fields.u32(one.inheriting);
      fields.u32(one.preopen);
    });
  },
  read(fields) {
    let last = -1;
    return fields.list("descriptors", descriptor_bytes, () => {
      const number = fields.u32();
      if (number <= last) fields.fail(`descriptor ${number} comes after descriptor ${last}`);
      last = number;
      return {
        number,
        file: fields.u32(),
        rights: fields.u32(),
        inheriting: fields.u32(),
        preopen: fields.u32(),
      };
    });
  },
};

export const pipesRecord: RecordCodec<readonly PipeImage[]> = {
  write(fields, pipes) {
    fields.list(pipes, ({ capacity_bytes, content }) => {
      fields.u32(capacity_bytes);
      fields.block(content);
    });
  },
  read(fields) {
    return fields.list("pipes", 8, () => {
      const capacity_bytes = fields.u32();
      const content = fields.block();
      if (content.length > capacity_bytes) fields.fail("a pipe holds more than it has room for");
      return { capacity_bytes, content };
    });
  },
};
