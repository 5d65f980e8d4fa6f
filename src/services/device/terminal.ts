/**
 * The terminal, `/dev/tty`. It belongs to one kernel, which moves bytes between programs and the console
 * through two pipes; programs on other kernels reach it through a proxy that asks the owner by message.
 * Line editing and echo happen at the user's end, so input arrives in whole lines.
 */
import { errno } from "../../kernel/errno.ts";
import { terminalRead, terminalWrite } from "../../kernel/protocol.ts";
import type { CoreBlock } from "../../kernel/state.ts";
import type { WaitService } from "../../kernel/wait.ts";
import { type Accessor, type Area, atomic, struct, type TypedMemory, u32 } from "../../memory/index.ts";
import type { Endpoint } from "../../message/index.ts";
import type { Pipes } from "../pipe/pipes.ts";
import type { CharacterDevice } from "./devices.ts";

/** Shared by all kernels and the console: the pipes' numbers, and ends of input that were typed. */
export const TerminalState = struct("TerminalState", {
  input: u32,
  output: u32,
  endOfFiles: atomic(u32),
});

const areaName = "terminal";
/** Largest piece that one message carries. */
const piece_bytes = 3_584;
/**
 * An owner that does not answer for this long is taken for gone. What it reads for a caller that has given up is
 * lost, so this is longer than anything but its death can keep it.
 */
const proxyTimeout_ns = 120_000_000_000;

/** Makes the terminal's pipes; done once, by the kernel that boots first. */
export function createTerminal(memory: TypedMemory, pipes: Pipes): Area<typeof TerminalState.fields> {
  const state = memory.create(areaName, TerminalState, { count: 1 });
  const input = pipes.create();
  const output = pipes.create();
  if (input < 0 || output < 0) throw new Error("no memory for the terminal's pipes");
  state.setInput(0, input);
  state.setOutput(0, output);
  return state;
}

export function attachTerminal(memory: TypedMemory): Area<typeof TerminalState.fields> {
  return memory.attachArea(areaName, TerminalState);
}

/** The terminal on the kernel that owns it. */
export class Terminal implements CharacterDevice {
  readonly name: string;
  readonly isTerminal = true;
  protected readonly state: Area<typeof TerminalState.fields>;
  protected readonly pipes: Pipes;

  constructor(name: string, state: Area<typeof TerminalState.fields>, pipes: Pipes) {
    this.name = name;
    this.state = state;
    this.pipes = pipes;
  }

  get readQueue(): number {
    return this.pipes.readQueue(this.state.input(0));
  }

  get writeQueue(): number {
    return this.pipes.writeQueue(this.state.output(0));
  }

  read(target: Uint8Array, offset: number, length: number): number {
    const count = this.pipes.read(this.state.input(0), target, offset, length);
    return count === -errno.AGAIN && this.takeEndOfFile() ? 0 : count;
  }

  write(source: Uint8Array, offset: number, length: number): number {
    return this.pipes.write(this.state.output(0), source, offset, length);
  }

  pollRead(): number {
    return this.state.endOfFiles(0) > 0 ? 1 : this.pipes.pollRead(this.state.input(0));
  }

  pollWrite(): number {
    return this.pipes.pollWrite(this.state.output(0));
  }

  /** Answers the proxies of other kernels. */
  serve(endpoint: Endpoint): void {
    endpoint.serve(terminalRead, ({ length }) => {
      const buffer = new Uint8Array(Math.min(length, piece_bytes));
      const result = this.read(buffer, 0, buffer.length);
      return { result, tail: buffer.subarray(0, Math.max(0, result)) };
    });
    endpoint.serve(terminalWrite, ({ tail }) => {
      return { result: this.write(tail, 0, tail.length), tail: new Uint8Array(0) };
    });
  }

  private takeEndOfFile(): boolean {
    for (let pending = this.state.endOfFiles(0); pending > 0; pending = this.state.endOfFiles(0)) {
      if (this.state.compareExchangeEndOfFiles(0, pending, pending - 1) === pending) return true;
    }
    return false;
  }
}

/**
 * The terminal on every other kernel. A call waits for the owner's answer, which takes microseconds; an owner
 * that is not going to answer soon is asked when it listens again.
 */
export class TerminalProxy extends Terminal {
  private readonly endpoint: Endpoint;
  private readonly cores: Accessor<typeof CoreBlock.fields>;
  private readonly ownerAddress: number;

  constructor(
    name: string,
    state: Area<typeof TerminalState.fields>,
    pipes: Pipes,
    endpoint: Endpoint,
    cores: Accessor<typeof CoreBlock.fields>,
    ownerAddress: number,
  ) {
    super(name, state, pipes);
    this.endpoint = endpoint;
    this.cores = cores;
    this.ownerAddress = ownerAddress;
  }

  /** While the owner is deaf, its listening again is what there is to wait for. */
  override get readQueue(): number {
    return this.ownerIsDeaf() ? this.cores.deafQueue(this.ownerAddress) : super.readQueue;
  }

  override get writeQueue(): number {
    return this.ownerIsDeaf() ? this.cores.deafQueue(this.ownerAddress) : super.writeQueue;
  }

  private ownerIsDeaf(): boolean {
    return this.cores.deaf(this.ownerAddress) !== 0;
  }

  override read(target: Uint8Array, offset: number, length: number): number {
    if (this.ownerIsDeaf()) return -errno.AGAIN;
    const request = { length, tail: new Uint8Array(0) };
    const reply = this.endpoint.call(this.ownerAddress, terminalRead, request, proxyTimeout_ns);
    if (reply.status < 0 || reply.value === undefined) return -errno.IO;
    const { result, tail } = reply.value;
    if (tail.length > length || (result >= 0 && result !== tail.length)) return -errno.IO;
    target.set(tail, offset);
    return result;
  }

  override write(source: Uint8Array, offset: number, length: number): number {
    if (this.ownerIsDeaf()) return -errno.AGAIN;
    const tail = source.subarray(offset, offset + Math.min(length, piece_bytes));
    const reply = this.endpoint.call(this.ownerAddress, terminalWrite, { tail }, proxyTimeout_ns);
    if (reply.status < 0 || reply.value === undefined) return -errno.IO;
    return reply.value.result <= tail.length ? reply.value.result : -errno.IO;
  }
}

/** The console's side: what the user types goes in, what programs print comes out. */
export class TerminalPeer {
  readonly inputQueue: number;
  readonly outputQueue: number;
  private readonly state: Area<typeof TerminalState.fields>;
  private readonly pipes: Pipes;
  private readonly waits: WaitService;

  constructor(state: Area<typeof TerminalState.fields>, pipes: Pipes, waits: WaitService) {
    this.state = state;
    this.pipes = pipes;
    this.waits = waits;
    this.inputQueue = pipes.writeQueue(state.input(0));
    this.outputQueue = pipes.readQueue(state.output(0));
  }

  /** Bytes accepted, or −AGAIN. */
  type(bytes: Uint8Array, offset: number): number {
    return this.pipes.write(this.state.input(0), bytes, offset, bytes.length - offset);
  }

  /** The next read that finds no input returns end of file, once. */
  endOfFile(): void {
    this.state.addEndOfFiles(0, 1);
    this.waits.wake(this.pipes.readQueue(this.state.input(0)));
  }

  /** Bytes that programs printed, or −AGAIN. */
  take(target: Uint8Array): number {
    return this.pipes.read(this.state.output(0), target, 0, target.length);
  }

  /** Everything printed so far was taken. */
  isDrained(): boolean {
    return this.pipes.filled(this.state.output(0)) === 0;
  }
}
