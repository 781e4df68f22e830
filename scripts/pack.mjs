// `npm run pack:gpu`: one archive, .pack/moescope-gpu.tar.xz, that runs on a bare Linux x64 server with an NVIDIA driver: no Node, no
// network, no compiler. It holds Node itself, the engine with its CUDA backend, tiny-scout, the GPU tests and benchmark.
//   tar xf moescope-gpu.tar.xz && cd moescope-gpu && ./moescope doctor && ./moescope test gpu && ./moescope bench
import {
  chmodSync,
  cpSync,
  existsSync,
  mkdirSync,
  readFileSync,
  realpathSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { build } from "./lib/build.mjs";
import { cuda } from "./lib/cuda.mjs";
import { must, root, which } from "./lib/exec.mjs";
import { Missing, main, say } from "./lib/say.mjs";

const LIMIT = 40e6;
const NAME = "moescope-gpu";
/** What cells and the engine need; Jupyter, the language server and the plots' renderer stay out. */
const PACKAGES = [
  "@huggingface/jinja",
  "@huggingface/tokenizers",
  "@jridgewell/trace-mapping",
  "apache-arrow",
  "hyparquet-writer",
  "magic-string",
  "oxc-parser",
  "oxc-transform",
  "zod",
];
const FOLDERS = [
  "bin",
  "dist/engine",
  "dist/kernel",
  "dist/test/gpu",
  "dist/test/parity/checkpoint.js",
  "dist/test/bench",
  "notebooks/models/tiny-scout",
];
/** Parts by the names that `moescope doctor` gives them: it must not call broken what was never packed. */
const LEFT_OUT = ["Jupyter", "plugin", "Chromium", "types"];
const FILES = [
  "LICENSE",
  "test/parity/cases.json",
  "build/native/moescope.node",
  "build/native/libmoescope-cuda.so",
  "build/native/native-tests",
];

const LAUNCHER = `#!/bin/sh
# Moescope with its own Node. \`test gpu\` and \`bench\` prove and measure the CUDA backend on this machine.
here=$(cd "$(dirname "$0")" && pwd) || exit
cd "$here" || exit
case "$1 $2" in
  "test gpu")
    ./build/native/native-tests cuda || exit
    exec ./node --enable-source-maps --test dist/test/gpu/*.gpu.js ;;
  # There is no other benchmark in here.
  "bench " | "bench gpu") exec ./node --enable-source-maps dist/test/bench/gpu/main.js ;;
  *) exec ./node bin/moescope.mjs "$@" ;;
esac
`;

/** A package and what it depends on, as npm laid them out. */
function closure(names, found = new Set()) {
  for (const name of names) {
    const manifest = join(root, "node_modules", name, "package.json");
    if (found.has(name) || !existsSync(manifest)) continue;
    found.add(name);
    const { dependencies = {}, optionalDependencies = {} } = JSON.parse(readFileSync(manifest, "utf8"));
    closure([...Object.keys(dependencies), ...Object.keys(optionalDependencies)], found);
  }
  return found;
}

/** Not what Node loads here: types, sources, the same code for browsers and for WebAssembly. */
const runs = (path) =>
  !/\.(map|md|markdown|d\.[cm]?ts|ts|flow|wasm|min\.js)$/.test(path) &&
  !/\/(umd|es5|src|docs?|test|zod\/v3)$/.test(path);

await main(async () => {
  if (process.platform !== "linux" || process.arch !== "x64")
    throw new Missing("the pack is made on Linux x64, for Linux x64");
  await build();
  await cuda();
  const folder = join(root, ".pack", NAME);
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder, { recursive: true });
  const copy = (path, filter) =>
    cpSync(join(root, path), join(folder, path), { recursive: true, dereference: true, filter });
  // The plots' renderer is JupyterLab's, which a bare server lacks.
  for (const path of FOLDERS) copy(path, (from) => !from.endsWith(".map") && !from.endsWith("dist/kernel/lab"));
  for (const path of FILES) copy(path);
  const manifest = JSON.parse(readFileSync(join(root, "package.json"), "utf8"));
  writeFileSync(
    join(folder, "package.json"),
    `${JSON.stringify({ ...manifest, moescope: { leftOut: LEFT_OUT } }, null, 2)}\n`,
  );
  for (const name of closure(PACKAGES)) copy(join("node_modules", name), runs);
  cpSync(realpathSync(process.execPath), join(folder, "node"));
  if (which("strip"))
    for (const program of ["node", "build/native/native-tests", "build/native/moescope.node"])
      await must("strip", "strip", [join(folder, program)]);
  writeFileSync(join(folder, "moescope"), LAUNCHER);
  chmodSync(join(folder, "moescope"), 0o755);

  say("moescope: compressing (some minutes)");
  const archive = join(root, ".pack", `${NAME}.tar.xz`);
  await must("tar", "tar", ["-cJf", archive, "-C", join(root, ".pack"), NAME], {
    // Node is most of it: one block, and the filter for x86, take three per cent off.
    env: { ...process.env, XZ_OPT: "-T1 --x86 --lzma2=preset=9,dict=128MiB" },
  });
  const { size } = statSync(archive);
  say(`moescope: .pack/${NAME}.tar.xz, ${(size / 1e6).toFixed(1)} MB`);
  if (size > LIMIT) throw new Missing(`the pack is larger than ${LIMIT / 1e6} MB`);
});
