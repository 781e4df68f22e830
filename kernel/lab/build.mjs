// Puts the compiled plugin where JupyterLab expects one: package.json and static/<hash>/, so that a new version has a new address.
import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { copyFileSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";

const here = dirname(fileURLToPath(import.meta.url));
const root = resolve(here, "../..");
const out = join(root, "dist/kernel/lab");
rmSync(out, { recursive: true, force: true });

const tsc = spawnSync(process.execPath, [join(root, "node_modules/typescript/bin/tsc"), "-p", here], {
  stdio: "inherit",
});
if (tsc.status !== 0) process.exit(1);

const compiled = join(out, "static");
const plotly = createRequire(import.meta.url).resolve("plotly.js-dist-min/plotly.min.js");
const sum = createHash("sha256");
for (const name of readdirSync(compiled).sort()) sum.update(readFileSync(join(compiled, name)));
const hash = sum.digest("hex").slice(0, 12);
renameSync(compiled, join(out, hash));
mkdirSync(compiled);
renameSync(join(out, hash), join(compiled, hash));
copyFileSync(plotly, join(compiled, hash, "plotly.min.js"));

const { version, license } = JSON.parse(readFileSync(join(root, "package.json"), "utf8"));
const description = "Draws Moescope's figures and token ribbons in JupyterLab";
const jupyterlab = { extension: true, _build: { load: `static/${hash}/remote.js`, extension: "./extension" } };
writeFileSync(
  join(out, "package.json"),
  `${JSON.stringify({ name: "moescope", version, license, description, jupyterlab }, null, 2)}\n`,
);
