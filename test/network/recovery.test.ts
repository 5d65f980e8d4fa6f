/** A kernel dies at any access to shared memory, in the middle of any operation: the others go on. */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { MemoryGuard } from "../../src/memory/index.ts";
import type { NetworkService } from "../../src/services/network/network.ts";
import { Pages } from "../../src/services/pages/index.ts";
import { boundTo, bytes, FakeController, fails, Island, ok, receive } from "./rig.ts";

const loopback = 0x7f000001;
const dead = 2;

class Died extends Error {}

/** Lets so many accesses happen; from then on none. */
class Death implements MemoryGuard {
  left = Number.POSITIVE_INFINITY;

  access(): void {
    if (this.left-- <= 0) throw new Died();
  }
}

interface Scene {
  readonly island: Island;
  readonly victim: NetworkService;
  /** Bound to 7000, with one datagram waiting; the victim's. */
  readonly socket: number;
  /** Bound to 7256, in the same bucket of the port table. */
  readonly neighbour: number;
  readonly controller: FakeController;
}

const operations: Record<string, (scene: Scene) => void> = {
  open: ({ victim }) => void victim.open(),
  bind: ({ victim }) => void boundTo(victim, 7512),
  connect: ({ victim, socket }) => void victim.connect(socket, loopback, 7256),
  send: ({ victim, socket }) => void victim.send(socket, bytes(100), 0, 100, loopback, 7256),
  receive: ({ victim, socket }) => void receive(victim, socket),
  interrupt: ({ victim }) => victim.interrupt(),
  shutdown: ({ victim, socket }) => void victim.shutdown(socket, 3),
  close: ({ victim, socket }) => victim.close(socket),
};

function makeScene(overController: boolean, death: Death): Scene {
  const controller = new FakeController();
  const island = new Island(overController ? controller : null);
  const victim = island.kernel(dead, death);
  const neighbour = boundTo(island.network, 7256);
  const socket = boundTo(victim, 7000);
  ok(island.network.send(neighbour, bytes(50), 0, 50, loopback, 7000));
  if (overController) {
    controller.move();
    island.network.interrupt();
    ok(island.network.send(neighbour, bytes(60), 0, 60, loopback, 7000));
    controller.move();
  }
  return { island, victim, socket, neighbour, controller };
}

/** What a survivor does for the services below the network before it recovers that. */
function recoverBelow({ island }: Scene): void {
  const { areas, memory } = island;
  memory.recover(2);
  areas.waitQueues.recover(dead);
  const queues = areas.waitQueues.records;
  for (let queue = 1; queue <= areas.waitQueues.capacity; queue++) {
    if (queues.ownerOfMutex(queue) === dead) queues.releaseMutex(queue, dead);
  }
  Pages.attach(memory, "pages", 1).recover(dead);
}

function move(scene: Scene): void {
  scene.controller.move();
  scene.island.network.interrupt();
}

/** Everything works for the survivor. */
function check(scene: Scene, name: string): void {
  const { network } = scene.island;
  for (let got = receive(network, scene.neighbour); typeof got === "object"; ) {
    assert.deepEqual(got.data, bytes(100), "a datagram is whole");
    got = receive(network, scene.neighbour);
  }
  for (const port of [7000, 7256, 7512, 7768]) {
    const socket = ok(network.open());
    const result = network.bind(socket, loopback, port);
    if (port === 7256) fails(result, "ADDRINUSE");
    else if (port === 7000 && name !== "close") fails(result, "ADDRINUSE");
    else if (port === 7768) ok(result);
    network.close(socket);
  }
  if (name !== "close") {
    // It empties the victim's socket, as whoever closes the victim's files does.
    for (let got = receive(network, scene.socket); typeof got === "object" && got.port !== 0; ) {
      assert.ok([50, 60].includes(got.data.length));
      assert.deepEqual(got.data, bytes(got.data.length));
      got = receive(network, scene.socket);
    }
    network.close(scene.socket);
    network.close(boundTo(network, 7000));
  }
  const other = boundTo(network, 7768);
  network.disconnect(other);
  ok(network.send(other, bytes(9), 0, 9, loopback, 7256));
  move(scene);
  assert.deepEqual(receive(network, scene.neighbour), { data: bytes(9), address: loopback, port: 7768 });
}

for (const overController of [false, true]) {
  const where = overController ? "over a controller" : "in software";
  for (const [name, run] of Object.entries(operations)) {
    test(`${name} ${where}: death at every access`, () => {
      let points = 0;
      for (let at = 0; ; at++) {
        const death = new Death();
        const scene = makeScene(overController, death);
        death.left = at;
        let died = false;
        try {
          run(scene);
        } catch (error) {
          if (!(error instanceof Died)) throw error;
          died = true;
        }
        if (!died) break;
        points++;
        recoverBelow(scene);
        scene.island.network.recover(dead);
        move(scene);
        check(scene, name);
      }
      assert.ok(points > 0 || name === "interrupt", "there was something to die at");
    });
  }
}
