#!/usr/bin/env node
// The program's door: says in one sentence why it cannot open. Kept to what an old Node can read.
import { existsSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const root = join(dirname(fileURLToPath(import.meta.url)), "..");
const cli = join(root, "dist", "kernel", "cli.js");
const [major, minor] = process.versions.node.split(".").map(Number);

function refuse(sentence) {
  process.stderr.write(`moescope: ${sentence}\n`);
  process.exitCode = 2;
}

if (major < 20 || major === 21 || (major === 20 && minor < 19) || (major === 22 && minor < 12)) {
  refuse(
    `Node ${process.versions.node} is too old: Moescope needs 20.19 (or a later 20), or 22.12 and newer. Install one from https://nodejs.org, or with nvm: nvm install 22`,
  );
} else if (!existsSync(cli)) {
  refuse(`it is not built yet. In ${root} run: npm run build`);
} else if (!existsSync(join(root, "node_modules", "oxc-parser")) && root.indexOf("node_modules") < 0) {
  refuse(`its packages are missing. In ${root} run: npm ci`);
} else if (process.argv[2] === "kernel" && process.argv.length === 4 && !process.argv[3].startsWith("-")) {
  // What Jupyter calls, by the shortest way: a front end waits for it.
  await import("../dist/kernel/bundle/kernel.cjs");
} else {
  const { main } = await import("../dist/kernel/cli.js");
  await main(process.argv.slice(2));
}
