// What the pack for servers holds, laid out in a folder: Node, the engine with its CUDA backend, tiny-scout, the GPU tests and benchmark.
import { chmodSync, cpSync, existsSync, mkdirSync, readFileSync, realpathSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { must, root, which } from "./exec.mjs";

/** What cells and the engine need; Jupyter, the language server and the renderers of plots stay out. */
const PACKAGES = [
  "@huggingface/jinja",
  "@huggingface/tokenizers",
  "@jridgewell/trace-mapping",
  "apache-arrow",
  "dejavu-fonts-ttf",
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

/** Not what Node loads here: types, sources, the same code for browsers and for WebAssembly. Of the fonts, those that pictures are set in. */
const runs = (path) =>
  !/\.(map|md|markdown|d\.[cm]?ts|ts|flow|wasm|min\.js)$/.test(path) &&
  !/\/(umd|es5|src|docs?|test|zod\/v3)$/.test(path) &&
  !/dejavu-fonts-ttf\/(?!(package\.json|LICENSE|ttf|ttf\/DejaVuSans(-Bold|Mono)?\.ttf)$)/.test(path);

/** Of what is built; what was in the folder before is gone. */
export async function pack(folder) {
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder, { recursive: true });
  const copy = (path, filter) =>
    cpSync(join(root, path), join(folder, path), { recursive: true, dereference: true, filter });
  // The plots' renderer is JupyterLab's, which a bare server lacks.
  for (const path of FOLDERS) copy(path, (from) => !/\.(map|d\.ts)$/.test(from) && !from.endsWith("dist/kernel/lab"));
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
}
