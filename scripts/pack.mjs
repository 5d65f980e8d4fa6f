/*
 * What `npm pack` and `npm publish` need before and after: Node.js does not run TypeScript of installed
 * packages, so what is packed is `dist/`, and the packed manifest names it. A checkout keeps running `src/`.
 *
 *   node scripts/pack.mjs build     compiles src/ to dist/
 *   node scripts/pack.mjs before    builds, and points package.json at dist/   (npm's prepack)
 *   node scripts/pack.mjs after     puts package.json back                     (npm's postpack)
 */
import { execFileSync } from "node:child_process";
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("..", import.meta.url));
const dist = join(root, "dist");
const manifest = join(root, "package.json");
const saved = join(root, ".cache", "package.json.saved");

function build() {
  rmSync(dist, { recursive: true, force: true });
  const compiler = join(root, "node_modules/typescript/bin/tsc");
  execFileSync(process.execPath, [compiler, "-p", "tsconfig.build.json"], {
    cwd: root,
    stdio: ["ignore", 2, 2],
  });
  for (const entry of readdirSync(dist, { recursive: true })) {
    if (!entry.endsWith(".js")) continue;
    const path = join(dist, entry);
    const source = readFileSync(path, "utf8");
    // Modules that are started by address, as threads are: the compiler rewrites imports only.
    const rewritten = source.replaceAll(
      /new URL\("(\.[^"]*)\.ts", import\.meta\.url\)/g,
      'new URL("$1.js", import.meta.url)',
    );
    if (rewritten !== source) writeFileSync(path, rewritten);
  }
}

function before() {
  build();
  const text = existsSync(saved) ? readFileSync(saved, "utf8") : readFileSync(manifest, "utf8");
  const packed = JSON.parse(text);
  for (const [name, path] of Object.entries(packed.exports)) {
    const base = path.replace(/^\.\/src\//, "./dist/").replace(/\.ts$/, "");
    packed.exports[name] = { types: `${base}.d.ts`, default: `${base}.js` };
  }
  delete packed.scripts;
  delete packed.devDependencies;
  mkdirSync(join(root, ".cache"), { recursive: true });
  writeFileSync(saved, text);
  writeFileSync(manifest, `${JSON.stringify(packed, null, 2)}\n`);
}

function after() {
  if (existsSync(saved)) renameSync(saved, manifest);
}

const steps = { build, before, after };
const step = steps[process.argv[2]];
if (step === undefined) throw new Error(`which step? ${Object.keys(steps).join(", ")}`);
step();
