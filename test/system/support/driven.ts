/** A puppet process that a test drives by hand: one system call at a time, with the bytes it reads and writes. */
import assert from "node:assert/strict";
import type { Process } from "../../../src/index.ts";
import { encodeRecord, pokeCall, puppetCalls } from "./puppet.ts";

/** Where calls put their results, and where texts and buffers go. */
const resultAt = 8192;
const vectorAt = 8208;
const textAt = 16_384;
const chunk_bytes = 8;

export class Driven {
  readonly process: Process;
  private readonly writer: WritableStreamDefaultWriter<Uint8Array>;
  private readonly answers: ReadableStreamDefaultReader<Uint8Array>;
  private readonly output: ReadableStreamDefaultReader<Uint8Array>;

  constructor(process: Process) {
    assert.ok(process.stdin !== null && process.stderr !== null && process.stdout !== null);
    this.process = process;
    this.writer = process.stdin.getWriter();
    this.answers = process.stderr.getReader();
    this.output = process.stdout.getReader();
  }

  /** Makes a call; its result. */
  async call(name: string, ...args: (number | bigint)[]): Promise<number> {
    return this.record(puppetCalls.indexOf(name), args);
  }

  private async record(call: number, args: readonly (number | bigint)[]): Promise<number> {
    const words = args.map((one) => BigInt(one));
    await this.writer.write(encodeRecord(call, words));
    const { value } = await this.answers.read();
    assert.ok(value !== undefined && value.length === 4, "the puppet has ended");
    return new DataView(value.buffer, value.byteOffset).getInt32(0, true);
  }

  /** Puts bytes into its memory. */
  async put(address: number, bytes: Uint8Array): Promise<void> {
    for (let at = 0; at < bytes.length; at += chunk_bytes) {
      const chunk = new Uint8Array(chunk_bytes);
      chunk.set(bytes.subarray(at, at + chunk_bytes));
      await this.record(pokeCall, [address + at, new DataView(chunk.buffer).getBigUint64(0, true)]);
    }
  }

  /** Bytes of its memory: it writes them to its standard output. */
  async get(address: number, length: number): Promise<Uint8Array> {
    await this.vector(address, length);
    assert.equal(await this.call("fd_write", 1, vectorAt, 1, resultAt), 0);
    const { value } = await this.output.read();
    assert.ok(value !== undefined && value.length === length);
    return value;
  }

  /** A number of 32 bits where calls put their results, or a bit further. */
  async result(offset = 0): Promise<number> {
    const bytes = await this.get(resultAt + offset, 4);
    return new DataView(bytes.buffer, bytes.byteOffset).getUint32(0, true);
  }

  async write(descriptor: number, text: string): Promise<number> {
    const bytes = new TextEncoder().encode(text);
    await this.put(textAt, bytes);
    await this.vector(textAt, bytes.length);
    return this.call("fd_write", descriptor, vectorAt, 1, resultAt);
  }

  /** Text that a descriptor gives, at most `limit` bytes. */
  async read(descriptor: number, limit: number): Promise<string> {
    await this.vector(textAt, limit);
    assert.equal(await this.call("fd_read", descriptor, vectorAt, 1, resultAt), 0);
    const count = await this.result();
    return count === 0 ? "" : new TextDecoder().decode(await this.get(textAt, count));
  }

  /** Opens a path below a directory with all rights: the descriptor, or a negated errno. */
  async open(path: string, flags = 0, create = 0, directory = 4): Promise<number> {
    const bytes = new TextEncoder().encode(path);
    await this.put(textAt, bytes);
    const rights = 0x1ff_ffffn;
    const args = [directory, 0, textAt, bytes.length, create, rights, rights, flags, resultAt];
    const result = await this.call("path_open", ...args);
    return result === 0 ? this.result() : -result;
  }

  async end(): Promise<void> {
    await this.writer.close().catch(() => undefined);
    await this.process.wait();
  }

  private async vector(address: number, length: number): Promise<void> {
    await this.record(pokeCall, [vectorAt, BigInt(address) | (BigInt(length) << 32n)]);
  }
}
