/** Independent page allocators are told anything about frees and page blocks: what is right is done, and nothing else. */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { errno } from "../../src/kernel/errno.ts";
import { freesPerMessage, pageBlock, pageBlockAnswer, pageFree } from "../../src/services/pages/protocol.ts";
import { checkPages } from "../pages/support/check.ts";
import { Kernels } from "../pages/support/kernels.ts";

interface WantedFree {
  readonly page: number;
  readonly order: number;
  readonly sequence: number;
}

/** Sends frees in the name of a kernel, from the endpoint of another or of itself. */
function sendFrees(
  kernels: Kernels,
  from: number,
  kernel: number,
  frees: readonly WantedFree[],
  count = frees.length,
) {
  const padded = Array.from({ length: freesPerMessage }, (_, index) => {
    return frees[index] ?? { page: 0, order: 0, sequence: 0 };
  });
  const value = {
    kernel,
    count,
    pages: padded.map(({ page }) => page),
    orders: padded.map(({ order }) => order),
    sequences: padded.map(({ sequence }) => sequence),
  };
  return kernels.kernels[from].node.endpoint.call(0, pageFree, value, 1e9);
}

function twoKernels(): Kernels {
  const kernels = new Kernels({ count: 2, blocks: 6 });
  for (const { pages } of kernels.kernels) pages.start(2);
  return kernels;
}

/** Kernel 1 frees a block of kernel 0's; afterwards it is free. */
function assertFreesArrive(kernels: Kernels): void {
  const [zero, one] = kernels.kernels;
  const used = zero.pages.used();
  const offset = zero.pages.allocate(3);
  assert.ok(offset >= 0);
  one.pages.free(offset, 3);
  kernels.settle();
  assert.equal(zero.pages.used(), used);
  assert.equal(one.pages.redirectedFrees(), 0);
}

const oddNumbers = [Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY, -1, 0.5, 2 ** 60, 1e300];

for (const sequence of oddNumbers) {
  test(`regression: a free with the number ${sequence} does not make those that come later be passed over`, () => {
    const kernels = twoKernels();
    const [zero] = kernels.kernels;
    const page = (zero.pages.allocate(0) - kernels.base) / 4096;
    assert.equal(sendFrees(kernels, 1, 1, [{ page, order: 0, sequence }]).status, 0);
    assertFreesArrive(kernels);
    checkPages(kernels.memory);
  });
}

test("nobody frees in the name of another kernel", () => {
  const kernels = twoKernels();
  const [zero] = kernels.kernels;
  const page = (zero.pages.allocate(0) - kernels.base) / 4096;
  for (const kernel of [0, 2, 63, 64, 0xffffffff]) {
    const reply = sendFrees(kernels, 1, kernel, [{ page, order: 0, sequence: 1 }]);
    assert.equal(reply.status, -errno.INVAL);
  }
  assert.equal(zero.pages.used(), 1);
  assertFreesArrive(kernels);
});

test("regression: an answer that makes no sense does not make a kernel forget its frees", () => {
  const kernels = new Kernels({ count: 2, blocks: 6 });
  const [zero, one] = kernels.kernels;
  const offset = zero.pages.start(2) > 0 ? zero.pages.allocate(0) : -1;
  one.pages.start(1);
  zero.alive = false;
  kernels.settle();
  zero.node.transport.close();
  // Kernel 0's place is taken by somebody who answers anything.
  const liar = kernels.world.node(0);
  const answers = [Number.NaN, Number.POSITIVE_INFINITY, 1e18];
  liar.endpoint.serve(pageFree, () => ({ executed: answers.shift() ?? 0 }));
  kernels.world.onPause = () => void liar.endpoint.drain();
  zero.alive = true;
  one.pages.free(offset, 0);
  for (let round = 0; round < 5; round++) {
    one.pages.tick();
    liar.endpoint.drain();
    one.node.endpoint.drain();
    assert.equal(one.pages.redirectedFrees(), 1, `after ${round} answers`);
  }
});

const number = fc.oneof(fc.nat(1600), fc.constantFrom(0x7fffffff, 0x80000000, 0xffffffff));

test("messages of any content leave the allocators in order", () => {
  const free = fc.record({
    page: number,
    order: fc.oneof(fc.nat(3), fc.nat(255)),
    sequence: fc.oneof(fc.nat(40), fc.constantFrom(...oddNumbers), fc.double()),
  });
  const message = fc.oneof(
    fc.record({
      kind: fc.constant("free" as const),
      frees: fc.array(free, { maxLength: freesPerMessage }),
      count: fc.oneof(fc.nat(freesPerMessage), number),
      kernel: fc.oneof({ weight: 4, arbitrary: fc.constant(1) }, number),
    }),
    fc.record({ kind: fc.constant("block" as const), kernel: number, urgent: fc.nat(255) }),
    fc.record({ kind: fc.constant("answer" as const), kernel: number, given: fc.nat(255) }),
    fc.record({ kind: fc.constant("allocate" as const), order: fc.nat(4) }),
  );
  fc.assert(
    fc.property(fc.array(message, { maxLength: 60 }), (messages) => {
      const kernels = twoKernels();
      const [zero, one] = kernels.kernels;
      for (const each of messages) {
        if (each.kind === "free") sendFrees(kernels, 1, each.kernel, each.frees, each.count);
        else if (each.kind === "block") one.node.endpoint.call(0, pageBlock, each, 1e9);
        else if (each.kind === "answer") one.node.endpoint.send(0, pageBlockAnswer, each);
        else zero.pages.allocate(each.order);
      }
      kernels.settle();
      assert.deepEqual(zero.node.faults, []);
      checkPages(kernels.memory);
    }),
    { numRuns: Number(process.env.RUNS ?? 60), endOnFailure: process.env.SHRINK === undefined },
  );
});
