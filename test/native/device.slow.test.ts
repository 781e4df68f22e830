/** What surrounds a device, on machines without one: its memory, its loss and its profile, over the stand-in of `fake-cuda/`. */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { resolve } from "node:path";
import { test } from "node:test";

const env: NodeJS.ProcessEnv = { ...process.env, MOESCOPE_CUDA_LIBRARY: resolve("build/native/fake-cuda.so") };

test("the core's tests of a device pass on the stand-in", () => {
  const { status, stdout, stderr } = spawnSync("build/native/native-tests", ["cuda", "device", "lost"], {
    encoding: "utf8",
    env,
    timeout: 300_000,
  });
  assert.equal(status, 0, stdout + stderr);
  assert.match(stdout, /device +\d+ checks.*lost +\d+ checks.*[1-9]\d* passed, 0 failed/s);
});

for (const name of ["model", "cases", "memory", "profile", "lost"])
  test(`test/gpu/${name}.gpu.ts passes on the stand-in`, () => {
    // A test process of its own: node:test's variables would make it report to this one instead.
    const { NODE_TEST_CONTEXT: _, ...own } = env;
    const { status, stdout, stderr } = spawnSync(
      process.execPath,
      ["--enable-source-maps", "--test", "--test-reporter=tap", `dist/test/gpu/${name}.gpu.js`],
      { encoding: "utf8", env: own, timeout: 300_000 },
    );
    assert.equal(status, 0, stdout + stderr);
    assert.match(stdout, /# pass [1-9]/);
  });
