// The kernel's two threads as one file each, below dist/kernel/bundle/: a front end waits for the start, and finding forty small modules takes
// longer than running them. What is needed later is a file of its own there. The rest of dist/ stays as tsc wrote it, for the library and for types.
import { rmSync } from "node:fs";
import { join, relative } from "node:path";
import { root } from "./exec.mjs";

const SOURCES = join(root, "kernel");
const FOLDER = join(root, "dist/kernel/bundle");
const ENTRIES = { kernel: "main.ts", jupyter: "frontends/jupyter/worker.ts" };

/** A bundled module still believes that it lies where tsc put it: the paths it makes are relative to that. */
const ownUrl = (MagicString) => ({
  name: "own-url",
  transform(code, id) {
    if (!id.startsWith(SOURCES) || !code.includes("import.meta.url")) return null;
    const path = JSON.stringify(join("..", relative(SOURCES, id)).replace(/\.ts$/, ".js"));
    const edit = new MagicString(code).replaceAll(
      "import.meta.url",
      `require("node:url").pathToFileURL(require("node:path").join(__dirname, ${path})).href`,
    );
    return { code: edit.toString(), map: edit.generateMap({ hires: true }) };
  },
});

/** zeromq looks for its native part from where it lies, which is no longer where its code is. */
const zeromqFolder = {
  name: "zeromq-folder",
  transform(code, id) {
    if (!id.endsWith("zeromq/lib/load-addon.js")) return null;
    return {
      code: code.replace("__dirname", 'require("node:path").join(require.resolve("zeromq/package.json"), "../lib")'),
      map: null,
    };
  },
};

export async function bundle() {
  // Here, because this file is loaded before the packages are brought in.
  const [{ build }, { default: MagicString }] = await Promise.all([import("rolldown"), import("magic-string")]);
  rmSync(FOLDER, { recursive: true, force: true });
  // One after the other and not as one bundle with two entries, which would put what they share into further files.
  for (const [name, source] of Object.entries(ENTRIES)) {
    await build({
      input: { [name]: join(SOURCES, source) },
      platform: "node",
      // Packages with native code look for it from where they lie.
      external: ["oxc-parser", "oxc-transform"],
      plugins: [ownUrl(MagicString), zeromqFolder],
      logLevel: "warn",
      output: {
        dir: FOLDER,
        format: "cjs",
        sourcemap: true,
        entryFileNames: "[name].cjs",
        chunkFileNames: `${name}-[name].cjs`,
      },
    });
  }
}
