import assert from "node:assert/strict";
import { test } from "node:test";
import {
  checkProfile,
  customProfile,
  profileNames,
  profileOf,
  strongKind,
  weakKind,
} from "../../src/machine/profiles/index.ts";

test("every profile is found by its name and passes the check", () => {
  for (const name of ["omap4", "omap4-dual", "opteron-48", "haswell-4", "i7-920"]) {
    assert.ok(profileNames.includes(name), name);
  }
  for (const name of profileNames) {
    const profile = profileOf(name);
    assert.equal(profile.name, name);
    assert.ok(profile.sources.length > 0, name);
    checkProfile(profile);
  }
});

test("an unknown profile is refused with the names that there are", () => {
  assert.throws(() => profileOf("pdp-11"), /no machine profile is called "pdp-11"; there are omap4, /);
});

test("opteron-48 is one coherent island of 48 cores in nodes of six", () => {
  const { islands } = profileOf("opteron-48");
  assert.deepEqual([islands.length, islands[0].cores.length, islands[0].coresPerNode], [1, 48, 6]);
});

test("omap4 holds what the K2 paper publishes", () => {
  const { kinds, mailboxLatency_us } = profileOf("omap4");
  const strong = kinds.find(({ name }) => name === "cortex-a9");
  const weak = kinds.find(({ name }) => name === "cortex-m3");
  assert.ok(strong !== undefined && weak !== undefined);
  assert.deepEqual([strong.frequency_MHz, weak.frequency_MHz], [350, 200]);
  assert.deepEqual([strong.power_mW.active, strong.power_mW.idle], [79.8, 25.2]);
  assert.deepEqual([weak.power_mW.active, weak.power_mW.idle], [21.1, 3.8]);
  assert.equal(2 * mailboxLatency_us, 5);
  // Totals of table 5: requester main, requester shadow.
  const total = (sender: typeof strong, server: typeof strong, communication_us: number) =>
    sender.coherence.faultEntry_us +
    sender.coherence.protocol_us +
    communication_us +
    server.coherence.service_us +
    sender.coherence.faultExit_us;
  assert.deepEqual([total(strong, weak, 5), total(weak, strong, 9)], [52, 48]);
});

test("omap4's weak core delivers 20 to 80 % of the strong one, and transfers reach what table 6 shows", () => {
  const { kinds, dma } = profileOf("omap4");
  const [strong, weak] = kinds;
  const perCycle_ns = (kind: typeof strong) => 1000 / kind.frequency_MHz;
  for (const cost of ["cyclesPerInstruction", "cyclesPerAccess", "cyclesPerByte"] as const) {
    const share = (strong[cost] * perCycle_ns(strong)) / (weak[cost] * perCycle_ns(weak));
    assert.ok(share >= 0.2 && share <= 0.7, `${cost}: ${share}`);
  }
  // A large transfer: the driver clears the target, then the engine copies.
  const bandwidth_MBps = (kind: typeof strong) =>
    1000 / (1000 / dma.bandwidth_MBps + kind.cyclesPerByte * perCycle_ns(kind));
  assert.ok(Math.abs(bandwidth_MBps(strong) - 40.5) < 0.5);
  const share = bandwidth_MBps(weak) / bandwidth_MBps(strong);
  assert.ok(share > 0.6 && share < 0.8, String(share));
});

test("a custom profile has the topology that was asked for", () => {
  const profile = customProfile({ islands: [["strong", "strong"], ["weak"], ["weak"]] });
  assert.deepEqual(
    profile.islands.map(({ cores, rail }) => [cores.length, rail]),
    [
      [2, "island0"],
      [1, "island1"],
      [1, "island2"],
    ],
  );
  const other = customProfile({ islands: [["weak"]], name: "one", chip: { mailboxLatency_us: 0 } });
  assert.deepEqual([other.name, other.mailboxLatency_us], ["one", 0]);
});

test("what cannot be built is refused with a reason", () => {
  const islands = [["strong"]];
  assert.throws(() => customProfile({ islands: [] }), /there is no island/);
  assert.throws(() => customProfile({ islands: [[]] }), /"island0" has no core/);
  assert.throws(() => customProfile({ islands: [["alien"]] }), /no kind of core is called "alien"/);
  assert.throws(() => customProfile({ islands, kinds: [strongKind, strongKind] }), /the same name/);
  assert.throws(() => customProfile({ islands, kinds: [{ ...strongKind, frequency_MHz: 0 }] }), /0 MHz/);
  const upsideDown = { ...weakKind, name: "strong", power_mW: { active: 1, idle: 2, inactive: 0 } };
  assert.throws(() => customProfile({ islands, kinds: [upsideDown] }), /1, 2, 0 mW/);
  assert.throws(
    () => customProfile({ islands, kinds: [{ ...strongKind, wakeUp_us: -1 }] }),
    /a cost below zero/,
  );
  const dma = { channels: 1, bandwidth_MBps: 0, startUp_us: 0 };
  assert.throws(() => customProfile({ islands, chip: { dma } }), /DMA bandwidth of 0/);
  assert.throws(() => customProfile({ islands, chip: { mailboxLatency_us: -1 } }), /mailbox latency of -1/);
});
