/** The other thread of the tests with real threads: plays one of several roles and reports to address 0. */
import { workerData } from "node:worker_threads";
import { errno } from "../../src/kernel/errno.ts";
import { type Group, priority } from "../../src/message/index.ts";
import { Ask, type Bench, Item, isTailOf, Report, Thread, tailOf, textBytes } from "./threads.ts";

interface Setting {
  readonly bench: Bench;
  readonly address: number;
  readonly role: string;
  readonly peers: readonly number[];
  readonly count: number;
}

const setting = workerData as Setting;
const thread = new Thread(setting.bench, setting.address);
const { endpoint } = thread;

/** Checks that each stream of each sender arrives without a gap, a repetition or a damaged byte. */
class Streams {
  readonly next = new Map<string, number>();
  total = 0;

  take(from: number, stream: number, number: number, tail: Uint8Array): void {
    const key = `${from}.${stream}`;
    const expected = this.next.get(key);
    if (expected !== undefined && number !== expected)
      throw new Error(`${key}: ${number} came instead of ${expected}`);
    if (!isTailOf(number, tail)) throw new Error(`${key}: message ${number} is damaged`);
    this.next.set(key, number + 1);
    this.total++;
  }
}

let failure = "";
function check(action: () => void): void {
  try {
    action();
  } catch (error) {
    failure ||= error instanceof Error ? error.message : String(error);
  }
}

async function report(count: number): Promise<void> {
  if (failure === "" && thread.faults.length > 0) failure = JSON.stringify(thread.faults[0]);
  const sent = () => endpoint.send(0, Report, { count, text: textBytes(failure) }) !== -errno.AGAIN;
  while (!sent()) await new Promise((resolve) => setTimeout(resolve, 1));
}

/** Sends `count` items to each peer while receiving theirs; parks whenever there is nothing to do. */
async function exchange(): Promise<void> {
  const streams = new Streams();
  endpoint.handle(Item, ({ stream, number, tail }, from) =>
    check(() => streams.take(from, stream, number, tail)),
  );
  const numbers = setting.peers.map(() => [0, 0]);
  const expected = setting.count * setting.peers.length;
  let left = expected;
  while (left > 0 && failure === "") {
    const which = thread.next(setting.peers.length);
    const level = thread.next(4) === 0 ? priority.urgent : priority.normal;
    const sent = numbers[which];
    if (sent[0] + sent[1] >= setting.count) continue;
    const number = sent[level];
    const size = thread.next(3) === 0 ? thread.next(900) : thread.next(40);
    const peer = setting.peers[which];
    const status = endpoint.send(peer, Item, { stream: level, number, tail: tailOf(number, size) }, level);
    if (status === 0) {
      sent[level]++;
      left--;
    } else if (status === -errno.HOSTUNREACH) await new Promise((resolve) => setTimeout(resolve, 5));
    else if (status !== -errno.AGAIN) failure = `send gave ${status}`;
    else if (thread.next(2) === 0) {
      let writable = false;
      endpoint.writable(peer, level, size + 8).then(() => {
        writable = true;
      });
      await thread.parkUntil(() => writable);
    }
    if (thread.next(10) === 0) endpoint.drain(thread.next(20) + 1);
    thread.stall();
  }
  await thread.parkUntil(() => streams.total >= expected || failure !== "");
  await report(streams.total);
}

/** Calls the peer and is called by it, some calls nested, and asks it asynchronously as well. */
async function mutualCalls(): Promise<void> {
  const [peer] = setting.peers;
  endpoint.serve(Ask, ({ left, number, tail }) => {
    if (left === 0) return { number, depth: 0, tail };
    const inner = endpoint.call(peer, Ask, { left: left - 1, number, tail }, 20e9);
    if (inner.value === undefined) return inner.status;
    return { number: inner.value.number, depth: inner.value.depth + 1, tail: inner.value.tail };
  });
  while (endpoint.send(peer, Item, { stream: 0, number: 0, tail: tailOf(0, 0) }) !== 0) {
    await new Promise((resolve) => setTimeout(resolve, 2));
  }
  let peerDone = false;
  endpoint.handle(Item, ({ number }) => {
    if (number === 1) peerDone = true;
  });
  let asked = 0;
  let answered = 0;
  for (let number = 0; number < setting.count && failure === ""; number++) {
    const left = thread.next(4);
    const tail = tailOf(number, thread.next(300));
    if (thread.next(3) === 0) {
      asked++;
      endpoint.request(peer, Ask, { left, number, tail }).then(({ status, value }) => {
        answered++;
        if (status === -errno.AGAIN || status === -errno.DEADLK) return;
        if (value?.number !== number || value.depth !== left) failure ||= `request ${number} gave ${status}`;
      });
    } else {
      const { status, value } = endpoint.call(peer, Ask, { left, number, tail }, 20e9);
      // Refused because handlers were nested too deep on both sides: an answer too.
      if (status === -errno.DEADLK) continue;
      if (value?.number !== number || value.depth !== left || !isTailOf(number, value.tail)) {
        failure ||= `call ${number} gave ${status}`;
      }
    }
    if (number % 64 === 0) await null;
    thread.stall();
  }
  await thread.parkUntil(() => answered >= asked || failure !== "");
  while (endpoint.send(peer, Item, { stream: 0, number: 1, tail: tailOf(1, 0) }) === -errno.AGAIN)
    endpoint.drain();
  await thread.parkUntil(() => peerDone || failure !== "");
  await report(answered);
}

/** Opens a group, sends to it for a while, leaves or closes it, over and over. */
async function multicast(): Promise<void> {
  let streams = new Streams();
  endpoint.handle(Item, ({ stream, number, tail }, from) =>
    check(() => streams.take(from, stream, number, tail)),
  );
  let sent = 0;
  let life = 0;
  while (sent < setting.count && failure === "") {
    const opened = thread.groups.open("group");
    if (typeof opened === "number") {
      if (opened !== -errno.AGAIN) failure = `open gave ${opened}`;
      endpoint.drain();
      continue;
    }
    streams = new Streams();
    // Streams are numbered, so that what one sends in another membership is not taken for the same stream.
    const stream = ++life;
    sent += await membership(opened, stream, thread.next(400));
    if (thread.next(4) === 0) opened.close();
    else opened.leave();
  }
  while (thread.groups.join("group") instanceof Object) thread.groups.leaveAll();
  await report(sent);
}

async function membership(group: Group, stream: number, count: number): Promise<number> {
  let number = 0;
  while (number < count && failure === "") {
    const status = endpoint.multicast(group, Item, {
      stream,
      number,
      tail: tailOf(number, thread.next(200)),
    });
    if (status === 0) number++;
    else if (status === -errno.IDRM) break;
    else if (status !== -errno.AGAIN) failure = `multicast gave ${status}`;
    if (status !== 0 || thread.next(8) === 0) endpoint.drain();
    if (status !== 0) await null;
    thread.stall();
  }
  return number;
}

/** Answers and sends until it is ended. */
async function chatter(): Promise<void> {
  endpoint.serve(Ask, ({ number, tail }) => ({ number, depth: 0, tail }));
  const opened = thread.groups.open("doomed");
  for (let number = 0; ; ) {
    const tail = tailOf(number, thread.next(600));
    if (endpoint.send(0, Item, { stream: 1, number, tail }) === 0) number++;
    if (typeof opened !== "number")
      endpoint.multicast(opened, Item, { stream: 2, number: 0, tail: tailOf(0, 10) });
    endpoint.drain();
    if (number % 32 === 0) await null;
  }
}

const roles: { [role: string]: () => Promise<void> } = { exchange, mutualCalls, multicast, chatter };
await roles[setting.role]();
