/** Runs the Python suites with a kernelspec that exists for them alone. */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { after, before, test } from "node:test";

const venv = process.env["MOESCOPE_VENV"];
const skip = venv ? false : "needs the private Python environment: npm test makes it";

let folder: string;
before(() => {
  folder = mkdtempSync(join(tmpdir(), "moescope-conformance-"));
  const spec = join(folder, "share/kernels/moescope-test");
  mkdirSync(spec, { recursive: true });
  writeFileSync(
    join(spec, "kernel.json"),
    JSON.stringify({
      argv: [process.execPath, resolve("bin/moescope.mjs"), "kernel", "{connection_file}"],
      display_name: "Moescope under test",
      language: "typescript",
      interrupt_mode: "message",
      metadata: {},
    }),
  );
  mkdirSync(join(folder, "notebooks"));
  writeFileSync(join(folder, "notebooks/helper.ts"), "export const helper = (n: number): number => 2 * n + 2;\n");
});
after(() => rmSync(folder, { recursive: true, force: true }));

/** The suite's own report when it fails; skipped samples count as failures. */
async function python(script: string, ...args: string[]): Promise<void> {
  const child = spawn(join(venv!, "bin/python"), [resolve("test/conformance", script), ...args, "-v"], {
    cwd: folder,
    env: {
      ...process.env,
      JUPYTER_PATH: join(folder, "share"),
      XDG_CACHE_HOME: join(folder, "cache"),
      JUPYTER_PLATFORM_DIRS: "1",
    },
    stdio: ["ignore", "pipe", "pipe"],
  });
  let text = "";
  for (const stream of [child.stdout, child.stderr]) {
    stream.on("data", (chunk) => {
      text += chunk;
    });
  }
  const [code] = await once(child, "close");
  assert.equal(code, 0, text);
  assert.match(text, /^Ran [1-9]\d* tests?/m);
  assert.doesNotMatch(text, /skipped/i, text);
}

test("jupyter_kernel_test, every sample filled in", { skip, timeout: 120_000 }, () => python("kernel_tests.py"));

test("notebooks under nbclient", { skip, timeout: 180_000 }, () =>
  python("notebook_tests.py", join(folder, "notebooks")),
);
