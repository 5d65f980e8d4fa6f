/** Real programs and what they are to do while they are captured. What they print must not depend on time or chance. */
import { readFileSync } from "node:fs";
import { findProgram } from "../../../src/programs/catalogue.ts";
import { toolBinaries } from "../../engine/support/binaries.ts";

export interface RealProgram {
  readonly name: string;
  read(): Uint8Array;
  /** With the program's own name first. */
  readonly arguments: readonly string[];
  readonly input: string;
  /** Files that it needs in its tree; its library comes with files of the test's own. */
  support(): readonly { readonly path: string; readonly data: Uint8Array | string }[];
  /** Loading it takes seconds. */
  readonly large: boolean;
}

const python = `
import hashlib, json, re, itertools
class Node:
    def __init__(self, key): self.key, self.left, self.right = key, None, None
    def insert(self, key):
        side = "left" if key < self.key else "right"
        child = getattr(self, side)
        if child is None: setattr(self, side, Node(key))
        else: child.insert(key)
    def walk(self):
        if self.left: yield from self.left.walk()
        yield self.key
        if self.right: yield from self.right.walk()
root, seed = Node(500), 1
for n in range(300):
    seed = seed * 1103515245 + 12345 & 0x7fffffff
    root.insert(seed % 1000)
print(list(root.walk())[::20])
def depth(n): return 0 if n == 0 else 1 + depth(n - 1)
try: depth(100000)
except RecursionError as error: print(error)
try: raise ValueError(depth(200))
except ValueError as error: print(error.args, sorted({word: len(word) for word in "a bb ccc".split()}.items()))
print(hashlib.sha256(json.dumps([n ** 0.5 for n in range(300)]).encode()).hexdigest())
print(re.sub(r"(\\w)(\\d+)", lambda m: m[2] + m[1], "a1 b22 c333"), sum(itertools.islice(itertools.count(), 5000)))
`;

const javascript = `
function* primes(limit) { for (let n = 2, found = []; n < limit; n++) if (found.every((p) => n % p)) { found.push(n); yield n; } }
const list = [...primes(1500)];
function down(n) { if (n === 0) throw new Error("deep"); down(n - 1); }
try { down(100); } catch (error) { console.log(error.message); }
console.log(list.length, list.slice(-3), JSON.stringify({ a: [1, 2.5, null], b: "x".repeat(5) }), "a1b2".replace(/\\d/g, (d) => d * 2));
const words = new Map();
for (let n = 0; n < 3000; n++) words.set("w" + n % 97, (words.get("w" + n % 97) ?? 0) + n);
console.log([...words].sort((a, b) => a[1] - b[1]).slice(0, 5).join(";"));
`;

const sql = `
create table t(id integer primary key, name text, weight real);
with recursive n(i) as (values(1) union all select i + 1 from n where i < 3000)
  insert into t select i, 'item' || (i * 7919 % 2003), i * 0.5 from n;
create index by_name on t(name);
select name, count(*), sum(weight) from t group by name having count(*) > 1 order by 3 desc limit 5;
begin; update t set weight = weight + length(name) where id % 3 = 0; select total(weight) from t; rollback;
select total(weight) from t; select count(*) from t a join t b on b.name = 'item' || a.id;
select group_concat(hex(name)) from (select name from t order by name limit 5);
`;

const ruby = `
class Tree
  def initialize; @h = Hash.new { |h, k| h[k] = [] }; end
  def add(k) = (@h[k % 7] << k; self)
  def each(&b) = @h.sort.each { |k, v| b.call(k, v.sum) }
end
t = Tree.new
500.times { |n| t.add(n * n) }
t.each { |k, s| print k, ":", s, " " }
def down(n) = n.zero? ? 0 : 1 + down(n - 1)
begin; raise ArgumentError, down(300).to_s; rescue => e; puts e.message; ensure puts "ensured"; end
f = Fiber.new { 3.times { |n| Fiber.yield n * n }; :done }
p 4.times.map { f.resume }, (1..60).reduce(:*), "hello world".gsub(/o(.)/) { $1.upcase }
p catch(:found) { [3, 1, 2].each { |n| throw :found, n if n < 3 } }, %w[b a c].sort_by { |w| -w.ord }
`;

const php = `<?php
function fibonacci($n) { return $n < 2 ? $n : fibonacci($n - 1) + fibonacci($n - 2); }
$words = [];
for ($n = 0; $n < 800; $n++) { $words["w" . $n % 41] = ($words["w" . $n % 41] ?? 0) + $n; }
arsort($words);
echo fibonacci(14), " ", json_encode(array_slice($words, 0, 4)), "\\n";
try { throw new RuntimeException(sha1("x")); } catch (Exception $e) { echo $e->getMessage(), "\\n"; } finally { echo "done\\n"; }
$list = range(1, 50); usort($list, fn($a, $b) => $b % 7 <=> $a % 7);
echo preg_replace_callback("/[a-z]+/", fn($m) => strrev($m[0]), "hello big world"), sprintf("%08.3f", M_PI), "\\n";
`;

const text: string = Array.from(
  { length: 400 },
  (_, n) => `line ${(n * 7919) % 401} of ${n} ${"xyz"[n % 3]}\n`,
).join("");

function program(
  name: string,
  words: readonly string[],
  input = "",
  files: readonly { readonly path: string; readonly data: Uint8Array | string }[] = [],
): RealProgram {
  const entry = findProgram(name);
  if (entry === undefined) throw new Error(`the catalogue has no ${name}`);
  const [command] = entry.commands(words, { stdinIsTerminal: false });
  return {
    name,
    read: () => new Uint8Array(readFileSync(entry.wasmPath())),
    arguments: [command.name, ...command.arguments],
    input,
    support: () => [...(files.length > 0 ? entry.support() : []), ...files],
    large: entry.large,
  };
}

function tool(name: string, words: readonly string[], input = ""): RealProgram[] {
  return toolBinaries
    .filter((binary) => binary.name === name)
    .map(({ read }) => {
      return { name, read, arguments: [name, ...words], input, support: () => texts, large: false };
    });
}

/** For the compiler, which reads it from standard input: node:wasi tells it wrong file sizes. */
const source = `
typedef struct { double x, y; int tags[4]; } Point;
static int weigh(const Point *p, int n) {
  int sum = 0;
  for (int k = 0; k < n; k++) switch (p->tags[k & 3] % 5) {
    case 0: sum += k; break;
    case 1: sum ^= (int)(p->x * k); break;
    default: sum = sum * 31 + (int)p->y;
  }
  return sum;
}
int total(Point *points, int count, int (*each)(const Point *, int)) {
  int all = 0;
  for (int n = 0; n < count; n++) all += each ? each(&points[n], n) : weigh(&points[n], count);
  return all;
}
`;
const compilerWords = ["-cc1", "-triple", "wasm32-unknown-wasi", "-O2", "-S", "-x", "c", "-o", "-", "-"];

const texts = [{ path: "/text", data: text }];

export const realPrograms: readonly RealProgram[] = [
  program("sqlite3", [], sql),
  program("qjs", ["/work.js"], "", [{ path: "/work.js", data: javascript }]),
  ...tool("tr", ["a-m", "A-M"], text),
  ...tool("sha256sum", ["/text"]),
  ...tool("sed", ["-E", "s/([0-9]+) of/<\\1>/;/x$/d", "/text"]),
  ...tool("grep", ["-E", "1[0-9]+ of .*[yz]$", "/text"]),
  ...tool("awk", [
    '{ s[$5] += $2; l = l < length($0) ? length($0) : l } END { print s["x"], s["y"], s["z"], l }',
    "/text",
  ]),
  ...tool(
    "jq",
    ["-c", "[.[] | {a: (.x * 2), b: (.y | ascii_upcase)}] | sort_by(.a) | .[0:5]"],
    JSON.stringify(Array.from({ length: 80 }, (_, n) => ({ x: (n * 31) % 83, y: `k${n}` }))),
  ),
  program("python3", ["/work.py"], "", [{ path: "/work.py", data: python }]),
  program("ruby", ["/work.rb"], "", [{ path: "/work.rb", data: ruby }]),
  program("php", ["/work.php"], "", [{ path: "/work.php", data: php }]),
  program("clang", compilerWords, source),
];
