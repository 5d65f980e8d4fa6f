/** A thread of the concurrency tests: does one task on shared memory and reports what it found. */
import { parentPort, workerData } from "node:worker_threads";
import { struct, TypedMemory, u32 } from "../../src/memory/index.ts";
import { Counters, type Order, Stamped, type Task, Turn } from "./shared-structs.ts";

const order: Order = workerData;
const memory = TypedMemory.attach(order.buffer);

const tasks: Readonly<Record<Task, () => unknown>> = {
  lock() {
    const counters = memory.attachArea("counters", Counters);
    for (let round = 0; round < order.rounds; round++) {
      counters.acquireMutex(0, order.owner);
      const value = counters.one(0);
      if (counters.other(0) !== value) throw new Error("somebody else was inside the lock");
      counters.setOne(0, value + 1);
      counters.setOther(0, value + 1);
      counters.releaseMutex(0, order.owner);
    }
    return "done";
  },
  atomic() {
    const counters = memory.attachArea("counters", Counters);
    for (let round = 0; round < order.rounds; round++) {
      counters.addWord(0, 1);
      counters.addHalf(0, 3);
      counters.addSigned(0, -1);
      counters.addWide(0, 65_537);
    }
    return "done";
  },
  turn() {
    const area = memory.attachArea("turn", Turn);
    for (let round = 0; round < order.rounds; round++) {
      while (area.turn(0) !== order.owner) area.waitTurn(0, 3 - order.owner, 1000);
      area.setRounds(0, area.rounds(0) + 1);
      area.setTurn(0, 3 - order.owner);
      area.notifyTurn(0);
    }
    return "done";
  },
  pool() {
    const pool = memory.attachPool("pool", Stamped);
    const held: number[] = [];
    let empty = 0;
    for (let round = 0; round < order.rounds; round++) {
      // Pseudo-random, so that workers are out of step and the pool sometimes runs empty.
      const wantsMore = (Math.imul(round, 2654435761) >>> 16) % 7 < 4;
      if (wantsMore && held.length < 6) {
        const index = pool.allocate(order.owner);
        if (index === -1) {
          empty++;
          continue;
        }
        if (pool.records.owner(index) !== 0) throw new Error(`record ${index} was handed out twice`);
        pool.records.setOwner(index, order.owner);
        pool.records.setSerial(index, round);
        held.push(index);
      } else {
        const index = held.shift();
        if (index === undefined) continue;
        if (pool.records.owner(index) !== order.owner) throw new Error(`record ${index} changed hands`);
        pool.records.setOwner(index, 0);
        pool.free(index, order.owner);
      }
    }
    for (const index of held) {
      pool.records.setOwner(index, 0);
      pool.free(index, order.owner);
    }
    return empty;
  },
  areas() {
    for (let round = 0; round < order.rounds; round++) {
      const name = `w${order.owner}.${round}`;
      const area = memory.create(name, struct("Own", { value: u32 }), { count: 4 });
      for (let i = 0; i < 4; i++) area.setValue(i, order.owner);
      if (memory.areas().filter((known) => known.name === name).length !== 1)
        throw new Error("the area is not listed once");
      for (let i = 0; i < 4; i++) if (area.value(i) !== order.owner) throw new Error("two areas share room");
      memory.remove(name);
    }
    return "done";
  },
};

parentPort?.postMessage(tasks[order.task]());
