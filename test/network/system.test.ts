/** UDP between processes on the kernels of a running system. */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { type Archipelago, CheckpointError } from "../../src/index.ts";
import { noCompiler } from "../system/support/c-program.ts";
import { Driven } from "../system/support/driven.ts";
import { puppet } from "../system/support/puppet.ts";
import {
  assertSameUsage,
  bootAgain,
  bootForTest,
  eventually,
  killCore,
  pause,
  type TestSystem,
  temporaryDirectory,
  textOf,
  within,
} from "../system/support/system.ts";

let started: TestSystem;
let system: Archipelago;

before(async () => {
  started = await bootForTest();
  system = started.system;
  started.install("puppet", puppet());
  for (const kernel of [0, 1]) await (await start(kernel)).end();
});
after(() => started[Symbol.asyncDispose]());

/** Where the puppet has room for addresses, buffers and results. */
const addressAt = 9000;
const senderAt = 9200;
const vectorAt = 9400;
const bufferAt = 10_000;
const resultAt = 8192;
const flagsAt = 8200;

/** A process that makes system calls on command, with sockets. */
class Talker extends Driven {
  async socket(port?: number): Promise<number> {
    assert.equal(await this.call("wasix_32v1.sock_open", 1, 2, 17, resultAt), 0);
    const fd = await this.result();
    if (port !== undefined) {
      await this.address(port);
      assert.equal(await this.call("wasix_32v1.sock_bind", fd, addressAt), 0);
    }
    return fd;
  }

  async address(port: number): Promise<void> {
    await this.put(addressAt, new Uint8Array([1, 0, port & 255, port >> 8, 127, 0, 0, 1]));
  }

  async send(fd: number, text: string, port: number): Promise<number> {
    const bytes = new TextEncoder().encode(text);
    await this.address(port);
    await this.buffer(bytes.length);
    await this.put(bufferAt, bytes);
    return this.call("wasix_32v1.sock_send_to", fd, vectorAt, 1, 0, addressAt, resultAt);
  }

  /** The next datagram and its sender's port; may take long. */
  async receive(fd: number): Promise<{ text: string; port: number }> {
    await this.buffer(100);
    const result = await this.call(
      "wasix_32v1.sock_recv_from",
      fd,
      vectorAt,
      1,
      0,
      resultAt,
      flagsAt,
      senderAt,
    );
    assert.equal(result, 0);
    const count = await this.result();
    const sender = await this.get(senderAt, 8);
    const text = count === 0 ? "" : new TextDecoder().decode(await this.get(bufferAt, count));
    return { text, port: sender[2] | (sender[3] << 8) };
  }

  private async buffer(length: number): Promise<void> {
    const words = new Uint32Array([bufferAt, length]);
    await this.put(vectorAt, new Uint8Array(words.buffer));
  }
}

async function start(kernel: number): Promise<Talker> {
  return new Talker(await system.spawn("/tmp/puppet.wasm", [], { kernel }));
}

test("two processes on two kernels talk", async () => {
  const usage = system.usage();
  const [server, client] = await Promise.all([start(0), start(1)]);
  const serving = await server.socket(7000);
  const asking = await client.socket(7001);
  for (let round = 0; round < 5; round++) {
    assert.equal(await client.send(asking, `ping ${round}`, 7000), 0);
    assert.deepEqual(await server.receive(serving), { text: `ping ${round}`, port: 7001 });
    assert.equal(await server.send(serving, `pong ${round}`, 7001), 0);
    assert.deepEqual(await client.receive(asking), { text: `pong ${round}`, port: 7000 });
  }
  assert.equal(system.usage().sockets, usage.sockets + 2);
  await server.end();
  await client.end();
  await assertSameUsage(system, usage, "sockets");
});

test("a receive that waits is woken from another kernel, and another port is not taken twice", async () => {
  const [server, client] = await Promise.all([start(0), start(1)]);
  const serving = await server.socket(7000);
  const asking = await client.socket();
  await client.address(7000);
  assert.equal(await client.call("wasix_32v1.sock_bind", asking, addressAt), 3, "EADDRINUSE");
  const waiting = server.receive(serving);
  await pause(30);
  assert.equal(await client.send(asking, "now", 7000), 0);
  assert.equal((await within(10_000, "the datagram", waiting)).text, "now");
  await server.end();
  await client.end();
});

test("a process that waits for a datagram can be killed, and leaves nothing", async () => {
  const usage = system.usage();
  const server = await start(1);
  const serving = await server.socket(7000);
  const waiting = server.receive(serving).catch(() => undefined);
  await pause(30);
  server.process.kill(9);
  assert.equal((await within(10_000, "the end", server.process.wait())).signal, 9);
  await waiting;
  await assertSameUsage(system, usage, "a killed receiver");
});

test("a process moves to another kernel with its socket, while it waits for a datagram", async () => {
  const [server, client] = await Promise.all([start(0), start(1)]);
  const serving = await server.socket(7000);
  const asking = await client.socket(7001);
  await client.send(asking, "before", 7000);
  assert.equal((await server.receive(serving)).text, "before");
  const waiting = server.receive(serving);
  await pause(30);
  await system.migrate(server.process.pid, 1);
  await eventually("the move", () =>
    system.processes().some(({ pid, kernel }) => pid === server.process.pid && kernel === 1),
  );
  assert.equal(await client.send(asking, "after", 7000), 0);
  assert.deepEqual(await within(10_000, "the datagram", waiting), { text: "after", port: 7001 });
  await server.end();
  await client.end();
});

test("poll_oneoff wakes up for a datagram", async () => {
  const [server, client] = await Promise.all([start(0), start(1)]);
  const serving = await server.socket(7000);
  const asking = await client.socket();
  const subscription = new DataView(new ArrayBuffer(48));
  subscription.setUint8(8, 1);
  subscription.setUint32(16, serving, true);
  await server.put(12_000, new Uint8Array(subscription.buffer));
  const polling = server.call("poll_oneoff", 12_000, 12_100, 1, resultAt);
  await pause(30);
  await client.send(asking, "hello", 7000);
  assert.equal(await within(10_000, "the poll", polling), 0);
  const event = new DataView((await server.get(12_100, 32)).slice().buffer);
  assert.equal(event.getUint16(8, true), 0);
  assert.equal(event.getUint32(16, true), 5, "bytes that can be read");
  assert.equal((await server.receive(serving)).text, "hello");
  await server.end();
  await client.end();
});

test("a checkpoint says that it cannot hold a socket", async () => {
  const server = await start(0);
  await server.socket(7000);
  await assert.rejects(
    system.checkpoint(server.process.pid, "/tmp/c"),
    (error: Error) => error instanceof CheckpointError && /descriptor \d+ is a socket/.test(error.message),
  );
  await server.end();
});

/** A C program of `programs`, or undefined where there is no compiler. */
function compile(name: string): Uint8Array | undefined {
  const binary = join(temporaryDirectory(), `${name}.wasm`);
  const source = join(import.meta.dirname, "programs", `${name}.c`);
  const options = ["--target=wasm32-wasi", "--sysroot=/usr", "-O1", "-o", binary, source];
  return spawnSync("clang", options).status === 0 ? readFileSync(binary) : undefined;
}

const echo = compile("echo");

test("a compiled server echoes to clients on all kernels", {
  skip: echo === undefined && noCompiler,
}, async () => {
  assert.ok(echo !== undefined);
  const path = started.install("echo", echo);
  await system.run(path, ["check"]);
  const usage = system.usage();
  const server = await system.spawn(path, ["serve", "7100"], { kernel: 0, stdout: "pipe", stderr: "null" });
  await eventually("the server", () => system.usage().sockets === usage.sockets + 1);
  const clients = [0, 1, 1, 0].map((kernel, n) =>
    system.spawn(path, ["ask", "7100", String(n), "500"], { kernel, stdout: "pipe" }),
  );
  for (const client of await Promise.all(clients)) {
    const output = textOf(client.stdout);
    const { exitCode } = await within(20_000, "a client", client.wait());
    assert.equal(await output, "500 answers\n");
    assert.equal(exitCode, 0);
  }
  const { exitCode } = await system.run(path, ["stop", "7100"]);
  assert.equal(exitCode, 0);
  const output = textOf(server.stdout);
  assert.equal((await within(10_000, "the server", server.wait())).exitCode, 0);
  assert.equal(await output, "2000 requests\n");
  await assertSameUsage(system, usage, "server and clients");
});

test("a kernel dies with sockets: its ports are free again, and others go on", async () => {
  await using own = await bootForTest();
  own.install("puppet", puppet());
  const startIn = async (kernel: number) =>
    new Talker(await own.system.spawn("/tmp/puppet.wasm", [], { kernel }));
  const usage = own.system.usage();
  const survivor = await startIn(0);
  const asking = await survivor.socket(7001);
  const victim = await startIn(1);
  const serving = await victim.socket(7000);
  await survivor.send(asking, "one", 7000);
  assert.equal((await victim.receive(serving)).text, "one");
  const waiting = victim.receive(serving).catch(() => undefined);
  await pause(30);
  await killCore(own.system, 1);
  await waiting;
  assert.equal((await victim.process.wait()).exitCode, 137);
  const again = await survivor.socket(7000);
  await survivor.send(asking, "two", 7000);
  assert.deepEqual(await survivor.receive(again), { text: "two", port: 7001 });
  await survivor.end();
  await bootAgain(own.system, 1);
  assert.equal(own.system.usage().sockets, usage.sockets);
  own.log.length = 0;
});
