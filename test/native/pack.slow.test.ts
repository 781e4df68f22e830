/** The pack for servers, far from this checkout's packages and with nothing but a shell: what it left out it does without. */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { copyFileSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";

const home = mkdtempSync(join(tmpdir(), "moescope-pack-"));
const folder = join(home, "moescope-gpu");

before(() => {
  const make = `import { cuda } from "./scripts/lib/cuda.mjs"; import { pack } from "./scripts/lib/pack.mjs";
    await cuda(); await pack(${JSON.stringify(folder)});`;
  const { status, stderr } = spawnSync(process.execPath, ["--input-type=module", "-e", make], { encoding: "utf8" });
  assert.equal(status, 0, stderr);
});
after(() => rmSync(home, { recursive: true, force: true }));

const moescope = (...args: string[]) =>
  spawnSync(join(folder, "moescope"), args, { encoding: "utf8", env: { PATH: "/usr/bin:/bin", HOME: home } });

interface Notebook {
  cells: { cell_type: string; outputs?: { output_type: string; data?: Record<string, unknown> }[] }[];
}

test("doctor calls nothing broken", () => {
  const { status, stdout, stderr } = moescope("doctor");
  assert.equal(status, 0, stdout + stderr);
  assert.match(stdout, /absent +Jupyter/);
});

test("the first notebook runs in it, and its pictures are SVG", () => {
  const file = join(folder, "notebooks/first.ipynb");
  copyFileSync("notebooks/00-first-contact.ipynb", file);
  const { status, stdout, stderr } = moescope("run", file);
  assert.equal(status, 0, stdout + stderr);
  const { cells } = JSON.parse(readFileSync(file, "utf8")) as Notebook;
  const outputs = cells.flatMap((c) => c.outputs ?? []);
  assert.ok(outputs.length > 10);
  assert.ok(outputs.every((o) => o.output_type !== "error"));
  const pictures = outputs.flatMap((o) => (o.data?.["image/svg+xml"] ? [String(o.data["image/svg+xml"])] : []));
  assert.ok(pictures.length > 5 && pictures.every((svg) => svg.includes("</svg>")), `${pictures.length} pictures`);
  assert.ok(outputs.every((o) => !o.data?.["image/png"]));
});

test("a PNG asked for by hand is refused, and what would do is said", () => {
  const file = join(folder, "png.ts");
  writeFileSync(
    file,
    `import { Model } from "moescope";
const r = await (await Model.load("tiny-scout", { device: "cpu" })).run("A");
await r.plot.loadMap().toPNG().catch((e) => console.log(e.name, e.message));`,
  );
  const { status, stdout, stderr } = moescope("run", file);
  assert.equal(status, 0, stdout + stderr);
  assert.match(stdout, /^PackageError .*@resvg\/resvg-js.*toSVG/m);
});
