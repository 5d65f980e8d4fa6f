/** UDP sockets: what is sent arrives whole, once, in order, at the right socket, or not at all. */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { systemAddress } from "../../src/services/network/address.ts";
import { payload_bytes_max } from "../../src/services/network/datagram.ts";
import type { NetworkService } from "../../src/services/network/network.ts";
import { ring_bytes, slotFor } from "../../src/services/network/receive-ring.ts";
import { boundTo, bytes, FakeController, fails, Island, ok, portOf, receive } from "./rig.ts";

const loopback = 0x7f000001;

function send(
  network: NetworkService,
  socket: number,
  data: Uint8Array,
  port: number,
  address = loopback,
): number {
  return network.send(socket, data, 0, data.length, address, port);
}

test("a datagram arrives with its sender's address", () => {
  const { network } = new Island();
  const server = boundTo(network, 7000);
  const client = ok(network.open());
  fails(receive(network, server) as number, "AGAIN");
  assert.equal(send(network, client, bytes(100), 7000), 100);
  const port = portOf(network, client);
  assert.ok(port >= 49_152, "it was given a port of its own");
  assert.deepEqual(receive(network, server), { data: bytes(100), address: loopback, port });
  assert.equal(send(network, server, bytes(3), port), 3);
  assert.deepEqual(receive(network, client), { data: bytes(3), address: loopback, port: 7000 });
});

test("sockets work across kernels", () => {
  const island = new Island();
  const other = island.kernel(2);
  const server = boundTo(island.network, 7000);
  const client = ok(other.open());
  ok(other.connect(client, loopback, 7000));
  assert.equal(other.send(client, bytes(10), 0, 10, 0, 0), 10);
  // Any kernel reads any socket.
  assert.deepEqual(receive(other, server), {
    data: bytes(10),
    address: loopback,
    port: portOf(other, client),
  });
});

test("binding", () => {
  const { network } = new Island();
  const first = boundTo(network, 80);
  fails(network.bind(first, loopback, 81), "INVAL");
  const second = ok(network.open());
  fails(network.bind(second, loopback, 80), "ADDRINUSE");
  fails(network.bind(second, 0, 80), "ADDRINUSE");
  fails(network.bind(second, 0x08080808, 80), "ADDRNOTAVAIL");
  ok(network.bind(second, systemAddress, 80));
  const third = ok(network.open());
  ok(network.bind(third, 0, 0));
  assert.ok(portOf(network, third) >= 49_152);
  network.close(first);
  boundTo(network, 80);
});

test("addresses of a socket bound to any: loopback and the system's own", () => {
  const { network } = new Island();
  const server = boundTo(network, 7000, 0);
  const client = ok(network.open());
  for (const address of [loopback, 0x7f000002, systemAddress, 0]) {
    assert.equal(send(network, client, bytes(1), 7000, address), 1);
    const from = receive(network, server);
    assert.ok(typeof from === "object");
    assert.equal(from.address, address === systemAddress ? systemAddress : loopback);
  }
  const strict = boundTo(network, 7001, systemAddress);
  send(network, client, bytes(1), 7001, loopback);
  fails(receive(network, strict) as number, "AGAIN");
  fails(send(network, client, bytes(1), 7001, 0x08080808), "NETUNREACH");
});

test("a connected socket hears its peer only, and has a default destination", () => {
  const { network } = new Island();
  const server = boundTo(network, 7000);
  const client = boundTo(network, 7001);
  const stranger = boundTo(network, 7002);
  fails(network.send(client, bytes(1), 0, 1, 0, 0), "DESTADDRREQ");
  fails(network.peerEndpoint(client, { address: 0, port: 0 }), "NOTCONN");
  fails(network.connect(client, 0x08080808, 7000), "NETUNREACH");
  fails(network.connect(client, loopback, 0), "INVAL");
  ok(network.connect(client, loopback, 7000));
  const peer = { address: 0, port: 0 };
  ok(network.peerEndpoint(client, peer));
  assert.deepEqual(peer, { address: loopback, port: 7000 });
  send(network, stranger, bytes(1), 7001);
  fails(receive(network, client) as number, "AGAIN");
  send(network, server, bytes(2), 7001);
  assert.deepEqual(receive(network, client), { data: bytes(2), address: loopback, port: 7000 });
  assert.equal(network.send(client, bytes(4), 0, 4, 0, 0), 4);
  assert.deepEqual(receive(network, server), { data: bytes(4), address: loopback, port: 7001 });
  network.disconnect(client);
  send(network, stranger, bytes(3), 7001);
  assert.deepEqual(receive(network, client), { data: bytes(3), address: loopback, port: 7002 });
});

test("empty datagrams are datagrams, and the largest one fits", () => {
  const { network } = new Island();
  const server = boundTo(network, 7000);
  assert.equal(send(network, server, bytes(0), 7000), 0);
  assert.equal(network.pollReceive(server), 0);
  assert.deepEqual(receive(network, server), { data: bytes(0), address: loopback, port: 7000 });
  fails(network.pollReceive(server), "AGAIN");
  fails(send(network, server, new Uint8Array(payload_bytes_max + 1), 7000), "MSGSIZE");
  assert.equal(send(network, server, bytes(payload_bytes_max), 7000), payload_bytes_max);
  assert.equal(network.pollReceive(server), payload_bytes_max);
  const got = receive(network, server);
  assert.ok(typeof got === "object");
  assert.deepEqual(got.data, bytes(payload_bytes_max));
});

test("what does not fit into the reader's buffer is lost, what is only looked at stays", () => {
  const { network } = new Island();
  const server = boundTo(network, 7000);
  send(network, server, bytes(10), 7000);
  send(network, server, bytes(5, 2), 7000);
  const target = new Uint8Array(4);
  const from = { address: 0, port: 0, length: 0 };
  assert.equal(network.receive(server, target, 0, 4, from, true), 4);
  assert.equal(from.length, 10);
  assert.equal(network.receive(server, target, 1, 3, from), 3);
  assert.deepEqual([...target], [bytes(10)[0], ...bytes(10).subarray(0, 3)]);
  assert.deepEqual(receive(network, server), { data: bytes(5, 2), address: loopback, port: 7000 });
});

test("a full socket drops what comes, whole", () => {
  const { network } = new Island();
  const server = boundTo(network, 7000);
  const size = 1000;
  const room = Math.floor(ring_bytes / slotFor(size));
  for (let n = 0; n < room + 5; n++) assert.equal(send(network, server, bytes(size, n), 7000), size);
  assert.equal(network.statistics().discarded, 5);
  for (let n = 0; n < room; n++) {
    assert.deepEqual(receive(network, server), { data: bytes(size, n), address: loopback, port: 7000 });
  }
  fails(receive(network, server) as number, "AGAIN");
});

test("shutdown ends one direction or both", () => {
  const { network } = new Island();
  const one = boundTo(network, 7000);
  const other = boundTo(network, 7001);
  fails(network.shutdown(one, 1), "NOTCONN");
  ok(network.connect(one, loopback, 7001));
  fails(network.shutdown(one, 0), "INVAL");
  fails(network.shutdown(one, 4), "INVAL");
  send(network, other, bytes(1), 7000);
  ok(network.shutdown(one, 1));
  assert.ok(typeof receive(network, one) === "object", "what had arrived is still there");
  assert.deepEqual(receive(network, one), { data: bytes(0), address: 0, port: 0 });
  assert.equal(network.pollReceive(one), 0);
  send(network, other, bytes(1), 7000);
  assert.equal(network.pollReceive(one), 0);
  ok(network.send(one, bytes(1), 0, 1, 0, 0));
  ok(network.shutdown(one, 2));
  fails(network.send(one, bytes(1), 0, 1, 0, 0), "PIPE");
  assert.equal(network.pollSend(one), 0);
  assert.ok(network.isShut(one));
});

test("readers are woken by datagrams, by a shutdown and by the end of the socket", () => {
  const island = new Island();
  const { network, woken } = island;
  const server = boundTo(network, 7000);
  island.waitOn(5, network.receiveQueue(server));
  send(network, server, bytes(1), 7001);
  assert.deepEqual(woken, []);
  send(network, server, bytes(1), 7000);
  assert.deepEqual(woken.splice(0), [5]);
  ok(network.connect(server, loopback, 7000));
  ok(network.shutdown(server, 1));
  assert.deepEqual(woken.splice(0), [5]);
  network.close(server);
  assert.deepEqual(woken.splice(0), [5]);
});

test("sockets run out, and come back", () => {
  const island = new Island();
  const before = island.inUse();
  const sockets: number[] = [];
  for (;;) {
    const socket = island.network.open();
    if (socket < 0) {
      // 512 pages are 32 rings of 16.
      fails(socket, "NOBUFS");
      break;
    }
    sockets.push(socket);
  }
  assert.equal(sockets.length, 32);
  for (const socket of sockets) island.network.close(socket);
  assert.deepEqual(island.inUse(), before);
});

test("every ephemeral port is given out once", () => {
  const island = new Island();
  const { network } = island;
  const ports = new Set<number>();
  for (let n = 0; n < 200; n++) {
    const socket = boundTo(network, 0);
    ports.add(portOf(network, socket));
    network.close(socket);
  }
  assert.equal(ports.size, 200, "they are not used again at once");
});

test("over a network controller: datagrams are packets that arrive later", () => {
  const controller = new FakeController(4, 1500);
  const island = new Island(controller);
  const { network, woken } = island;
  const server = boundTo(network, 7000);
  fails(send(network, server, bytes(1473), 7000), "MSGSIZE");
  assert.equal(send(network, server, bytes(1472), 7000), 1472);
  fails(receive(network, server) as number, "AGAIN");
  controller.move();
  island.waitOn(5, network.receiveQueue(server));
  network.interrupt();
  assert.deepEqual(woken.splice(0), [5]);
  assert.deepEqual(receive(network, server), { data: bytes(1472), address: loopback, port: 7000 });
  // The transmit queue fills, senders wait, and are woken when there is room.
  for (let n = 0; n < 4; n++) assert.equal(send(network, server, bytes(10, n), 7000), 10);
  assert.ok(network.pollSend(server) > 0);
  fails(send(network, server, bytes(10), 7000), "AGAIN");
  fails(network.pollSend(server), "AGAIN");
  island.waitOn(6, network.transmitQueue);
  controller.move();
  network.interrupt();
  assert.ok(woken.includes(6));
  assert.ok(network.pollSend(server) > 0);
  for (let n = 0; n < 4; n++) {
    assert.deepEqual(receive(network, server), { data: bytes(10, n), address: loopback, port: 7000 });
  }
  controller.arrived.push(bytes(60));
  network.interrupt();
  assert.equal(network.statistics().malformed, 1);
});

/** What a socket is in the model. */
interface ModelSocket {
  readonly number: number;
  address: number;
  port: number;
  peer: { address: number; port: number } | undefined;
  readonly queue: { data: Uint8Array; address: number; port: number }[];
}

const addresses = [0, loopback, systemAddress];
const stepArbitrary = fc.record({
  kind: fc.constantFrom("open", "bind", "connect", "disconnect", "send", "send", "send", "receive", "close"),
  kernel: fc.nat(1),
  which: fc.nat(7),
  other: fc.nat(7),
  address: fc.constantFrom(...addresses),
  port: fc.integer({ min: 1, max: 4 }),
  length: fc.oneof(fc.nat(40), fc.nat(20_000)),
});

class Model {
  readonly sockets: ModelSocket[] = [];

  isTaken(address: number, port: number): boolean {
    return this.sockets.some(
      (one) => one.port === port && (one.address === address || one.address === 0 || address === 0),
    );
  }

  deliver(from: ModelSocket, data: Uint8Array, address: number, port: number): void {
    const source = from.address || (address === systemAddress ? systemAddress : loopback);
    const target = this.sockets.find(
      (one) => one.port === port && (one.address === 0 || one.address === address),
    );
    if (target === undefined) return;
    if (target.peer !== undefined && (target.peer.address !== source || target.peer.port !== from.port)) {
      return;
    }
    const used = target.queue.reduce((sum, one) => sum + slotFor(one.data.length), 0);
    if (used + slotFor(data.length) > ring_bytes) return;
    target.queue.push({ data, address: source, port: from.port });
  }
}

test("any sequence of operations on two kernels does what a model does", () => {
  const islands = [new Island(), new Island(new FakeController(64, 40_000))];
  const services = islands.map((island) => [island.network, island.kernel(2)]);
  fc.assert(
    fc.property(fc.nat(1), fc.array(stepArbitrary, { maxLength: 60, size: "max" }), (which, steps) => {
      const island = islands[which];
      const before = island.inUse();
      const model = new Model();
      let serial = 0;
      const learnPort = (one: ModelSocket) => {
        const endpoint = { address: 0, port: 0 };
        island.network.localEndpoint(one.number, endpoint);
        one.port = endpoint.port;
      };
      for (const step of steps) {
        const network = services[which][step.kernel];
        const one = model.sockets[step.which % Math.max(1, model.sockets.length)];
        if (step.kind === "open" || one === undefined) {
          if (model.sockets.length < 8) {
            const number = ok(network.open());
            model.sockets.push({ number, address: 0, port: 0, peer: undefined, queue: [] });
          }
          continue;
        }
        const other = model.sockets[step.other % model.sockets.length];
        const port = step.port === 4 && other.port !== 0 ? other.port : step.port;
        const target = step.address === 0 ? loopback : step.address;
        if (step.kind === "bind") {
          const expected = one.port === 0 && !model.isTaken(step.address, port);
          assert.equal(network.bind(one.number, step.address, port) === 0, expected);
          if (expected) Object.assign(one, { address: step.address, port });
        } else if (step.kind === "connect") {
          ok(network.connect(one.number, step.address, port));
          one.peer = { address: target, port };
          learnPort(one);
        } else if (step.kind === "disconnect") {
          network.disconnect(one.number);
          one.peer = undefined;
        } else if (step.kind === "send") {
          const data = bytes(step.length, serial++);
          const toPeer = step.port === 3 && one.peer !== undefined;
          const sent = send(network, one.number, data, toPeer ? 0 : port, step.address);
          assert.equal(sent, data.length);
          if (one.port === 0) learnPort(one);
          const to = toPeer && one.peer !== undefined ? one.peer : { address: target, port };
          model.deliver(one, data, to.address, to.port);
          if (island.hardware instanceof FakeController) {
            island.hardware.move();
            services[which][serial % 2].interrupt();
          }
        } else if (step.kind === "receive") {
          const expected = one.queue.shift();
          const got = receive(network, one.number);
          if (expected === undefined) fails(got as number, "AGAIN");
          else assert.deepEqual(got, expected);
        } else {
          network.close(one.number);
          model.sockets.splice(model.sockets.indexOf(one), 1);
        }
      }
      for (const one of model.sockets) {
        for (const expected of one.queue) assert.deepEqual(receive(island.network, one.number), expected);
        fails(receive(island.network, one.number) as number, "AGAIN");
        island.network.close(one.number);
      }
      assert.deepEqual(island.inUse(), before);
    }),
    { numRuns: 150 },
  );
});
