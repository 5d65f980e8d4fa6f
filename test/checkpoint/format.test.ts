/** The file format: what is written is read again, and a file that is not as it was written is refused. */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import {
  type Checkpoint,
  CheckpointError,
  DamagedCheckpointError,
  decodeCheckpoint,
  encodeCheckpoint,
  type StoredCheckpoint,
  sourceOf,
} from "../../src/checkpoint/index.ts";
import { contentHash } from "../../src/machine/host/content-hash.ts";
import { checkpoints } from "./samples.ts";

function encoded(checkpoint: Checkpoint): Uint8Array {
  const parts: Uint8Array[] = [];
  encodeCheckpoint(checkpoint, contentHash, (bytes) => parts.push(bytes.slice()));
  return new Uint8Array(Buffer.concat(parts));
}

function decoded(bytes: Uint8Array): StoredCheckpoint {
  return decodeCheckpoint(sourceOf(bytes), contentHash);
}

/** Reads everything there is to read, pages included. */
function readAll(bytes: Uint8Array): Uint8Array | null {
  const { memory } = decoded(bytes);
  if (memory === null) return null;
  const target = new Uint8Array(memory.size_pages * 65_536);
  memory.load(target);
  return target;
}

const [sample] = fc.sample(
  checkpoints.filter((one) => (one.memory?.size_pages ?? 0) > 0 && one.files.length > 0),
  { numRuns: 1, seed: 7 },
);

test("every process is read as it was written", () => {
  fc.assert(
    fc.property(checkpoints, (checkpoint) => {
      const bytes = encoded(checkpoint);
      const { memory, ...rest } = decoded(bytes);
      const { memory: written, ...expected } = checkpoint;
      assert.deepEqual(plain(rest), plain(expected));
      assert.equal(memory === null, written === null);
      if (memory === null || written === null) return;
      assert.deepEqual(
        [memory.size_pages, memory.maximum_pages, memory.wide],
        [written.size_pages, written.maximum_pages, written.wide],
      );
      assert.deepEqual(readAll(bytes), written.bytes);
    }),
    { numRuns: 200 },
  );
});

test("a file with any bit changed is refused", () => {
  const bytes = encoded(sample);
  fc.assert(
    fc.property(fc.nat(bytes.length - 1), fc.nat(7), (at, bit) => {
      const damaged = bytes.slice();
      damaged[at] ^= 1 << bit;
      assert.throws(() => readAll(damaged), CheckpointError);
    }),
    { numRuns: 2000 },
  );
});

test("a file that ends early, or late, is refused as damaged", () => {
  const bytes = encoded(sample);
  fc.assert(
    fc.property(fc.nat(bytes.length - 1), (length) => {
      assert.throws(() => decoded(bytes.subarray(0, length)), CheckpointError);
      if (length >= 8) {
        assert.throws(() => decoded(bytes.subarray(0, length)), {
          message: /^the checkpoint is damaged: the file is cut off \(.*\); use another copy/,
        });
      }
    }),
    { numRuns: 500 },
  );
  assert.throws(() => decoded(Buffer.concat([bytes, new Uint8Array(8)])), DamagedCheckpointError);
});

test("random bytes, with or without a proper beginning, never do anything but throw a CheckpointError", () => {
  const start = encoded(sample).subarray(0, 16);
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 400 }), fc.boolean(), (bytes, proper) => {
      assert.throws(() => readAll(proper ? Buffer.concat([start, bytes]) : bytes), CheckpointError);
    }),
    { numRuns: 2000 },
  );
});

test("a section that was moved, left out or doubled is found", () => {
  const bytes = encoded(sample);
  const sections = split(bytes);
  const rebuilt = (parts: readonly Uint8Array[]) => Buffer.concat([bytes.subarray(0, 16), ...parts]);
  assert.doesNotThrow(() => readAll(rebuilt(sections)));
  for (let n = 0; n < sections.length - 1; n++) {
    const without = sections.filter((_, index) => index !== n);
    assert.throws(() => readAll(rebuilt(without)), DamagedCheckpointError);
    const doubled = sections.flatMap((section, index) => (index === n ? [section, section] : [section]));
    assert.throws(() => readAll(rebuilt(doubled)), DamagedCheckpointError);
  }
  assert.throws(
    () => readAll(rebuilt([sections[1], sections[0], ...sections.slice(2)])),
    DamagedCheckpointError,
  );
});

test("a file made by somebody with other ideas, with proper checksums, is read or refused", () => {
  const bytes = encoded(sample);
  const changes = fc.array(fc.tuple(fc.nat(), fc.nat(), fc.integer({ min: 0, max: 255 })), {
    minLength: 1,
    maxLength: 4,
  });
  let refused = 0;
  fc.assert(
    fc.property(changes, (list) => {
      const sections = split(bytes).map((section) => section.slice());
      for (const [which, where, value] of list) {
        const payload = sections[which % (sections.length - 1)].subarray(48);
        if (payload.length > 0) payload[where % payload.length] = value;
      }
      const file = signed(bytes.subarray(0, 16), sections.slice(0, -1));
      try {
        readAll(file);
      } catch (error) {
        refused++;
        assert.ok(error instanceof CheckpointError, `${error}`);
      }
    }),
    { numRuns: 3000 },
  );
  assert.ok(refused > 100);
});

test("what is wrong is said: another file, another version, an unknown section", () => {
  assert.throws(() => decoded(new Uint8Array(0)), { message: "the checkpoint is empty; take it again" });
  assert.throws(() => decoded(Buffer.from("#!/bin/sh\n")), { message: /^this is no checkpoint/ });
  const newer = encoded(sample).slice();
  newer[8] = 2;
  assert.throws(() => decoded(newer), {
    message:
      "the checkpoint has version 2 of the format, and this system reads version 1; restore it with the version of Archipelago that made it",
  });
  const [section] = split(encoded(sample));
  const strange = section.slice();
  strange.set(Buffer.from("Zzzz"));
  assert.throws(() => decoded(Buffer.concat([encoded(sample).subarray(0, 16), strange])), {
    message: /^the checkpoint has a section "Zzzz", which this system does not know/,
  });
});

test("zero pages are left out and equal pages stored once", () => {
  const bytes = new Uint8Array(64 * 65_536);
  for (let page = 100; page < 900; page++) bytes[page * 4096 + 17] = 1;
  const memory = { size_pages: 64, maximum_pages: 64, wide: false, bytes };
  const parts: Uint8Array[] = [];
  const size = encodeCheckpoint({ ...sample, memory }, contentHash, (part) => parts.push(part.slice()));
  const file = Buffer.concat(parts);
  assert.deepEqual(size, { file_bytes: file.length, pages: 800, contents: 1 });
  assert.ok(file.length < 2 * 4096 + 2000, `the file has ${file.length} bytes`);
  assert.deepEqual(readAll(file), bytes);
});

/** Byte strings as arrays of one kind: what is read may be a view of a larger buffer. */
function plain(value: unknown): unknown {
  if (value instanceof Uint8Array) return value.toHex();
  if (Array.isArray(value)) return value.map(plain);
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([key, one]) => [key, plain(one)]));
}

/** A file of sections whose checksums are made right. */
function signed(start: Uint8Array, sections: readonly Uint8Array[]): Uint8Array {
  for (const section of sections) {
    const view = new DataView(section.buffer, section.byteOffset, section.length);
    const isPages = String.fromCharCode(...section.subarray(0, 4)) === "Page";
    const vouched_bytes = isPages ? 8 + 32 * view.getUint32(48, true) : view.getUint32(8, true);
    section.set(Buffer.from(contentHash(section.subarray(48, 48 + vouched_bytes)), "hex"), 16);
  }
  const headers = Buffer.concat([start, ...sections.map((section) => section.subarray(0, 48))]);
  const end = new Uint8Array(48 + 40);
  end.set(Buffer.from("Done"));
  const view = new DataView(end.buffer);
  view.setUint32(8, 36, true);
  view.setUint32(48, sections.length, true);
  end.set(Buffer.from(contentHash(headers), "hex"), 52);
  end.set(Buffer.from(contentHash(end.subarray(48, 84)), "hex"), 16);
  return new Uint8Array(Buffer.concat([start, ...sections, end]));
}

/** The sections of a file, with their headers. */
function split(file: Uint8Array): Uint8Array[] {
  const view = new DataView(file.buffer, file.byteOffset, file.length);
  const found: Uint8Array[] = [];
  for (let at = 16; at < file.length; ) {
    const end = at + 48 + Math.ceil(view.getUint32(at + 8, true) / 8) * 8;
    found.push(file.subarray(at, end));
    at = end;
  }
  return found;
}
