// `npm test`: builds, lints, and runs every test that needs no GPU. `--fast`: the unit tests alone. Names choose: `npm test -- interrupt`.
//   *.test.ts       share a few processes
//   *.slow.test.ts  have a process each: they start kernels, Jupyter, browsers
import { spawn } from "node:child_process";
import { availableParallelism } from "node:os";
import { join, relative } from "node:path";
import { build } from "./lib/build.mjs";
import { root, run } from "./lib/exec.mjs";
import { nativePrograms } from "./lib/native.mjs";
import { install } from "./lib/python.mjs";
import { main, say } from "./lib/say.mjs";
import { filesOf } from "./lib/stamp.mjs";

/** What the Jupyter tests need beside JupyterLab itself. */
const PYTHON = [
  "jupyterlab==4.6.6",
  "notebook==7.6.5",
  "nbclient==0.11.0",
  "ipykernel==7.4.0",
  "jupyter_kernel_test==0.7.0",
];
const SLOW_LIMIT_MS = 15 * 60_000;

const total = { pass: 0, fail: 0, skipped: 0 };

/** Runs Node on test files, passes the output through (`held` back to its end), and adds up the counts. */
function tests(args, { env = {}, held = false } = {}) {
  return new Promise((done) => {
    const child = spawn(process.execPath, ["--enable-source-maps", ...args], {
      cwd: root,
      env: { ...process.env, ...env },
      stdio: ["ignore", "pipe", "inherit"],
    });
    const timer = setTimeout(() => child.kill("SIGKILL"), SLOW_LIMIT_MS);
    const chunks = [];
    child.stdout.on("data", (chunk) => {
      chunks.push(chunk);
      if (!held) process.stdout.write(chunk);
    });
    child.on("close", (code) => {
      clearTimeout(timer);
      const output = Buffer.concat(chunks);
      if (held) process.stdout.write(output);
      const text = output.toString();
      for (const key of ["pass", "fail"]) {
        const found = [...text.matchAll(new RegExp(`^(?:ℹ|#) ${key} (\\d+)`, "gm"))].at(-1);
        if (found) total[key] += Number(found[1]);
      }
      // Not by the closing count: that leaves out suites.
      total.skipped += text.match(/ # SKIP\b/g)?.length ?? 0;
      done(code ?? 128);
    });
  });
}

await main(async () => {
  const fast = process.argv.includes("--fast");
  const names = process.argv.slice(2).filter((arg) => !arg.startsWith("--"));
  await build();
  let failed = 0;
  if (!fast && !names.length) failed += (await run(process.execPath, ["scripts/lint.mjs"])) ? 1 : 0;

  const files = filesOf("dist/test").filter(
    (file) => file.endsWith(".test.js") && (!names.length || names.some((name) => file.includes(name))),
  );
  const together = files.filter((file) => !file.endsWith(".slow.test.js"));
  const alone = fast ? [] : files.filter((file) => file.endsWith(".slow.test.js"));

  if (together.length) {
    say(`moescope: ${together.length} files of unit tests`);
    // Two a core, since some wait by design; dealt out in turn, since neighbours last alike. One share is seen while it runs.
    const shares = Math.min(2 * availableParallelism(), 8, together.length);
    const codes = await Promise.all(
      Array.from({ length: shares }, (_, share) =>
        tests([join(root, "scripts/lib/together.mjs"), ...together.filter((_, i) => i % shares === share)], {
          held: share > 0,
        }),
      ),
    );
    failed += codes.filter((code) => code !== 0).length;
  }
  if (alone.some((file) => file.includes("/native/"))) await nativePrograms();
  if (alone.length) {
    const bin = await install(".venv", PYTHON, "the tests with real Jupyter");
    for (const file of alone) {
      say(`moescope: ${relative(join(root, "dist/test"), file)}`);
      // What a failed test left behind (a kernel, a socket) must not keep its process.
      const alive = relative(join(root, "dist/test"), file).startsWith("kernel") ? ["--test-force-exit"] : [];
      const env = { PATH: `${bin}:${process.env.PATH}`, MOESCOPE_VENV: join(root, ".venv") };
      failed += (await tests([...alive, file], { env })) ? 1 : 0;
    }
  }
  // In CI nothing may be left out silently.
  if (process.env.CI && total.skipped) {
    process.stderr.write(`moescope: ${total.skipped} tests were skipped, and CI skips none\n`);
    failed += 1;
  }
  process.stdout.write(`${total.pass} passed, ${total.fail} failed, ${total.skipped} skipped\n`);
  return failed ? 1 : 0;
});
