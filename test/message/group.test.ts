/** Multicast groups in one thread. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import { errno } from "../../src/kernel/errno.ts";
import { u32 } from "../../src/memory/index.ts";
import { type Group, Groups, message, priority } from "../../src/message/index.ts";
import { GroupControl, recordsAt } from "../../src/message/layout.ts";
import { type Node, settleAll, World } from "./world.ts";

const Note = message("note", { number: u32 }, { tail: true });
const none = new Uint8Array(0);

interface Member extends Node {
  readonly groups: Groups;
  readonly seen: number[];
}

function member(world: World, address: number, continueIncarnation = false): Member {
  const node = world.node(address, continueIncarnation);
  const { endpoint, transport, faults } = node;
  const report = (fault: (typeof faults)[number]) => void faults.push(fault);
  const groups = new Groups({ memory: world.memory, endpoint, transport, pause: () => {}, report });
  const seen: number[] = [];
  endpoint.handle(Note, ({ number }) => seen.push(number));
  return { ...node, groups, seen };
}

function open(one: Member, name: string): Group {
  const group = one.groups.open(name);
  assert.ok(typeof group !== "number", `open gave ${group}`);
  return group;
}

function trio(): { world: World; members: Member[]; handles: Group[] } {
  const world = new World();
  const members = [0, 1, 2].map((address) => member(world, address));
  return { world, members, handles: members.map((one) => open(one, "mm.5")) };
}

describe("groups", () => {
  test("one send reaches every member but the sender, once and in order", () => {
    const { world, members, handles } = trio();
    for (let i = 0; i < 30; i++) {
      assert.equal(members[i % 3].endpoint.multicast(handles[i % 3], Note, { number: i, tail: none }), 0);
    }
    world.settle(members);
    members.forEach((one, address) => {
      assert.deepEqual(
        one.seen,
        [...Array(30).keys()].filter((i) => i % 3 !== address),
      );
    });
    assert.deepEqual(handles[0].members(), [0, 1, 2]);
  });

  test("opening twice gives the same handle; joining what is not open is NOENT", () => {
    const { members, handles } = trio();
    assert.equal(members[0].groups.open("mm.5"), handles[0]);
    assert.equal(members[0].groups.join("mm.5"), handles[0]);
    assert.equal(members[0].groups.join("other"), -errno.NOENT);
    assert.throws(() => members[0].groups.open(""));
    assert.throws(() => members[0].groups.open("x".repeat(49)));
  });

  test("whoever joins gets what is sent from then on; whoever left gets nothing more and cannot send", () => {
    const { world, members, handles } = trio();
    members[0].endpoint.multicast(handles[0], Note, { number: 1, tail: none });
    const late = member(world, 3);
    open(late, "mm.5");
    members[0].endpoint.multicast(handles[0], Note, { number: 2, tail: none });
    handles[1].leave();
    members[0].endpoint.multicast(handles[0], Note, { number: 3, tail: none });
    world.settle([...members, late]);
    assert.deepEqual(late.seen, [2, 3]);
    assert.deepEqual(members[1].seen, []);
    assert.deepEqual(members[2].seen, [1, 2, 3]);
    assert.equal(members[1].endpoint.multicast(handles[1], Note, { number: 4, tail: none }), -errno.IDRM);
  });

  test("a slow member holds the sender back and loses nothing; room is told about", async () => {
    const { world, members, handles } = trio();
    let sent = 0;
    while (members[0].endpoint.multicast(handles[0], Note, { number: sent, tail: none }) === 0) {
      sent++;
      members[1].endpoint.drain();
    }
    assert.equal(members[0].endpoint.multicast(handles[0], Note, { number: sent, tail: none }), -errno.AGAIN);
    let writable: number | undefined;
    handles[0].writable().then((status) => {
      writable = status;
    });
    await settleAll(world, [members[0], members[1]]);
    assert.equal(writable, undefined);
    members[2].endpoint.drain();
    await settleAll(world, members);
    assert.equal(writable, 0);
    assert.equal(members[0].endpoint.multicast(handles[0], Note, { number: sent, tail: none }), 0);
    world.settle(members);
    for (const one of [members[1], members[2]]) assert.deepEqual(one.seen, [...Array(sent + 1).keys()]);
  });

  test("a member that reads nothing but its own messages makes room, and tells", async () => {
    const world = new World();
    const members = [member(world, 0), member(world, 1)];
    const [a, b] = members.map((one) => open(one, "g"));
    members[0].endpoint.multicast(a, Note, { number: 1, tail: none });
    // Not up to date when it sends, so its own messages stay in its way; the other has read them all.
    while (members[1].endpoint.multicast(b, Note, { number: 2, tail: none }) === 0)
      members[0].endpoint.drain();
    let writable = false;
    a.writable(2000).then(() => {
      writable = true;
    });
    members[1].endpoint.drain(1);
    world.rung.clear();
    members[0].endpoint.drain();
    await settleAll(world, [members[0]]);
    assert.equal(writable, false);
    members[1].endpoint.drain();
    await settleAll(world, [members[0]]);
    assert.equal(writable, true);
  });

  test("a dead member holds nobody back", async () => {
    const { world, members, handles } = trio();
    while (members[0].endpoint.multicast(handles[0], Note, { number: 0, tail: none }) === 0)
      members[1].endpoint.drain();
    const writable = handles[0].writable();
    members[2].transport.close();
    members[0].endpoint.drain();
    assert.equal(await writable, 0);
    assert.deepEqual(handles[0].members(), [0, 1]);
    for (let i = 0; i < 1000; i++) {
      assert.equal(members[0].endpoint.multicast(handles[0], Note, { number: 0, tail: none }), 0);
      members[1].endpoint.drain();
    }
    world.settle(members);
  });

  test("a member that only sends, and one that sends while it lags, hold nobody back for ever", () => {
    const { members, handles } = trio();
    for (let i = 0; i < 2000; i++) {
      assert.equal(members[0].endpoint.multicast(handles[0], Note, { number: i, tail: none }), 0);
      members[1].endpoint.drain();
      members[2].endpoint.drain();
    }
    members[1].endpoint.multicast(handles[1], Note, { number: 1, tail: none });
    for (let i = 0; i < 100; i++) members[0].endpoint.multicast(handles[0], Note, { number: i, tail: none });
    for (const one of members) one.endpoint.drain();
    for (let i = 0; i < 2000; i++) {
      assert.equal(members[0].endpoint.multicast(handles[0], Note, { number: i, tail: none }), 0);
      members[1].endpoint.drain();
      members[2].endpoint.drain();
    }
  });

  test("after close members read what was sent before, then the slot is free again", async () => {
    const { world, members, handles } = trio();
    members[0].endpoint.multicast(handles[0], Note, { number: 1, tail: none });
    assert.equal(handles[1].close(), 0);
    assert.equal(members[0].endpoint.multicast(handles[0], Note, { number: 2, tail: none }), -errno.IDRM);
    assert.equal(members[1].groups.open("mm.5"), handles[1], "still a member until it drains");
    await settleAll(world, members);
    assert.deepEqual(
      members.map((one) => one.seen),
      [[], [1], [1]],
    );
    assert.ok(handles.every((group) => !group.joined));
    for (let i = 0; i < 50; i++) {
      const again = open(members[0], `round ${i}`);
      assert.equal(again.leave(), 0);
    }
  });

  test("a group that is closing cannot be joined yet", () => {
    const { world, members, handles } = trio();
    members[0].endpoint.multicast(handles[0], Note, { number: 1, tail: none });
    handles[0].close();
    assert.equal(member(world, 3).groups.open("mm.5"), -errno.AGAIN);
  });

  test("waiting for room in a group that closes ends with IDRM", async () => {
    const { members, handles } = trio();
    while (members[0].endpoint.multicast(handles[0], Note, { number: 0, tail: none }) === 0);
    const writable = handles[0].writable();
    handles[1].close();
    members[0].endpoint.drain();
    assert.equal(await writable, -errno.IDRM);
  });

  test("urgent groups go before normal messages", () => {
    const world = new World();
    const members = [member(world, 0), member(world, 1)];
    const handles = members.map((one) => one.groups.open("now", priority.urgent));
    const group = handles[0];
    assert.ok(typeof group !== "number");
    members[0].endpoint.send(1, Note, { number: 1, tail: none });
    members[0].endpoint.multicast(group, Note, { number: 2, tail: none });
    members[1].endpoint.drain();
    assert.deepEqual(members[1].seen, [2, 1]);
  });

  test("all slots taken is NOMEM, and slots of the dead are found again", () => {
    const world = new World({ groups_max: 3 });
    const one = member(world, 0);
    const other = member(world, 1);
    for (const name of ["a", "b", "c"]) open(one, name);
    assert.equal(other.groups.open("d"), -errno.NOMEM);
    one.transport.close();
    open(other, "d");
  });

  test("a sender that died with the claim, before or after publishing, is stepped over", () => {
    for (const publishedFirst of [false, true]) {
      const { world, members, handles } = trio();
      members[0].endpoint.multicast(handles[0], Note, { number: 1, tail: none });
      const area = world.memory.lookup("message.groups");
      assert.ok(area);
      const control = recordsAt(GroupControl, world.memory, area.base, 1);
      if (publishedFirst) {
        const before = control.tail(0);
        members[0].endpoint.multicast(handles[0], Note, { number: 2, tail: new Uint8Array(100) });
        control.setTail(0, before);
      }
      // Address 0, first incarnation, holds the claim and is dead.
      control.setHolder(0, (1 << 16) | 1);
      members[0].transport.close();
      assert.equal(members[1].endpoint.multicast(handles[1], Note, { number: 3, tail: none }), 0);
      world.settle(members);
      assert.deepEqual(members[2].seen, publishedFirst ? [1, 2, 3] : [1, 3]);
    }
  });

  test("a claim of somebody alive is respected: sending reports AGAIN", () => {
    const { world, members, handles } = trio();
    const area = world.memory.lookup("message.groups");
    assert.ok(area);
    const control = recordsAt(GroupControl, world.memory, area.base, 1);
    control.setHolder(0, (1 << 16) | 1);
    assert.equal(members[1].endpoint.multicast(handles[1], Note, { number: 3, tail: none }), -errno.AGAIN);
  });

  test("a new incarnation is no member; one that takes over reads on where the old one stopped", () => {
    const { world, members, handles } = trio();
    for (let i = 0; i < 4; i++) members[0].endpoint.multicast(handles[0], Note, { number: i, tail: none });
    members[1].endpoint.drain(2);
    const successor = member(world, 1, true);
    open(successor, "mm.5");
    successor.endpoint.drain();
    assert.deepEqual(
      [members[1].seen, successor.seen],
      [
        [0, 1],
        [2, 3],
      ],
    );
    members[2].transport.close();
    const newcomer = member(world, 2);
    open(newcomer, "mm.5");
    newcomer.endpoint.drain();
    assert.deepEqual(newcomer.seen, []);
  });

  test("model: members come, go, die and send in any order; each receives exactly what was sent while it was a member", async () => {
    const action = fc.record({
      who: fc.nat(3),
      do: fc.constantFrom("open", "leave", "close", "die", "send", "send", "send", "flood", "drain", "drain"),
      size: fc.nat(300),
    });
    await fc.assert(
      fc.asyncProperty(fc.array(action, { maxLength: 120 }), async (actions) => {
        const world = new World({
          endpoints_max: 4,
          urgentLines: 16,
          normalLines: 16,
          groupLines: 16,
          payload_bytes_max: 400,
        });
        let members = [0, 1, 2, 3].map((address) => member(world, address));
        const due: number[][] = [[], [], [], []];
        let number = 0;
        const joined = (address: number): Group | undefined => {
          const group = members[address].groups.join("g");
          return typeof group === "number" || !group.joined ? undefined : group;
        };
        const isIn = [false, false, false, false];
        let closing = false;
        const send = (who: number, size: number): void => {
          if (!isIn[who]) return;
          const group = joined(who);
          if (group === undefined) return;
          const status = members[who].endpoint.multicast(group, Note, {
            number: ++number,
            tail: new Uint8Array(size),
          });
          if (closing) assert.equal(status, -errno.IDRM);
          if (status !== 0) return;
          isIn.forEach((is, other) => {
            if (is && other !== who) due[other].push(number);
          });
        };
        for (const one of actions) {
          const { who } = one;
          if (one.do === "open") {
            const group = members[who].groups.open("g");
            if (closing && !isIn[who]) assert.equal(group, -errno.AGAIN);
            else assert.ok(typeof group !== "number");
            if (typeof group !== "number") isIn[who] = true;
          } else if (one.do === "leave" && isIn[who]) {
            joined(who)?.leave();
            isIn[who] = false;
            due[who] = due[who].slice(0, members[who].seen.length);
          } else if (one.do === "close" && isIn[who]) {
            joined(who)?.close();
            closing = true;
          } else if (one.do === "die") {
            members[who].transport.close();
            assert.deepEqual(members[who].seen, due[who].slice(0, members[who].seen.length));
            isIn[who] = false;
            due[who] = [];
            members = members.map((old, address) => (address === who ? member(world, who) : old));
          } else if (one.do === "send") send(who, one.size);
          else if (one.do === "flood") for (let i = 0; i < 20; i++) send(who, one.size);
          else if (one.do === "drain") {
            members[who].endpoint.drain();
            assert.deepEqual(members[who].seen, due[who]);
            if (closing) isIn[who] = false;
          }
          if (closing && isIn.every((is) => !is)) closing = false;
        }
        await settleAll(world, members);
        for (const one of members) one.endpoint.drain();
        members.forEach((one, address) => {
          assert.deepEqual(one.seen, due[address], `member ${address}`);
          assert.deepEqual(one.faults, []);
        });
      }),
      { numRuns: 150 },
    );
  });
});
