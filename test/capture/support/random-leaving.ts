/** The parts of random bodies that leave a construct or the function, and the dead code behind them. */
import { op } from "../../../src/engine/wasm/opcodes.ts";
import type { BodyWriter } from "./random-body.ts";
import { writeThrow } from "./random-catching.ts";

/** Under a condition: goes away, and leaves code behind that is never reached. */
export function writeLeaving(body: BodyWriter): void {
  body.value("i");
  body.number(3);
  body.instruction(op.i32And);
  body.instruction(op.i32Eqz);
  body.writer.raw([op.if, 0x40]);
  body.enter({ types: "", counter: null }, () => {
    goAway(body);
    if (body.random(2) === 0) deadCode(body);
  });
  body.instruction(op.end);
}

function goAway(body: BodyWriter): void {
  const { results } = body.signature;
  switch (body.random(5)) {
    case 0:
      body.values(results);
      body.instruction(op.return);
      break;
    case 1:
      branchByTable(body);
      break;
    case 2:
      if (body.shape.tailCalls && !body.quiet) tailCall(body);
      else branchByTable(body);
      break;
    case 3:
      if (body.shape.exceptions !== "none" && body.random(3) === 0) writeThrow(body);
      else branchByTable(body);
      break;
    default: {
      const depth = body.findLabel((label) => label.counter === null) ?? 0;
      body.values(body.label(depth).types);
      body.instruction(op.branch, depth);
    }
  }
}

/** Goes on in another function with the same results, if there is one. */
function tailCall(body: BodyWriter): void {
  const { shape, random, signature } = body;
  const known = body.functions((types) => types === signature.results);
  if (known.length === 0) {
    branchByTable(body);
    return;
  }
  const index = known[random(known.length)];
  const callee = shape.functions[index];
  body.values(callee.params);
  const positions = body.tablePositions(callee);
  if (positions.length === 0 || random(2) === 0) body.instruction(op.returnCall, index);
  else {
    body.callee(positions);
    body.instruction(op.returnCallIndirect, shape.typeIndex(callee), 0);
  }
}

function branchByTable(body: BodyWriter): void {
  const depth = body.findLabel((label) => label.counter === null) ?? 0;
  const { types } = body.label(depth);
  const depths = [depth];
  for (let n = body.random(4); n > 0; n--) {
    depths.push(body.findLabel((label) => label.counter === null && label.types === types) ?? depth);
  }
  body.values(types);
  body.value("i");
  body.instruction(op.branchTable, depths.length - 1, ...depths);
}

/** Valid on whatever operands one imagines. */
function deadCode(body: BodyWriter): void {
  switch (body.random(4)) {
    case 0:
      body.statement();
      break;
    case 1: {
      const index = body.random(body.shape.functions.length);
      body.instruction(op.call, index);
      body.consume(body.shape.functions[index].results);
      break;
    }
    case 2:
      body.instruction(op.i32Add);
      body.instruction(op.drop);
      break;
    default:
      body.instruction(op.unreachable);
      body.block("");
  }
}
