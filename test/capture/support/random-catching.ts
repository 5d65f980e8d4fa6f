/** The parts of random bodies that throw and catch, with the instructions of the first kind or the second. */
import { op } from "../../../src/engine/wasm/opcodes.ts";
import type { BodyWriter } from "./random-body.ts";
import type { Letter } from "./random-operators.ts";

const clause = { catch: 0, catchAll: 2 } as const;

/** Throws an exception with random values. */
export function writeThrow(body: BodyWriter): void {
  const tag = body.random(body.shape.tags.length);
  body.values(body.shape.tags[tag]);
  body.instruction(op.throw, tag);
}

/** Leaves one value, computed inside a construct that catches exceptions. */
export function writeCatching(body: BodyWriter, type: Letter): void {
  if (body.shape.exceptions === "new") writeTryTable(body, type);
  else writeTry(body, type);
}

/** What is tried: code that may well throw. */
function tried(body: BodyWriter, type: Letter): void {
  for (let n = body.random(3); n >= 0; n--) body.statement();
  if (body.random(2) === 0) {
    body.value("i");
    body.writer.raw([op.if, 0x40]);
    body.enter({ types: "", counter: null }, () => writeThrow(body));
    body.instruction(op.end);
  }
  body.value(type);
}

/**
 *     block T                    the value
 *       block                    everything else that is caught
 *         block TAG              one tag's values
 *           try_table T … value end
 *           br T
 *         end
 *         values used, value, br T
 *       end
 *       value
 *     end
 */
function writeTryTable(body: BodyWriter, type: Letter): void {
  const tag = body.random(body.shape.tags.length);
  const types = body.shape.tags[tag];
  const all = body.random(2) === 0;
  body.instruction(op.block);
  body.blockType({ params: "", results: type });
  body.enter({ types: type, counter: null }, () => {
    body.writer.raw([op.block, 0x40]);
    body.enter({ types: "", counter: null }, () => {
      body.instruction(op.block);
      body.blockType({ params: "", results: types });
      body.enter({ types, counter: null }, () => {
        body.instruction(op.tryTable);
        body.blockType({ params: "", results: type });
        body.writer.raw([all ? 2 : 1, clause.catch, tag, 0]);
        if (all) body.writer.raw([clause.catchAll, 1]);
        body.enter({ types: type, counter: null }, () => tried(body, type));
        body.instruction(op.end);
        body.instruction(op.branch, 2);
      });
      body.instruction(op.end);
      // The values wait under what follows.
      body.statement();
      body.consume(types);
      body.value(type);
      body.instruction(op.branch, 1);
    });
    body.instruction(op.end);
    body.value(type);
  });
  body.instruction(op.end);
}

/** `try` with a catch of one tag, of all, of both, or a delegation; handlers may throw again. */
function writeTry(body: BodyWriter, type: Letter): void {
  const { shape, random } = body;
  const label = { types: type, counter: null };
  body.instruction(op.try);
  body.blockType({ params: "", results: type });
  body.enter(label, () => tried(body, type));
  const kind = random(4);
  if (kind === 0) {
    body.instruction(op.delegate, body.findLabel(() => true) ?? 0);
    return;
  }
  const handler = (types: string) => {
    const before = body.quiet;
    body.quiet ||= !shape.busyHandlers;
    body.enter(label, () => {
      body.statement();
      body.consume(types);
      if (random(3) === 0) {
        body.value("i");
        body.writer.raw([op.if, 0x40]);
        body.enter({ types: "", counter: null }, () => body.instruction(op.rethrow, 1));
        body.instruction(op.end);
      }
      body.value(type);
    });
    body.quiet = before;
  };
  if (kind !== 1) {
    const tag = random(shape.tags.length);
    body.instruction(op.catch, tag);
    handler(shape.tags[tag]);
  }
  if (kind !== 2) {
    body.instruction(op.catchAll);
    handler("");
  }
  body.instruction(op.end);
}
