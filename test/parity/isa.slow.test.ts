import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { test } from "node:test";
import { native } from "../../engine/model/addon.ts";

/** The machine's best instruction set is what every other test runs; these are the others that it can run. */
const OTHERS: Record<string, string[]> = {
  amx: ["avx512", "avx2", "generic"],
  avx512: ["avx2", "generic"],
  avx2: ["generic"],
  neon: ["generic"],
};

for (const isa of OTHERS[native().info().isa] ?? []) {
  for (const file of ["sites", "decode.slow", "edits", "ties"]) {
    test(`${file} with ${isa}`, () => {
      const env: NodeJS.ProcessEnv = { ...process.env, MOESCOPE_ISA: isa };
      // Set by the runner above us, it would turn the child's report into a binary one.
      delete env["NODE_TEST_CONTEXT"];
      const path = new URL(`./${file}.test.js`, import.meta.url).pathname;
      const r = spawnSync(process.execPath, ["--enable-source-maps", path], {
        env,
        encoding: "utf8",
        timeout: 300_000,
      });
      assert.equal(r.status, 0, r.stdout.slice(-4000) + r.stderr.slice(-2000));
      assert.match(r.stdout, /(#|ℹ) pass [1-9]/);
    });
  }
}
