/** Frames of any content arrive at the network controller: sockets get what is meant for them, the rest is counted. */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { loopbackAddress, systemAddress } from "../../src/services/network/address.ts";
import { emptyDatagram } from "../../src/services/network/datagram.ts";
import { headers_bytes, PacketCodec } from "../../src/services/network/packet.ts";
import { FakeController, Island } from "../network/rig.ts";

const codec = new PacketCodec(1500);

/** A whole and sound packet. */
function packet(
  destinationAddress: number,
  destinationPort: number,
  payload: Uint8Array,
  source = { address: loopbackAddress, port: 9 },
): Uint8Array {
  return codec.encode({
    ...emptyDatagram(),
    sourceAddress: source.address,
    sourcePort: source.port,
    destinationAddress,
    destinationPort,
    bytes: payload,
    length: payload.length,
  });
}

function islandWithSocket() {
  const controller = new FakeController(8, 1500);
  const island = new Island(controller);
  const { network } = island;
  const socket = network.open();
  assert.equal(network.bind(socket, 0, 7000), 0);
  const arrive = (...frames: Uint8Array[]) => {
    controller.arrived.push(...frames);
    network.interrupt();
  };
  const received = { address: 0, port: 0, length: 0 };
  const target = new Uint8Array(2000);
  const receive = () => {
    const count = network.receive(socket, target, 0, target.length, received);
    return count < 0 ? null : Buffer.from(target.subarray(0, count)).toString("latin1");
  };
  return { network, arrive, receive };
}

test("regression: a packet for somebody else is no socket's, bound to any address or not", () => {
  const { network, arrive, receive } = islandWithSocket();
  const payload = Buffer.from("for you");
  for (const address of [0x08080808, 0, 0xffffffff, 0xe0000001, systemAddress + 1]) {
    arrive(packet(address, 7000, payload));
    assert.equal(receive(), null, `address ${address}`);
  }
  assert.deepEqual(network.statistics(), { delivered: 0, discarded: 5, malformed: 0 });
  arrive(packet(systemAddress, 7000, payload), packet(0x7f123456, 7000, payload));
  assert.equal(receive(), "for you");
  assert.equal(receive(), "for you");
});

const address = fc.oneof(fc.constantFrom(loopbackAddress, systemAddress, 0, 0xffffffff), fc.nat(0xffffffff));
const sound = fc
  .record({
    to: address,
    port: fc.oneof(fc.constantFrom(7000, 1, 65_535), fc.integer({ min: 1, max: 65_535 })),
    from: fc.record({ address, port: fc.nat(65_535) }),
    payload: fc.uint8Array({ maxLength: 1500 - headers_bytes }),
  })
  .map(({ to, port, from, payload }) => packet(to, port, payload, from));
const bent = fc
  .tuple(sound, fc.array(fc.tuple(fc.nat(40), fc.nat(255)), { minLength: 1, maxLength: 4 }))
  .map(([bytes, changes]) => {
    const changed = bytes.slice();
    for (const [at, value] of changes) changed[at % changed.length] = value;
    return changed;
  });
const cut = fc.tuple(sound, fc.nat(60)).map(([bytes, length]) => bytes.subarray(0, length));
const frame = fc.oneof(sound, bent, cut, fc.uint8Array({ minLength: 1, maxLength: 1600 }));

test("frames of any content are delivered, discarded or malformed, each one of them", () => {
  fc.assert(
    fc.property(fc.array(frame, { maxLength: 60 }), (frames) => {
      const { network, arrive, receive } = islandWithSocket();
      arrive(...frames);
      const { delivered, discarded, malformed } = network.statistics();
      assert.equal(delivered + discarded + malformed, frames.length);
      for (let n = 0; n < delivered; n++) assert.equal(typeof receive(), "string");
      assert.equal(receive(), null);
      // And the socket works on.
      arrive(packet(loopbackAddress, 7000, Buffer.from("after all")));
      assert.equal(receive(), "after all");
    }),
    { numRuns: Number(process.env.RUNS ?? 60), endOnFailure: process.env.SHRINK === undefined },
  );
});
