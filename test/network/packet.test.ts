/** Packets: what RFC 791 and RFC 768 say, and nothing damaged gets through. */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { emptyDatagram } from "../../src/services/network/datagram.ts";
import { headers_bytes, PacketCodec } from "../../src/services/network/packet.ts";

const codec = new PacketCodec(2000);

const datagrams = fc.record({
  sourceAddress: fc.nat(0xffffffff),
  sourcePort: fc.nat(65_535),
  destinationAddress: fc.nat(0xffffffff),
  destinationPort: fc.integer({ min: 1, max: 65_535 }),
  payload: fc.uint8Array({ maxLength: 1000 }),
});

function encode(one: { payload: Uint8Array } & Record<string, number | Uint8Array>): Uint8Array {
  const { payload, ...rest } = one;
  return codec.encode({ ...emptyDatagram(), ...rest, bytes: payload, offset: 0, length: payload.length });
}

/** The checksum as the RFC defines it, one bit pattern after the other. */
function onesComplementSum(words: readonly number[]): number {
  return words.reduce((total, word) => {
    const next = total + word;
    return next > 0xffff ? next - 0xffff : next;
  }, 0);
}

function wordsOf(bytes: Uint8Array): number[] {
  const words: number[] = [];
  for (let at = 0; at < bytes.length; at += 2) words.push((bytes[at] << 8) | (bytes[at + 1] ?? 0));
  return words;
}

test("a packet is laid out as the RFCs say", () => {
  const payload = new TextEncoder().encode("ping!");
  const packet = encode({
    sourceAddress: 0x7f000001,
    sourcePort: 0x1234,
    destinationAddress: 0x0a000001,
    destinationPort: 53,
    payload,
  });
  const view = new DataView(packet.buffer);
  assert.equal(packet.length, 33);
  assert.equal(view.getUint8(0), 0x45);
  assert.equal(view.getUint16(2), 33);
  assert.equal(view.getUint16(6), 0x4000);
  assert.equal(view.getUint8(9), 17);
  assert.deepEqual([...packet.subarray(12, 20)], [127, 0, 0, 1, 10, 0, 0, 1]);
  assert.equal(view.getUint16(20), 0x1234);
  assert.equal(view.getUint16(22), 53);
  assert.equal(view.getUint16(24), 13);
  assert.equal(new TextDecoder().decode(packet.subarray(28)), "ping!");
});

test("checksums are those of the definition", () => {
  fc.assert(
    fc.property(datagrams, (one) => {
      const packet = encode(one);
      assert.equal(onesComplementSum(wordsOf(packet.subarray(0, 20))), 0xffff);
      const pseudo = [...wordsOf(packet.subarray(12, 20)), 17, packet.length - 20];
      assert.equal(onesComplementSum([...pseudo, ...wordsOf(packet.subarray(20))]), 0xffff);
    }),
    { numRuns: 200 },
  );
});

test("what is encoded is decoded again", () => {
  fc.assert(
    fc.property(datagrams, (one) => {
      const packet = encode(one);
      const into = emptyDatagram();
      assert.ok(codec.decode(packet, into));
      const { payload, ...rest } = one;
      const { bytes, offset, length, ...found } = into;
      assert.deepEqual(found, rest);
      assert.deepEqual(bytes.slice(offset, offset + length), payload);
    }),
    { numRuns: 200 },
  );
});

test("a flipped bit, a byte more or a byte less is found", () => {
  const into = emptyDatagram();
  fc.assert(
    fc.property(datagrams, fc.nat(), (one, where) => {
      const packet = encode(one);
      const damaged = packet.slice();
      const bit = where % (packet.length * 8);
      damaged[bit >> 3] ^= 1 << (bit & 7);
      assert.equal(codec.decode(damaged, into), false);
      assert.equal(codec.decode(packet.subarray(0, packet.length - 1), into), false);
      assert.equal(codec.decode(new Uint8Array([...packet, 0]), into), false);
    }),
    { numRuns: 300 },
  );
});

test("bytes that are no packet are refused, whatever they are", () => {
  const into = emptyDatagram();
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 2100 }), (noise) => {
      assert.equal(codec.decode(noise, into), false);
    }),
    { numRuns: 200 },
  );
  assert.equal(codec.decode(new Uint8Array(headers_bytes), into), false);
});

test("a datagram without a checksum is taken, as RFC 768 has it", () => {
  const packet = encode({
    sourceAddress: 1,
    sourcePort: 1,
    destinationAddress: 2,
    destinationPort: 2,
    payload: new Uint8Array(3),
  });
  new DataView(packet.buffer).setUint16(26, 0);
  assert.ok(codec.decode(packet, emptyDatagram()));
});
