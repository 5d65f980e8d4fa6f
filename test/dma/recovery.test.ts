/**
 * A kernel dies at any access to memory, in the middle of any operation of the driver: the other goes on. Of operations
 * with many accesses some are tried; all of them with `EVERY_POINT=1`.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { bytes, Chip, content, fails, type Kernel, ok } from "./rig.ts";

const points_max = process.env.EVERY_POINT === undefined ? 50 : Number.POSITIVE_INFINITY;
const dead = 2;
const thread = 7;

class Died extends Error {}

interface Scene {
  readonly chip: Chip;
  readonly survivor: Kernel;
  readonly victim: Kernel;
  /** The survivor's: two that run, one in line, one that is shared with the victim. */
  readonly transfers: readonly number[];
  readonly shared: number;
  /** The victim's, in line. */
  readonly own: number;
}

function write(kernel: Kernel, transfer: number, data: Uint8Array, claimant = thread): number {
  return kernel.driver.transfer(transfer, data.length, claimant, { bytes: data, offset: 0 });
}

const operations: Record<string, (scene: Scene) => void> = {
  open: ({ victim }) => void victim.driver.open(),
  transfer: ({ victim, shared }) => void write(victim, shared, bytes(5000), 99),
  store: ({ victim, shared }) => void victim.driver.store(shared, bytes(5000), 0, 5000, 9000),
  read: ({ victim, shared }) => void victim.driver.read(shared, new Uint8Array(5000), 0, 5000),
  interrupt: ({ chip, survivor, victim }) => {
    survivor.driver.interrupt();
    chip.engine.complete();
    survivor.driver.interrupt();
    // The victim's has come to its turn, and is done.
    chip.engine.complete();
    victim.driver.interrupt();
  },
  "close one in line": ({ victim, own }) => victim.driver.close(own),
};

function makeScene(): Scene {
  const chip = new Chip(2);
  const [survivor, victim] = chip.kernels;
  const shared = ok(survivor.driver.open());
  fails(write(survivor, shared, bytes(4000, 50)), "AGAIN");
  chip.engine.complete();
  survivor.driver.interrupt();
  assert.equal(write(survivor, shared, bytes(4000, 50)), 4000);
  const transfers = [0, 1, 2].map((n) => {
    const transfer = ok(survivor.driver.open());
    fails(write(survivor, transfer, bytes(5000, n), n), "AGAIN");
    return transfer;
  });
  const own = ok(victim.driver.open());
  fails(write(victim, own, bytes(5000), 98), "AGAIN");
  chip.engine.complete();
  return { chip, survivor, victim, transfers, shared, own };
}

function recover({ chip, survivor }: Scene): void {
  const { memory, areas, pages, driver } = survivor;
  chip.caches.writeBackAll(1);
  chip.dead.add(1);
  memory.recover(2);
  areas.waitQueues.recover(dead);
  const queues = areas.waitQueues.records;
  for (let queue = 1; queue <= areas.waitQueues.capacity; queue++) {
    if (queues.ownerOfMutex(queue) === dead) queues.releaseMutex(queue, dead);
  }
  pages.recover(dead);
  driver.recover(dead);
}

/** Whatever the dead kernel was doing, what the survivor has asked for gets done, and new requests too. */
function check({ chip, survivor, transfers, shared }: Scene): void {
  for (let turn = 0; turn < 20; turn++) {
    chip.engine.complete();
    survivor.driver.interrupt();
  }
  assert.equal(chip.engine.running.size, 0, "nothing runs for ever");
  for (const [n, transfer] of transfers.entries()) {
    assert.equal(write(survivor, transfer, bytes(5000, n), n), 5000);
    assert.deepEqual(content(survivor, transfer), bytes(5000, n));
  }
  // The file that was shared with the dead process is good for a new transfer.
  fails(write(survivor, shared, bytes(3000, 9)), "AGAIN");
  assert.equal(chip.engine.running.size, 1);
  chip.engine.complete();
  survivor.driver.interrupt();
  assert.equal(write(survivor, shared, bytes(3000, 9)), 3000);
  assert.deepEqual(content(survivor, shared), bytes(3000, 9));
  for (const transfer of [...transfers, shared]) survivor.driver.close(transfer);
}

for (const [name, run] of Object.entries(operations)) {
  test(`${name}: death at every access`, () => {
    let accesses = 0;
    const whole = makeScene();
    whole.chip.onAccess = (island) => {
      accesses += island;
    };
    run(whole);
    assert.ok(accesses > 10, "there is something to die at");
    const step = Math.ceil(accesses / points_max);
    for (let at = 0; at < accesses; at += step) {
      const scene = makeScene();
      let left = at;
      scene.chip.onAccess = (island) => {
        if (island === 1 && left-- <= 0) throw new Died();
      };
      assert.throws(() => run(scene), Died);
      recover(scene);
      check(scene);
    }
  });
}
