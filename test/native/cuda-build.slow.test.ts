/** The CUDA backend compiles on a machine without a GPU, and the addon does not know of it until it is asked. */
import assert from "node:assert/strict";
import { spawn, spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { resolve } from "node:path";
import { test } from "node:test";
import { DeviceError, Model } from "../../engine/index.ts";
import type { Native } from "../../engine/native.ts";

const library = "build/native/libmoescope-cuda.so";
const addon = "build/native/moescope.node";

function output(command: string, args: string[]): string {
  const { status, stdout, stderr } = spawnSync(command, args, { encoding: "utf8" });
  assert.equal(status, 0, stderr);
  return stdout;
}

test("it builds for Ampere, Ada and Hopper, warnings being errors", async () => {
  const start = performance.now();
  const child = spawn(process.execPath, ["scripts/build-cuda.mjs"], { stdio: "inherit" });
  assert.equal(await new Promise((done) => child.on("close", done)), 0);
  // Downloading the compiler (once) is not counted against the build in a fresh clone: it has ten minutes in all.
  assert.ok(performance.now() - start < 600_000);
  const bytes = readFileSync(library).toString("latin1");
  for (const arch of ["sm_80", "sm_89", "sm_90a"]) assert.ok(bytes.includes(arch), arch);
});

test("the library exports its one function, and needs no CUDA library to be opened", () => {
  const exported = output("nm", ["-D", "--defined-only", library])
    .split("\n")
    .filter((line) => line !== "")
    .map((line) => line.split(" ").at(-1));
  assert.deepEqual(exported, ["moescope_cuda_api"]);
  assert.doesNotMatch(output("readelf", ["-d", library]), /NEEDED.*lib(cuda|cudart|cublas|nv)/);
});

test("the addon has no CUDA symbol", () => {
  assert.doesNotMatch(output("nm", ["-D", addon]), / _?cu(da)?[A-Z]/);
  assert.doesNotMatch(output("readelf", ["-d", addon]), /NEEDED.*cuda/);
});

test("without a driver a model loads on the CPU, and asking for CUDA says what is missing", async () => {
  const { state, text } = (createRequire(import.meta.url)(resolve(addon)) as Native).cuda();
  using m = await Model.load("tiny-scout");
  assert.equal(m.device, state === "ready" ? "cuda" : "cpu");
  if (state === "ready") return;
  assert.match(text, /driver/);
  await assert.rejects(Model.load("tiny-scout", { device: "cuda" }), (e) => {
    assert.ok(e instanceof DeviceError);
    assert.ok(e.message.includes(text) && e.message.includes('"cpu"'), e.message);
    return true;
  });
});
