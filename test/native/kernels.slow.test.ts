import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { resolve } from "node:path";
import { test } from "node:test";

const program = resolve("build/native/kernels-tests");

test("CPU kernels against their slow twins, every instruction set of this machine", () => {
  const { status, stdout, error } = spawnSync(program, { encoding: "utf8" });
  assert.ifError(error);
  const last = stdout.trim().split("\n").at(-1) ?? "";
  const counts = /^(\d+) passed, (\d+) failed$/.exec(last);
  assert.ok(counts, `no verdict: ${stdout}`);
  assert.equal(counts[2], "0", stdout);
  assert.ok(Number(counts[1]) > 100_000, last);
  assert.equal(status, 0);
});

test("MOESCOPE_ISA forces a narrower instruction set, and never one that is not there", () => {
  const detected = (wanted: string) =>
    spawnSync(program, ["detect"], { encoding: "utf8", env: { ...process.env, MOESCOPE_ISA: wanted } }).stdout.trim();
  assert.equal(detected("generic"), "generic");
  assert.equal(detected("neon"), process.arch === "arm64" ? "neon" : detected(""));
  assert.equal(detected("nonsense"), detected(""));
});
