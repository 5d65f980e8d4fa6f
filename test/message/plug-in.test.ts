/** A transport that is nothing like shared memory: small mailboxes, words in a queue. Endpoints use it beside the other. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { errno } from "../../src/kernel/errno.ts";
import { u32 } from "../../src/memory/index.ts";
import {
  type ChannelCapabilities,
  Endpoint,
  life,
  lifeWord,
  type MessageHeader,
  type OutgoingChannel,
  type Priority,
  type ReceivedMessage,
  rawRequest,
  request,
  type Transport,
} from "../../src/message/index.ts";
import { World } from "./world.ts";

interface Letter {
  readonly header: MessageHeader;
  readonly bytes: Uint8Array;
}

/** Mailboxes of a machine without shared memory: four letters of at most 24 bytes each. */
class Mailboxes {
  readonly boxes = new Map<number, Letter[]>();
  readonly rung = new Set<number>();
}

const room = 4;

class MailboxTransport implements Transport {
  readonly address: number;
  readonly address_limit = 200;
  readonly capabilities: ChannelCapabilities = { payload_bytes_max: 24, ordered: true, reliable: true };
  readonly #mailboxes: Mailboxes;
  #masked = false;

  constructor(mailboxes: Mailboxes, address: number) {
    this.address = address;
    this.#mailboxes = mailboxes;
    mailboxes.boxes.set(address, []);
  }

  /** Everybody who has a mailbox. */
  reaches(peer: number): boolean {
    return this.#mailboxes.boxes.has(peer);
  }

  life(peer: number): number {
    return this.#mailboxes.boxes.has(peer) ? lifeWord(life.live, 1) : life.absent;
  }

  connect(peer: number): OutgoingChannel | number {
    const box = this.#mailboxes.boxes.get(peer);
    if (box === undefined) return -errno.HOSTUNREACH;
    return {
      capabilities: this.capabilities,
      send(header, payload, size) {
        if (size > 24) return -errno.MSGSIZE;
        if (box.length >= room) return -errno.AGAIN;
        box.push({ header: { ...header }, bytes: payload.bytes.slice(0, size) });
        return 0;
      },
      awaitRoom: () => box.length < room,
    };
  }

  receive(into: ReceivedMessage, level: Priority): boolean {
    const box = this.#mailboxes.boxes.get(this.address) ?? [];
    const place = box.findIndex((letter) => letter.header.priority === level);
    if (place < 0) return false;
    const [{ header, bytes }] = box.splice(place, 1);
    Object.assign(into, header, { size: bytes.length });
    into.bytes.set(bytes);
    return true;
  }

  pending(): boolean {
    return this.#mailboxes.boxes.get(this.address)?.length !== 0;
  }

  notify(peer: number): void {
    if (!this.#masked || peer !== this.address) this.#mailboxes.rung.add(peer);
  }

  wake(): void {
    this.#mailboxes.rung.add(this.address);
  }

  mask(): void {
    this.#masked = true;
  }

  unmask(): void {
    this.#masked = false;
  }

  release(): void {}
  count(): void {}
}

const Add = request("add", { a: u32, b: u32 }, { sum: u32 });
const Echo = rawRequest("echo");

function endpointOver(transports: Transport[], onPause: () => void): Endpoint {
  let now_ns = 0;
  return new Endpoint({
    transports,
    now_ns: () => {
      now_ns += 1000;
      return now_ns;
    },
    pause: onPause,
  });
}

describe("another transport", () => {
  test("carries the same requests, within its own limits", () => {
    const mailboxes = new Mailboxes();
    const far = endpointOver([new MailboxTransport(mailboxes, 101)], () => {});
    const near = endpointOver([new MailboxTransport(mailboxes, 100)], () => void far.drain());
    far.serve(Add, ({ a, b }) => ({ sum: a + b }));
    far.serve(Echo, (bytes) => new Uint8Array(bytes.length * 2));
    assert.deepEqual(near.call(101, Add, { a: 1, b: 2 }, 1e9), { status: 0, value: { sum: 3 } });
    assert.equal(near.call(101, Echo, new Uint8Array(25), 1e9).status, -errno.MSGSIZE);
    assert.equal(
      near.call(101, Echo, new Uint8Array(20), 1e9).status,
      -errno.MSGSIZE,
      "the reply is too large",
    );
    assert.equal(near.call(101, Echo, new Uint8Array(10), 1e9).value?.length, 20);
    assert.equal(near.call(150, Add, { a: 1, b: 2 }, 1e9).status, -errno.HOSTUNREACH);
    assert.equal(near.call(5, Add, { a: 1, b: 2 }, 1e9).status, -errno.HOSTUNREACH);
  });

  test("an endpoint with two transports uses the one that reaches the peer", () => {
    const world = new World();
    const mailboxes = new Mailboxes();
    const neighbour = world.node(1);
    const far = endpointOver([new MailboxTransport(mailboxes, 101)], () => {});
    const { transport } = world.node(0);
    const between = endpointOver([transport, new MailboxTransport(mailboxes, 0)], () => {
      neighbour.endpoint.drain();
      far.drain();
    });
    far.serve(Add, ({ a, b }) => ({ sum: a + b }));
    neighbour.endpoint.serve(Add, ({ a, b }) => ({ sum: a * b }));
    assert.equal(between.call(101, Add, { a: 3, b: 4 }, 1e9).value?.sum, 7);
    assert.equal(between.call(1, Add, { a: 3, b: 4 }, 1e9).value?.sum, 12);
  });
});
