// `moescope run` as people and scripts call it.
import assert from "node:assert/strict";
import { spawn, spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { after, describe, it } from "node:test";
import { type Notebook, readNotebook } from "../../kernel/run/notebook.ts";
import { Pty } from "./support/pty.ts";

const binary = resolve("bin/moescope.mjs");
const folder = mkdtempSync(join(tmpdir(), "moescope-run-"));
after(() => rmSync(folder, { recursive: true, force: true }));

const at = (name: string) => join(folder, name);
const run = (...args: string[]) => {
  const { status, stdout, stderr } = spawnSync(process.execPath, [binary, "run", ...args], {
    cwd: folder,
    encoding: "utf8",
  });
  return { status, stdout, stderr };
};
function notebook(name: string, ...sources: (string | { source: string; tags: string[] })[]): void {
  const cells = sources.map((cell, i) => {
    const { source, tags } = typeof cell === "string" ? { source: cell, tags: undefined } : cell;
    if (source.startsWith("#")) return { cell_type: "markdown", id: `m${i}`, metadata: {}, source };
    const old = [{ output_type: "stream", name: "stdout", text: "from an earlier run" }];
    return {
      cell_type: "code",
      id: `c${i}`,
      metadata: tags ? { tags } : {},
      source,
      outputs: old,
      execution_count: 99,
    };
  });
  writeFileSync(
    at(name),
    JSON.stringify({ cells, metadata: { authors: [{ name: "Ada" }] }, nbformat: 4, nbformat_minor: 5 }),
  );
}
const read = (name: string): Notebook => readNotebook(readFileSync(at(name), "utf8"), name);

describe("a notebook", () => {
  it("runs in place: outputs, counts and ids right, everything else kept", () => {
    writeFileSync(at("local.ts"), "export const fromFile: number = 40;");
    notebook(
      "a.ipynb",
      "# Head",
      'import { fromFile } from "./local.ts";\nlet a = fromFile',
      "console.log('out'); console.error('err'); a + 2",
      "",
      "({ a })",
    );
    const { status, stdout, stderr } = run("a.ipynb");
    assert.equal(status, 0, stderr);
    assert.equal(stdout, "out\n42\n{ a: 40 }\n");
    assert.match(stderr, /\[1\/3\] import \{ fromFile \}[\s\S]*\[2\/3\] [\s\S]*err\n[\s\S]*\[3\/3\]/);
    const { cells, metadata } = read("a.ipynb");
    assert.deepEqual(
      cells.map((cell) => cell.id),
      ["m0", "c1", "c2", "c3", "c4"],
    );
    assert.deepEqual(
      cells.map((cell) => cell.execution_count),
      [undefined, 1, 2, null, 3],
    );
    assert.deepEqual(cells[1].outputs, []);
    assert.deepEqual(cells[2].outputs, [
      { output_type: "stream", name: "stdout", text: "out\n" },
      { output_type: "stream", name: "stderr", text: "err\n" },
      { output_type: "execute_result", data: { "text/plain": "42" }, metadata: {}, execution_count: 2 },
    ]);
    assert.deepEqual(metadata["authors"], [{ name: "Ada" }]);
    assert.equal((metadata["kernelspec"] as { name: string }).name, "moescope");
  });

  it("is valid to Python's nbformat", {
    skip: process.env["MOESCOPE_VENV"] ? false : "needs the private Python environment: npm test makes it",
  }, () => {
    notebook("valid.ipynb", "# x", "console.log(1); display({ a: 1 }); 5", {
      source: "throw new Error('x')",
      tags: ["raises-exception"],
    });
    assert.equal(run("valid.ipynb").status, 0);
    const script = "import sys, nbformat; nbformat.validate(nbformat.read(sys.argv[1], as_version=4)); print('valid')";
    const { stdout, stderr } = spawnSync(
      join(process.env["MOESCOPE_VENV"]!, "bin/python"),
      ["-W", "error", "-c", script, at("valid.ipynb")],
      { encoding: "utf8" },
    );
    assert.equal(stdout, "valid\n", stderr);
  });

  it("stops at the first failing cell with exit code 1, and says so; nothing of an earlier run is left", () => {
    notebook("fail.ipynb", "1", "const b = 1;\nthrow new RangeError('mine')", "'never'");
    const { status, stdout, stderr } = run("fail.ipynb");
    assert.deepEqual([status, stdout], [1, "1\n"]);
    assert.match(stderr, /RangeError: mine[\s\S]*> 2 \| throw new RangeError/);
    assert.match(stderr, /cell 2 of 3 failed, so the rest was not run/);
    const { cells } = read("fail.ipynb");
    const [error] = cells[1].outputs!;
    assert.deepEqual(error.output_type === "error" && [error.ename, error.evalue], ["RangeError", "mine"]);
    assert.deepEqual([cells[2].outputs, cells[2].execution_count], [[], null]);
  });

  it("goes on with --allow-errors, and over cells that are meant to fail", () => {
    notebook("on.ipynb", "throw new Error('x')", "'after'");
    assert.deepEqual(
      [run("on.ipynb", "--allow-errors")].map(({ status, stdout }) => [status, stdout]),
      [[0, "'after'\n"]],
    );
    notebook("meant.ipynb", { source: "throw new Error('x')", tags: ["raises-exception"] }, "'after'");
    assert.deepEqual(
      [run("meant.ipynb")].map(({ status, stdout }) => [status, stdout]),
      [[0, "'after'\n"]],
    );
  });

  it("leaves the file alone with --out, and writes a page with --html", () => {
    notebook("keep.ipynb", "# Title", "const x: string = 5; x");
    const before = readFileSync(at("keep.ipynb"), "utf8");
    const { status, stderr } = run("keep.ipynb", "--out", "done.ipynb", "--html", "page.html");
    assert.equal(status, 0, stderr);
    assert.match(stderr, /Type 'number' is not assignable to type 'string'/);
    assert.equal(readFileSync(at("keep.ipynb"), "utf8"), before);
    assert.equal(read("done.ipynb").cells[1].execution_count, 1);
    const html = readFileSync(at("page.html"), "utf8");
    assert.match(html, /<h1>Title<\/h1>[\s\S]*hl-keyword">const[\s\S]*class="result">5<[\s\S]*class="stream stderr"/);
  });

  it("interrupts a cell that takes longer than --timeout; values are kept", () => {
    notebook("slow.ipynb", "let n = 0;\nfor (;;) n++", "n > 0");
    const { status, stdout, stderr } = run("slow.ipynb", "--timeout", "0.5", "--allow-errors");
    assert.deepEqual([status, stdout], [0, "true\n"]);
    assert.match(stderr, /cell 1 took longer than 0.5 s and is interrupted/);
    assert.match(stderr, /KernelInterrupt/);
    notebook("slow2.ipynb", "await new Promise(() => {})");
    assert.equal(run("slow2.ipynb", "--timeout", "0.5").status, 1);
  });

  it("shows what display() shows once", () => {
    notebook("display.ipynb", "display({ a: 1 })", "const shown = display(1, { id: 'x' }); shown.update(2); shown");
    assert.equal(run("display.ipynb").stdout, "{ a: 1 }\n1\n2\n", "the last state of what changed is printed, too");
    const [first, second] = read("display.ipynb").cells.map((cell) => cell.outputs!);
    assert.deepEqual(first, [{ output_type: "display_data", data: { "text/plain": "{ a: 1 }" }, metadata: {} }]);
    assert.deepEqual(second, [{ output_type: "display_data", data: { "text/plain": "2" }, metadata: {} }]);
  });

  it("keeps a flood of output whole", () => {
    notebook("flood.ipynb", "for (let i = 0; i < 20000; i++) console.log('line', i)");
    const { status, stdout } = run("flood.ipynb");
    const expected = Array.from({ length: 20000 }, (_, i) => `line ${i}\n`).join("");
    assert.equal(status, 0);
    assert.equal(stdout, expected);
    assert.deepEqual(read("flood.ipynb").cells[0].outputs, [{ output_type: "stream", name: "stdout", text: expected }]);
  });

  it("does not stop when nobody reads its output", () => {
    notebook("closed.ipynb", "for (let i = 0; i < 20000; i++) console.log('line', i)", "'end'");
    const { status } = spawnSync(
      "bash",
      ["-c", `"${process.execPath}" "${binary}" run closed.ipynb | head -1; exit \${PIPESTATUS[0]}`],
      { cwd: folder },
    );
    assert.equal(status, 0);
    assert.equal(read("closed.ipynb").cells[1].execution_count, 2);
  });
});

describe("a script", () => {
  it("is one cell; its folder is not written to", () => {
    writeFileSync(
      at("s.ts"),
      'import { sep } from "node:path";\nenum E { A = 2 }\nconst five: number = await Promise.resolve(5);\nconsole.log(five * E.A, sep.length);\nprocess.cwd()',
    );
    const { status, stdout } = run("s.ts");
    assert.equal(status, 0);
    assert.equal(stdout, `10 1\n'${process.platform === "darwin" ? "/private" : ""}${folder}'\n`);
    assert.equal(run("s.ts", "-o", "s.ipynb").status, 0);
    assert.equal(read("s.ipynb").cells.length, 1);
  });
  it("that does not parse fails, with its place", () => {
    writeFileSync(at("bad.ts"), "const a = 1;\nconst b = ;");
    const { status, stderr } = run("bad.ts");
    assert.equal(status, 1);
    assert.match(stderr, /SyntaxError[\s\S]*line 2, column 11/);
  });
});

describe("what cannot be run", () => {
  for (const [args, message] of [
    [["missing.ipynb"], /there is no file .*missing\.ipynb/],
    [["x.py"], /takes a notebook \(\.ipynb\) or a script \(\.ts\)/],
    [["s.ts", "--timeout", "soon"], /--timeout takes seconds/],
    [["s.ts", "--html", "no/such/page.html"], /there is no folder .*no\/such/],
    [["broken.ipynb"], /broken\.ipynb: not a notebook, since it is not JSON/],
  ] as const) {
    it(args.join(" "), () => {
      writeFileSync(at("broken.ipynb"), "{");
      writeFileSync(at("s.ts"), "1");
      const { status, stdout, stderr } = run(...args);
      assert.deepEqual([status, stdout], [2, ""]);
      assert.match(stderr, message);
      assert.equal(stderr.trim().split("\n").length, 1, "one sentence");
    });
  }
});

describe("in a terminal", () => {
  it("shows the running cell; Ctrl-C interrupts it, saves, and ends with 130", async () => {
    notebook("tty.ipynb", "const kept = 1; kept", "for (;;) {}", "'never'");
    const t = new Pty(`exec ${process.execPath} ${binary} run tty.ipynb`, { cwd: folder });
    await t.shows("[2/3] for (;;) {}");
    t.send("\x03");
    assert.equal(await t.ended, 130);
    assert.match(t.text, /KernelInterrupt[\s\S]*stopped at cell 2 of 3/);
    const { cells } = read("tty.ipynb");
    assert.equal(cells[0].execution_count, 1);
    assert.equal(cells[1].outputs![0].output_type, "error");
    assert.deepEqual(cells[2].outputs, []);
  });

  it("ends at a second Ctrl-C, also when the cell cannot be interrupted", async () => {
    // The file is waited for in native code, which no interrupt reaches.
    notebook("stuck.ipynb", 'console.log("in"); require("node:child_process").spawnSync("sleep", ["60"])');
    const t = new Pty(`exec ${process.execPath} ${binary} run stuck.ipynb`, { cwd: folder });
    await t.shows(/^in$/m);
    t.send("\x03");
    await t.shows("Ctrl-C again to quit");
    t.send("\x03");
    assert.notEqual(await t.ended, 0);
    assert.match(t.text, /stopped/);
    assert.equal(read("stuck.ipynb").cells[0].execution_count, 1);
  });
});

it("is stopped by SIGTERM", async () => {
  writeFileSync(at("long.ts"), 'console.log("on"); for (;;) {}');
  const child = spawn(process.execPath, [binary, "run", "long.ts"], {
    cwd: folder,
    stdio: ["ignore", "pipe", "ignore"],
  });
  await new Promise((resolve) => child.stdout.once("data", resolve));
  child.kill("SIGTERM");
  assert.equal(await new Promise((resolve) => child.once("close", (_, signal) => resolve(signal))), "SIGTERM");
});
