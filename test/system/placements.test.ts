/** The sharing spectrum as a setting: each service works the same wherever it keeps its state, on either machine. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { placed, usualPlacements } from "../../src/presets/placements.ts";
import { assertRootClean, bootForTest } from "./support/system.ts";

const machines = [
  { machine: "host", preset: "multikernel" },
  { machine: "omap4", preset: "k2" },
] as const;
const placements: Record<string, string>[] = [
  { files: "proxied" },
  { terminal: "shadowed" },
  { pages: "independent" },
  { pages: "shadowed" },
  { scheduler: "independent" },
  { scheduler: "shadowed" },
  { interrupts: "independent" },
  { interrupts: "private" },
  { files: "proxied", pages: "independent", scheduler: "independent", terminal: "shadowed" },
];

for (const { machine, preset } of machines) {
  for (const placement of placements) {
    const name = Object.entries(placement).map(([service, where]) => `${service} ${where}`);
    test(`${machine}: ${name.join(", ")}`, async () => {
      await using started = await bootForTest({ machine, preset, placements: placement });
      const { system } = started;
      const content = Uint8Array.from({ length: 50_000 }, (_, at) => (at * 7) & 0xff);
      system.files.write("/tmp/data", content);
      for (const kernel of [1, 0]) {
        const copied = await system.run("cp", ["/tmp/data", `/tmp/copy${kernel}`], { kernel });
        assert.equal(copied.exitCode, 0, copied.stderr);
        assert.deepEqual(system.files.read(`/tmp/copy${kernel}`), content);
        const listed = await system.run("ls", ["/tmp"], { kernel });
        assert.match(listed.stdout, new RegExp(`copy${kernel}\ndata`), "new names are seen");
        const moved = await system.run("mv", [`/tmp/copy${kernel}`, `/tmp/moved${kernel}`], { kernel });
        assert.equal(moved.exitCode, 0, moved.stderr);
      }
      // A pipe between the kernels, and the terminal from the one that need not own it.
      const pipe = system.pipe();
      const writer = await system.spawn("seq", ["500"], { kernel: 0, stdin: "null", stdout: pipe.write });
      const reader = await system.spawn("wc", ["-l"], { kernel: 1, stdin: pipe.read, stdout: "terminal" });
      assert.equal((await writer.wait()).exitCode, 0);
      assert.equal((await reader.wait()).exitCode, 0);
      const shown = await system.terminal.output.getReader().read();
      assert.match(new TextDecoder().decode(shown.value), /^\s*500\n$/);
      assert.deepEqual(system.simulation?.coherenceViolations() ?? [], []);
      assertRootClean(system, `with ${name}`);
    });
  }
}

test("a service or a placement that does not exist is refused by name, with what there is", () => {
  assert.throws(
    () => placed(usualPlacements, { memory: "shadowed" }),
    /no service is called memory; there are processes/,
  );
  assert.throws(
    () => placed(usualPlacements, { pipes: "private" }),
    /service pipes cannot be private; it can be shadowed/,
  );
  assert.equal(placed(usualPlacements, { pages: "independent" }).pages, "independent");
});
