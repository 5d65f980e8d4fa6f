/** Real programs from npm, several kernels, one tree of files. */
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { after, before, test } from "node:test";
import type { Archipelago, RunResult } from "../../src/index.ts";
import { assertRootClean, bootForTest, type TestSystem, within } from "./support/system.ts";

let started: TestSystem;
let system: Archipelago;

before(async () => {
  started = await bootForTest({ rootSize_bytes: 128 * 1024 * 1024 });
  system = started.system;
});
after(async () => {
  assertRootClean(system, "after real programs");
  await started[Symbol.asyncDispose]();
});

async function run(
  program: string,
  args: readonly string[],
  options: Parameters<Archipelago["run"]>[2] = {},
): Promise<RunResult> {
  return within(60_000, program, system.run(program, args, options));
}

/** Output of a program that must succeed. */
async function output(
  program: string,
  args: readonly string[],
  options: Parameters<Archipelago["run"]>[2] = {},
): Promise<string> {
  const result = await run(program, args, options);
  assert.equal(result.exitCode, 0, `${program}: ${result.message} ${result.stderr} ${result.stdout}`);
  return result.stdout;
}

test("a database that a process on one kernel wrote is read on the other", async () => {
  const schema = "create table city(name text primary key, people integer);";
  const rows = Array.from(
    { length: 2_000 },
    (_, n) => `insert into city values('city ${n}', ${(n * 17) % 1000});`,
  );
  const input = `begin; ${schema}\n${rows.join("\n")}\ncommit; create index by_people on city(people);\n`;
  assert.equal(await output("sqlite3", ["/home/cities.db"], { kernel: 0, input }), "");
  const query = "select count(*), sum(people), max(name) from city where people between 100 and 200;";
  const people = Array.from({ length: 2_000 }, (_, n) => (n * 17) % 1000);
  const chosen = people
    .map((count, n) => ({ count, name: `city ${n}` }))
    .filter(({ count }) => count >= 100 && count <= 200);
  const expected = [
    chosen.length,
    chosen.reduce((sum, { count }) => sum + count, 0),
    chosen
      .map(({ name }) => name)
      .sort()
      .at(-1),
  ];
  assert.equal(
    await output("sqlite3", ["/home/cities.db"], { kernel: 1, input: query }),
    `${expected.join("|")}\n`,
  );
  // And the other way round, many times, each seeing what the last one did.
  for (let turn = 0; turn < 10; turn++) {
    await output("sqlite3", ["/home/cities.db", `update city set people = ${turn} where name = 'city 7';`], {
      kernel: turn & 1,
    });
    const seen = await output(
      "sqlite3",
      ["/home/cities.db", "select people from city where name = 'city 7'"],
      { kernel: (turn + 1) & 1 },
    );
    assert.equal(seen, `${turn}\n`);
  }
});

test("sqlite3 computes", async () => {
  assert.equal(await output("sqlite3", [], { input: "select 6*7;" }), "42\n");
  const primes =
    "with recursive n(i) as (select 2 union all select i+1 from n where i<100) select count(*) from n a where not exists (select 1 from n b where b.i < a.i and a.i % b.i = 0);";
  assert.equal(await output("sqlite3", [":memory:", primes]), "25\n");
});

test("Python scripts with modules, files and arguments, on both kernels", async () => {
  system.files.makeDirectory("/home/py", { recursive: true });
  system.files.write("/home/py/helper.py", "def double(x): return 2 * x\n");
  system.files.write(
    "/home/py/main.py",
    [
      "import sys, json, hashlib, os, collections",
      "sys.path.insert(0, '/home/py')",
      "import helper",
      "data = [helper.double(int(x)) for x in sys.stdin.read().split()]",
      "with open(sys.argv[1], 'w') as f: json.dump({'sum': sum(data), 'digest': hashlib.sha256(bytes(data)).hexdigest()}, f)",
      "print(sorted(os.listdir('/home/py')), collections.Counter('hello').most_common(1))",
    ].join("\n"),
  );
  for (const kernel of [0, 1]) {
    const path = `/home/py/result-${kernel}.json`;
    const stdout = await output("python3", ["/home/py/main.py", path], { kernel, input: "1 2 3" });
    assert.match(stdout, /'helper.py', 'main.py'.*\[\('l', 2\)\]/);
    assert.deepEqual(JSON.parse(await output("cat", [path], { kernel: 1 - kernel })), {
      sum: 12,
      digest: createHash("sha256")
        .update(new Uint8Array([2, 4, 6]))
        .digest("hex"),
    });
  }
  const failing = await run("python3", ["-c", "raise ValueError('on purpose')"]);
  assert.equal(failing.exitCode, 1);
  assert.match(failing.stderr, /ValueError: on purpose/);
  assert.equal((await run("python3", ["-c", "import sys; sys.exit(41)"])).exitCode, 41);
});

test("PHP, Ruby and QuickJS scripts", async () => {
  system.files.write(
    "/home/a.php",
    '<?php echo array_sum(array_map(fn($x) => $x * 2, [1, 2, 3])), "\\n"; file_put_contents("/home/php.txt", PHP_VERSION);',
  );
  assert.equal(await output("php", ["/home/a.php"], { kernel: 1 }), "12\n");
  assert.match(system.files.readText("/home/php.txt"), /^8\.2/);
  assert.equal(
    await output("ruby", [
      "-e",
      "puts (1..10).select(&:even?).map { |x| x ** 2 }.sum; puts File.read('/home/php.txt')",
    ]),
    "220\n8.2.0\n",
  );
  system.files.write(
    "/home/a.js",
    "const words = 'to be or not to be'.split(' ');\nprint(JSON.stringify([...new Set(words)]), [1n << 70n].join());",
  );
  assert.equal(
    await output("qjs", ["/home/a.js"], { kernel: 1 }),
    '["to","be","or","not"] 1180591620717411303424\n',
  );
});

test("everyday tools", async () => {
  const text = "pear 3\napple 12\nfig 7\n";
  assert.equal(await output("grep", ["-n", "p"], { input: text }), "1:pear 3\n2:apple 12\n");
  assert.equal(await output("sed", ["s/ .*//"], { input: text }), "pear\napple\nfig\n");
  assert.equal(await output("awk", ["{ sum += $2 } END { print sum }"], { input: text }), "22\n");
  assert.equal(await output("wc", ["-l"], { input: text }).then((line) => line.trim()), "3");
  assert.equal(await output("jq", ["-c", ".[1]"], { input: '[1, {"a": 2}]' }), '{"a":2}\n');
  assert.equal(await output("seq", ["3"]), "1\n2\n3\n");
  assert.equal(await output("base64", [], { input: "hello" }), "aGVsbG8=\n");
  assert.match(await output("sha256sum", [], { input: "" }), /^e3b0c44298fc1c14/);
});

test("tools that make and remove files, on both kernels", async () => {
  await output("mkdir", ["-p", "/home/t/deep/er"], { kernel: 0 });
  await output("cp", ["/bin/true", "/home/t/copy"], { kernel: 1 });
  assert.deepEqual(system.files.read("/home/t/copy"), system.files.read("/bin/true"));
  await output("mv", ["/home/t/copy", "/home/t/deep/moved"], { kernel: 0 });
  await output("ln", ["-s", "deep/moved", "/home/t/link"], { kernel: 1 });
  assert.match(await output("ls", ["/home/t"], { kernel: 0 }), /deep\nlink\n/);
  assert.equal(await output("find", ["/home/t", "-name", "moved"], { kernel: 1 }), "/home/t/deep/moved\n");
  await output("tar", ["-cf", "/home/t.tar", "-C", "/home", "t"], { kernel: 0 });
  assert.match(await output("tar", ["-tf", "/home/t.tar"], { kernel: 1 }), /t\/deep\/moved/);
  await output("rm", ["-r", "/home/t"], { kernel: 1 });
  assert.equal(system.files.exists("/home/t"), false);
  assert.notEqual((await run("cat", ["/home/t/link"])).exitCode, 0);
});

test("the same program many times at once on both kernels", async () => {
  const results = await Promise.all(
    Array.from({ length: 20 }, (_, n) =>
      output(
        "sqlite3",
        [`/home/many-${n}.db`, `create table t(x); insert into t values(${n}); select x * x from t;`],
        { kernel: n & 1 },
      ),
    ),
  );
  assert.deepEqual(
    results,
    Array.from({ length: 20 }, (_, n) => `${n * n}\n`),
  );
});

test("two Pythons compute at the same time on different kernels, and one more beside each", async () => {
  const code = "print(sum(i * i for i in range(200000)))";
  const expected = `${Array.from({ length: 200_000 }, (_, n) => n * n).reduce((sum, one) => sum + one, 0)}\n`;
  const results = await Promise.all(
    [0, 1, 0, 1].map((kernel) => output("python3", ["-c", code], { kernel })),
  );
  assert.deepEqual(results, [expected, expected, expected, expected]);
});

test("a program is a path too: copied into the tree, and with another name", async () => {
  await output("cp", ["/bin/echo", "/home/say"]);
  assert.equal(await output("/home/say", ["by path"], { kernel: 1 }), "by path\n");
  const missing = await run("/home/absent", []);
  assert.equal(missing.exitCode, 127);
});
