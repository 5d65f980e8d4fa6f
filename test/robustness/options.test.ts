/** Options about the machine: what cannot be is refused before anything boots, by name and with what there is. */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { parseCommandLine, UsageError } from "../../src/cli/arguments.ts";
import { type BootOptions, boot } from "../../src/index.ts";
import { customProfile } from "../../src/machine/profiles/index.ts";
import { bootForTest } from "../system/support/system.ts";

const refusals: [string[], RegExp][] = [
  [["--machine", "omap5"], /^--machine omap5: there are host, omap4, .*haswell-4/],
  [["--machine", ""], /^--machine : there are host/],
  [["--machine", "constructor"], /^--machine constructor: there are/],
  [["--preset", "k3"], /^--preset k3: there are multikernel, clustered, smp, k2/],
  [["--preset", "constructor"], /^--preset constructor: there are/],
  [["--preset", "__proto__"], /^--preset __proto__: there are/],
  [["--preset", "k2", "--cores", "3"], /^--cores 3: the machine omap4 has 2/],
  [["--machine", "haswell-4", "--cores", "5"], /^--cores 5: the machine haswell-4 has 4/],
  [["--cores", "0"], /^--cores 0: at least one/],
  [["--cores", "two"], /^--cores: "two" is not a whole number/],
  [["--cores=-1"], /^--cores: "-1"/],
  [["--place", "files=nowhere"], /^--place files=nowhere: .*shadowed or proxied/],
  [
    ["--place", "memory=shadowed"],
    /^--place memory=shadowed: no service is called memory; there are processes/,
  ],
  [["--place", "files"], /^--place files: write it as SERVICE=WHERE/],
  [["--place", "=shadowed"], /^--place =shadowed: write it/],
  [["--place", "constructor=shadowed"], /^--place constructor=shadowed: no service/],
  [["--place", "__proto__=shadowed"], /^--place __proto__=shadowed: no service/],
  [
    ["--coherence", "one-state", "--preset", "k2"],
    /^--coherence one-state: there are two-state and three-state/,
  ],
  [["--coherence", "three-state"], /^--coherence three-state: the host keeps/],
  [
    ["--coherence", "three-state", "--machine", "haswell-4"],
    /^--coherence three-state: the machine haswell-4 keeps/,
  ],
  [["--seed", "1"], /^--seed 1: nothing is left to chance on the host/],
  [["--seed", "", "--preset", "k2"], /^--seed: give a number/],
];

for (const [words, reason] of refusals) {
  test(`command line: ${words.join(" ")}`, () => {
    for (const command of ["start", "run"]) {
      assert.throws(
        () => parseCommandLine([command, ...words, ...(command === "run" ? ["true"] : [])]),
        (error) => error instanceof UsageError && reason.test(error.message),
      );
    }
  });
}

test("command line: what can be is passed on", () => {
  const words = ["run", "--preset", "k2", "--cores", "2", "--seed", "7", "--place", "files=proxied"];
  const { boot: options } = parseCommandLine([...words, "--coherence", "three-state", "ls", "--seed"]);
  assert.equal(options.preset, "k2");
  assert.equal(options.machine, undefined);
  assert.equal(options.cores, 2);
  assert.equal(options.seed, "7");
  assert.deepEqual(options.placements, { files: "proxied" });
  assert.equal(options.coherence, "three-state");
  assert.equal(parseCommandLine(["--machine", "host", "--cores", "3"]).boot.machine, "host");
});

test("command line: any words are understood or refused with one line", () => {
  const names = [
    "machine",
    "seed",
    "place",
    "coherence",
    "preset",
    "cores",
    "kernel",
    "memory",
    "mount",
    "env",
  ];
  const value = fc.oneof(
    fc.string(),
    fc.constantFrom("k2", "omap4", "files=proxied", "2", "-1", "__proto__=x"),
  );
  const option = fc.tuple(fc.constantFrom(...names), value).map(([name, text]) => `--${name}=${text}`);
  fc.assert(
    fc.property(fc.array(option, { maxLength: 6 }), (words) => {
      try {
        parseCommandLine(["run", ...words, "true"]);
      } catch (error) {
        assert.ok(error instanceof UsageError, `${error}`);
      }
    }),
  );
});

const omap = customProfile({ islands: [["strong"], ["weak"]] });

/** Values that a type would have refused. */
const nonsense: [Record<string, unknown>, RegExp][] = [
  [{ machine: "" }, /no machine profile is called ""; there are omap4/],
  [{ machine: "toString" }, /no machine profile is called "toString"/],
  [{ machine: 4 }, /machine: 4 is neither/],
  [{ machine: null, preset: "constructor" }, /no preset is called "constructor"/],
  [{ machine: {} }, /machine: an object is neither/],
  [{ machine: [] }, /machine: a list is neither/],
  [{ machine: { ...omap, islands: [] } }, /there is no island/],
  [{ machine: { ...omap, islands: [{}] } }, /machine: an object is neither/],
  [{ machine: { ...omap, kinds: [] } }, /no kind of core is called/],
  [{ machine: { ...omap, kinds: [{}] } }, /machine: an object is neither/],
  [{ machine: { ...omap, spinlockCount: 0 } }, /its islands share no spinlock/],
  [{ machine: { ...omap, mailboxLatency_us: Number.NaN } }, /mailbox latency/],
  [{ machine: "omap4", cores: 3 }, /machine omap4 has 2/],
  [{ machine: "omap4", cores: 0 }, /cores/],
  [{ machine: "omap4", cores: 1.5 }, /cores/],
  [{ machine: "omap4", seed: Number.NaN }, /seed: NaN/],
  [{ machine: "omap4", seed: {} }, /seed: an object/],
  [{ machine: "omap4", coherence: "none" }, /coherence: "none" is neither two-state nor three-state/],
  [{ machine: "omap4", placements: ["files"] }, /placements: a list/],
  [{ machine: "omap4", placements: { files: 3 } }, /files cannot be 3/],
  [{ machine: "omap4", weakKernels: [2] }, /weakKernels: there is no kernel 2; the last is 1/],
  [{ machine: "omap4", weakKernels: 1 }, /weakKernels: 1 is no list/],
  [{ preset: 5 }, /no preset is called 5/],
];

for (const [options, reason] of nonsense) {
  test(`boot: ${JSON.stringify(options).slice(0, 90)}`, async () => {
    await assert.rejects(boot(options as BootOptions), (error) => {
      assert.ok(error instanceof RangeError, `${error}`);
      assert.match(error.message, reason);
      return true;
    });
  });
}

/** Presets on machines that they were not made for. */
const combinations: BootOptions[] = [
  { preset: "k2", machine: "host", cores: 2 },
  { preset: "k2", machine: "haswell-4", cores: 2 },
  { preset: "k2", machine: "omap4", cores: 1 },
  { preset: "smp", machine: "omap4", cores: 2 },
  { preset: "clustered", machine: "omap4-dual", cores: undefined },
  { preset: "multikernel", machine: "omap4", cores: 2, coherence: "three-state" },
];

for (const options of combinations) {
  test(`works: ${JSON.stringify(options)}`, async () => {
    await using started = await bootForTest(options);
    const { stdout, exitCode } = await started.system.run("wc", ["-c"], { input: "12345" });
    assert.equal(exitCode, 0);
    assert.match(stdout, /^\s*5\n$/);
  });
}
