/** The socket calls of WASIX and WASI, as a program makes them: layouts are those of the C headers. */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { errno } from "../../src/kernel/errno.ts";
import { BLOCKED, DIED } from "../../src/kernel/wait.ts";
import { right } from "../../src/wasi/index.ts";
import { Harness, lastWord } from "../wasi/harness.ts";

const wasix = "wasix_32v1";
const inet4 = 1;
const stream = 1;
const datagram = 2;
const udp = 17;

/** `__wasi_addr_port_t`: tag at 0, port at 2, address at 4. */
function address(h: Harness, port: number, parts: readonly number[] = [127, 0, 0, 1], tag = inet4): number {
  const at = h.room(110);
  h.view.setUint8(at, tag);
  h.view.setUint16(at + 2, port, true);
  for (const [n, part] of parts.entries()) h.view.setUint8(at + 4 + n, part);
  return at;
}

function addressAt(h: Harness, at: number): { tag: number; port: number; address: string } {
  const parts = [4, 5, 6, 7].map((offset) => h.u8(at + offset));
  return { tag: h.u8(at), port: h.u16(at + 2), address: parts.join(".") };
}

function open(h: Harness): number {
  const result = h.room(4);
  assert.equal(h.callIn(wasix, "sock_open", inet4, datagram, udp, result), 0);
  return h.u32(result);
}

function bound(h: Harness, port: number): number {
  const fd = open(h);
  assert.equal(h.callIn(wasix, "sock_bind", fd, address(h, port)), 0);
  return fd;
}

function sendTo(h: Harness, fd: number, text: string, port: number, flags = 0): number {
  const result = h.room(4);
  const vectors = h.vectors(h.text(text));
  const failure = h.callIn(wasix, "sock_send_to", fd, vectors, 1, flags, address(h, port), result);
  return failure === 0 ? h.u32(result) : -failure;
}

/** Another process sends. */
function otherSends(h: Harness, text: string, port: number): void {
  const bytes = new TextEncoder().encode(text);
  const socket = h.network.open();
  assert.equal(h.network.send(socket, bytes, 0, bytes.length, 0, port), bytes.length);
  h.network.close(socket);
}

interface Receipt {
  text: string;
  from: string;
  port: number;
  size: number;
  flags: number;
}

/** A call that can be repeated with the same arguments, as the engine does. */
function receiver(h: Harness, fd: number, length = 1000, flags = 0): () => Receipt | number {
  const at = h.room(length);
  const size = h.room(4);
  const outFlags = h.room(2);
  const from = h.room(110);
  const vectors = h.vectors([at, length]);
  return () => {
    const failure = h.callIn(wasix, "sock_recv_from", fd, vectors, 1, flags, size, outFlags, from);
    if (failure !== 0) return failure;
    const sender = addressAt(h, from);
    assert.equal(sender.tag, inet4);
    const count = h.u32(size);
    return {
      text: h.string(at, Math.min(length, count)),
      from: sender.address,
      port: sender.port,
      size: count,
      flags: h.u16(outFlags),
    };
  };
}

test("two sockets talk", () => {
  const h = new Harness();
  const server = bound(h, 7000);
  const client = bound(h, 7001);
  assert.equal(sendTo(h, client, "ping", 7000), 4);
  const receipt = { text: "ping", from: "127.0.0.1", port: 7001, size: 4, flags: 0 };
  assert.deepEqual(receiver(h, server)(), receipt);
  h.close();
});

test("what can be opened", () => {
  const h = new Harness();
  const result = h.room(4);
  const openOf = (family: number, type: number, protocol: number, at = result) =>
    h.callIn(wasix, "sock_open", family, type, protocol, at);
  assert.equal(openOf(inet4, datagram, 0), 0);
  assert.equal(openOf(2, datagram, udp), errno.AFNOSUPPORT);
  assert.equal(openOf(inet4, stream, 6), errno.NOTSUP);
  assert.equal(openOf(inet4, datagram, 6), errno.PROTONOSUPPORT);
  assert.equal(openOf(inet4, datagram, -1), errno.INVAL);
  assert.equal(openOf(inet4, datagram, udp, lastWord + 1), errno.FAULT);
  const before = h.network.used();
  while (openOf(inet4, datagram, udp) === 0);
  assert.equal(h.network.used() > before, true);
  h.close();
  assert.equal(h.network.used(), 0, "closing everything frees the sockets");
});

test("a socket is a descriptor of its type", () => {
  const h = new Harness();
  const fd = open(h);
  const stat = h.room(24);
  assert.equal(h.call("fd_fdstat_get", fd, stat), 0);
  assert.equal(h.u8(stat), 5);
  assert.equal(h.u64(stat + 8) & right.SOCK_SHUTDOWN, right.SOCK_SHUTDOWN);
  assert.equal(h.call("fd_seek", fd, 0n, 0, h.room(8)), errno.SPIPE);
  assert.equal(h.call("fd_close", fd), 0);
  assert.equal(h.callIn(wasix, "sock_bind", fd, address(h, 7000)), errno.BADF);
  assert.equal(h.callIn(wasix, "sock_bind", 0, address(h, 7000)), errno.NOTSOCK);
  assert.equal(h.network.used(), 0);
  h.close();
});

test("addresses are checked", () => {
  const h = new Harness();
  const fd = open(h);
  const bind = (at: number) => h.callIn(wasix, "sock_bind", fd, at);
  const connect = (at: number) => h.callIn(wasix, "sock_connect", fd, at);
  assert.equal(bind(address(h, 7000, [127, 0, 0, 1], 99)), errno.INVAL);
  assert.equal(bind(address(h, 7000, [127, 0, 0, 1], 2)), errno.AFNOSUPPORT);
  assert.equal(bind(address(h, 7000, [127, 0, 0, 1], 0)), errno.AFNOSUPPORT);
  assert.equal(bind(address(h, 7000, [192, 168, 0, 1])), errno.ADDRNOTAVAIL);
  assert.equal(bind(lastWord), errno.FAULT);
  assert.equal(bind(-1), errno.FAULT);
  assert.equal(connect(address(h, 7000, [8, 8, 8, 8])), errno.NETUNREACH);
  assert.equal(connect(address(h, 0)), errno.INVAL);
  assert.equal(sendTo(h, fd, "x", 0), -errno.INVAL);
  h.close();
});

test("local and peer addresses, and status", () => {
  const h = new Harness();
  const fd = open(h);
  const at = h.room(110);
  const status = h.room(1);
  assert.equal(h.callIn(wasix, "sock_status", fd, status), 0);
  assert.equal(h.u8(status), 0);
  assert.equal(h.callIn(wasix, "sock_addr_local", fd, at), 0);
  assert.deepEqual(addressAt(h, at), { tag: inet4, port: 0, address: "0.0.0.0" });
  assert.equal(h.callIn(wasix, "sock_addr_peer", fd, at), errno.NOTCONN);
  assert.equal(h.callIn(wasix, "sock_bind", fd, address(h, 0x1234, [10, 0, 0, 1])), 0);
  assert.equal(h.callIn(wasix, "sock_addr_local", fd, at), 0);
  assert.deepEqual(addressAt(h, at), { tag: inet4, port: 0x1234, address: "10.0.0.1" });
  assert.deepEqual([h.u8(at + 2), h.u8(at + 3)], [0x34, 0x12], "the port is in the program's byte order");
  assert.equal(h.callIn(wasix, "sock_connect", fd, address(h, 9)), 0);
  assert.equal(h.callIn(wasix, "sock_addr_peer", fd, at), 0);
  assert.deepEqual(addressAt(h, at), { tag: inet4, port: 9, address: "127.0.0.1" });
  assert.equal(h.callIn(wasix, "sock_status", fd, status), 0);
  assert.equal(h.u8(status), 1);
  assert.equal(h.callIn(wasix, "sock_connect", fd, address(h, 0, [], 0)), 0);
  assert.equal(h.callIn(wasix, "sock_addr_peer", fd, at), errno.NOTCONN);
  assert.equal(h.callIn(wasix, "sock_addr_local", fd, lastWord), errno.FAULT);
  h.close();
});

test("a receive without a datagram sleeps until one comes", () => {
  const h = new Harness();
  const server = bound(h, 7000);
  const receive = receiver(h, server);
  assert.equal(receive(), BLOCKED);
  assert.deepEqual(h.woken, []);
  otherSends(h, "hello", 7000);
  assert.deepEqual(h.woken, [h.thread]);
  const got = receive();
  assert.ok(typeof got === "object");
  assert.equal(got.text, "hello");
  assert.equal(receive(), BLOCKED);
  h.dying = true;
  assert.equal(receive(), DIED);
  h.close();
});

test("a receive that waits notices that its descriptor was closed", () => {
  const h = new Harness();
  const server = bound(h, 7000);
  const receive = receiver(h, server);
  assert.equal(receive(), BLOCKED);
  assert.equal(h.call("fd_close", server), 0);
  assert.deepEqual(h.woken, [h.thread]);
  assert.equal(receive(), errno.BADF);
  h.close();
});

test("without waiting: by the descriptor's flag, or the call's", () => {
  const h = new Harness();
  const server = bound(h, 7000);
  assert.equal(receiver(h, server, 10, 8)(), errno.AGAIN);
  assert.equal(h.call("fd_fdstat_set_flags", server, 4), 0);
  assert.equal(receiver(h, server)(), errno.AGAIN);
  assert.equal(h.read(server, 10), -errno.AGAIN);
  assert.equal(receiver(h, server, 10, 16)(), errno.INVAL);
  h.close();
});

test("peeking, truncation, and the flags that tell", () => {
  const h = new Harness();
  const server = bound(h, 7000);
  sendTo(h, server, "abcdefgh", 7000);
  sendTo(h, server, "xyz", 7000);
  const receipt = { from: "127.0.0.1", port: 7000 };
  assert.deepEqual(receiver(h, server, 4, 1)(), { ...receipt, text: "abcd", size: 4, flags: 1 });
  assert.deepEqual(receiver(h, server, 20, 1)(), { ...receipt, text: "abcdefgh", size: 8, flags: 0 });
  assert.deepEqual(receiver(h, server, 4, 4)(), { ...receipt, text: "abcd", size: 8, flags: 1 });
  assert.deepEqual(receiver(h, server)(), { ...receipt, text: "xyz", size: 3, flags: 0 });
  h.close();
});

test("a datagram is gathered from buffers and scattered over buffers", () => {
  const h = new Harness();
  const server = bound(h, 7000);
  const result = h.room(4);
  const parts = h.vectors(h.text("one "), h.text("two "), h.text("three"));
  assert.equal(h.callIn(wasix, "sock_send_to", server, parts, 3, 0, address(h, 7000), result), 0);
  assert.equal(h.u32(result), 13);
  const rooms: [number, number][] = [
    [h.room(5), 5],
    [h.room(3), 3],
    [h.room(9), 9],
  ];
  const into = h.vectors(...rooms);
  const flags = h.room(2);
  assert.equal(h.callIn(wasix, "sock_recv", server, into, 3, 0, result, flags), 0);
  assert.equal(h.u32(result), 13);
  assert.deepEqual(
    rooms.map(([at, length]) => h.string(at, length)),
    ["one t", "wo ", "three\0\0\0\0"],
  );
  h.close();
});

test("a connected socket is read and written like a file, a datagram at a time", () => {
  const h = new Harness();
  const server = bound(h, 7000);
  const client = bound(h, 7001);
  assert.equal(h.write(client, "x"), -errno.DESTADDRREQ);
  assert.equal(h.callIn(wasix, "sock_connect", client, address(h, 7000)), 0);
  assert.equal(h.write(client, "hello"), 5);
  assert.equal(h.write(client, ""), 0);
  assert.equal(h.read(server, 3), "hel", "the rest of a datagram is lost");
  assert.equal(h.read(server, 3), "");
  assert.ok(Number.isNaN(h.read(server, 3)));
  h.waits.waitDone(h.thread);
  // Lists of buffers are one datagram too.
  const result = h.room(4);
  assert.equal(h.call("fd_write", client, h.vectors(h.text("ab"), h.text("cd")), 2, result), 0);
  const rooms: [number, number][] = [
    [h.room(1), 1],
    [h.room(8), 8],
  ];
  assert.equal(h.call("fd_read", server, h.vectors(...rooms), 2, result), 0);
  assert.equal(h.u32(result), 4);
  assert.equal(h.string(rooms[0][0], 1) + h.string(rooms[1][0], 3), "abcd");
  assert.equal(h.call("sock_send", client, h.vectors(h.text("wasi")), 1, 0, result), 0);
  assert.equal(h.read(server, 10), "wasi");
  h.close();
});

test("messages that are too long are refused whole", () => {
  const h = new Harness();
  const fd = bound(h, 7000);
  assert.equal(h.callIn(wasix, "sock_connect", fd, address(h, 7000)), 0);
  const at = h.room(40_000);
  const result = h.room(4);
  const two = h.vectors([at, 40_000], [at, 40_000]);
  assert.equal(h.callIn(wasix, "sock_send", fd, two, 2, 0, result), errno.MSGSIZE);
  assert.equal(h.call("fd_write", fd, two, 2, result), errno.MSGSIZE);
  const one = h.vectors([0, 65_508]);
  assert.equal(h.callIn(wasix, "sock_send", fd, one, 1, 0, result), errno.MSGSIZE);
  assert.equal(h.callIn(wasix, "sock_send", fd, one, 1, 2, result), errno.INVAL);
  assert.equal(h.callIn(wasix, "sock_send", fd, one, 1, 0, lastWord + 2), errno.FAULT);
  assert.equal(h.network.statistics().delivered, 0);
  h.close();
});

test("shutdown", () => {
  const h = new Harness();
  const fd = bound(h, 7000);
  assert.equal(h.call("sock_shutdown", fd, 3), errno.NOTCONN);
  assert.equal(h.callIn(wasix, "sock_connect", fd, address(h, 7000)), 0);
  assert.equal(h.call("sock_shutdown", fd, 0), errno.INVAL);
  const receive = receiver(h, fd);
  assert.equal(receive(), BLOCKED);
  assert.equal(h.call("sock_shutdown", fd, 1), 0);
  assert.deepEqual(h.woken, [h.thread]);
  const end = receive();
  assert.ok(typeof end === "object" && end.size === 0);
  assert.equal(h.callIn(wasix, "sock_shutdown", fd, 2), 0);
  assert.equal(h.write(fd, "x"), -errno.PIPE);
  assert.equal(h.call("sock_accept", fd, 0, h.room(4)), errno.NOTSUP);
  h.close();
});

test("rights: reading and writing can be given up", () => {
  const h = new Harness();
  const fd = bound(h, 7000);
  assert.equal(h.call("fd_fdstat_set_rights", fd, BigInt(right.FD_READ), 0n), 0);
  assert.equal(sendTo(h, fd, "x", 7000), -errno.NOTCAPABLE);
  assert.equal(h.call("sock_shutdown", fd, 1), errno.NOTCAPABLE);
  assert.equal(receiver(h, fd, 10, 8)(), errno.AGAIN);
  h.close();
});

test("poll_oneoff sees sockets", () => {
  const h = new Harness();
  const fd = bound(h, 7000);
  const input = h.room(48);
  const output = h.room(64);
  const result = h.room(4);
  h.view.setUint8(input + 8, 1);
  h.view.setUint32(input + 16, fd, true);
  assert.equal(h.call("poll_oneoff", input, output, 1, result), BLOCKED);
  otherSends(h, "hello", 7000);
  assert.deepEqual(h.woken, [h.thread]);
  assert.equal(h.call("poll_oneoff", input, output, 1, result), 0);
  assert.equal(h.u32(result), 1);
  assert.deepEqual([h.u16(output + 8), h.u8(output + 10), h.u64(output + 16)], [0, 1, 5]);
  h.view.setUint8(input + 8, 2);
  assert.equal(h.call("poll_oneoff", input, output, 1, result), 0);
  assert.equal(h.u64(output + 16), 65_507);
  h.close();
});

test("calls with any arguments say what is wrong, and leak nothing", () => {
  const small = fc.nat(12);
  const place = fc.oneof(
    fc.integer({ min: 0, max: 1 << 20 }),
    fc.constantFrom(0, -1, lastWord, lastWord + 3, 1 << 20, 0x7fffffff, -0x80000000),
  );
  const names = ["open", "bind", "connect", "send_to", "recv_from", "addr_local", "addr_peer", "status"];
  const calls = fc.record({
    name: fc.constantFrom(...[...names, "send", "recv", "shutdown", "accept"].map((name) => `sock_${name}`)),
    // Most of the time a place where there is an address, or a list of buffers, and a number that is a descriptor.
    values: fc.array(fc.oneof(small, small, place), { minLength: 7, maxLength: 7 }),
    meant: fc.boolean(),
  });
  const parameters: Record<string, string> = {
    sock_open: "yypR",
    sock_bind: "dA",
    sock_connect: "dA",
    sock_send_to: "dVnfAR",
    sock_recv_from: "dVnfRRA",
    sock_addr_local: "dR",
    sock_addr_peer: "dR",
    sock_status: "dR",
    sock_send: "dVnfR",
    sock_recv: "dVnfRR",
    sock_shutdown: "dn",
    sock_accept: "dnRR",
  };
  fc.assert(
    fc.property(fc.array(calls, { maxLength: 60, size: "max" }), (steps) => {
      const h = new Harness();
      const fd = bound(h, 7000);
      const at = address(h, 7000);
      const buffers = h.vectors(h.text("some bytes"), h.text("and more"));
      const results = h.room(200);
      for (const { name, values, meant } of steps) {
        const letters = parameters[name];
        const given = [...letters].map((letter, n) => {
          if (!meant) return values[n];
          if (letter === "A") return at;
          if (letter === "V") return buffers;
          if (letter === "R") return results;
          if (letter === "d") return fd + (values[n] % 3);
          if (letter === "f") return values[n] % 2 === 0 ? 0 : 8;
          return letter === "p" ? 17 : letter === "y" ? 1 + (n % 2) : values[n] % 3;
        });
        const result = h.callIn(wasix, name, ...given);
        assert.ok(result === BLOCKED || (result >= 0 && result <= 76), `${name}(${given}) gave ${result}`);
        h.waits.waitDone(h.thread);
      }
      h.close();
      assert.equal(h.network.used(), 0);
    }),
    { numRuns: 60 },
  );
});
