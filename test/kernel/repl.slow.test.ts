// The REPL under a real pseudo-terminal, seen through a small terminal emulator; and fed through a pipe.
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { after, afterEach, describe, it } from "node:test";
import { Pty } from "./support/pty.ts";

const binary = resolve("bin/moescope.mjs");
const folder = mkdtempSync(join(tmpdir(), "moescope-repl-"));
const env = { XDG_CACHE_HOME: join(folder, "cache") };
let pty: Pty | null = null;

const UP = "\x1b[A";
const ENTER = "\r";
const CTRL_C = "\x03";
const CTRL_D = "\x04";

async function open(o: { columns?: number; rows?: number; env?: NodeJS.ProcessEnv } = {}): Promise<Pty> {
  pty = new Pty(`exec ${process.execPath} ${binary} repl`, {
    cwd: folder,
    columns: o.columns,
    rows: o.rows,
    env: { ...env, ...o.env },
  });
  await pty.shows("[1]>");
  return pty;
}

afterEach(() => pty?.kill());
after(() => rmSync(folder, { recursive: true, force: true }));

describe("the prompt", () => {
  it("runs what is whole, asks for more where something is open, and shows values, output and errors", async () => {
    const t = await open();
    t.send(`const a = 20${ENTER}`);
    await t.shows("[2]>");
    t.send(`function twice(n: number) {${ENTER}return n * 2${ENTER}}${ENTER}`);
    await t.shows(/\[2\]> function twice\(n: number\) \{\n {7}return n \* 2\n {5,7}\}\n\[3\]>/);
    t.send(`console.log("printed"); twice(a) + 1${ENTER}`);
    await t.shows(/printed\n41\n\[4\]>/);
    t.send(`throw new Error("mine")${ENTER}`);
    await t.shows(/Error: mine[\s\S]*> 1 \| throw new Error\("mine"\)[\s\S]*\[5\]>/);
    t.send(`await Promise.resolve(a)${ENTER}`);
    await t.shows(/\n20\n\[6\]>/);
  });

  it("warns of type errors and runs the cell; %types strict refuses it", async () => {
    const t = await open();
    t.send(`const wrong: string = 5${ENTER}`);
    await t.shows(/Type 'number' is not assignable to type 'string'[\s\S]*~~~~~\n\[2\]>/);
    t.send(`wrong${ENTER}`);
    await t.shows(/\n5\n\[3\]>/);
    t.send(`%types strict${ENTER}`);
    await t.shows("types: strict");
    t.send(`const refused: string = 6${ENTER}`);
    await t.shows("was not run");
    t.send(`typeof refused${ENTER}`);
    await t.shows(/'refused'|undefined/);
  });

  it("takes keys while a cell spins, interrupts it, and keeps every value", async () => {
    const t = await open();
    t.send(`let n = 7${ENTER}`);
    await t.shows("[2]>");
    t.send(`for (;;) n++${ENTER}`);
    await t.shows("…>");
    t.send("n > 7");
    await t.shows("…> n > 7");
    t.send(CTRL_C);
    await t.shows(/KernelInterrupt[\s\S]*\[3\]> n > 7/);
    t.send(ENTER);
    await t.shows(/\ntrue\n\[4\]>/);
  });

  it("runs what was entered meanwhile, in its turn", async () => {
    const t = await open();
    t.send(`await new Promise((done) => setTimeout(done, 700)); "first"${ENTER}`);
    await t.shows("…>");
    t.send(`"second"${ENTER}`);
    await t.shows(/'first'\n\[2\]> "second"\n'second'\n\[3\]>/);
  });

  it("shows progress in place, above the prompt, and keeps its last state", async () => {
    const t = await open();
    t.send(
      `const host = (globalThis as any)[Symbol.for("moescope.host")]; const wait = () => new Promise((done) => setTimeout(done, 120));${ENTER}`,
    );
    await t.shows("[2]>");
    t.send(
      `for (let done = 0; done <= 10; done++) { host.progress({ id: "p", label: "loading", done, total: 10 }); await wait() }${ENTER}`,
    );
    await t.shows(/\nloading █+░+ \d+ % \(\d of 10\)\n {2}…>/);
    await t.shows(/\nloading: done in \d\.\d s\n\[3\]>/);
    assert.ok(!t.text.includes("░"), "the bar is gone");
  });

  it("completes members with Tab, from types and from live values", async () => {
    const t = await open();
    t.send(`const sites = { resid: 1, router: 2 }; globalThis.loose = { zebra: 1 }${ENTER}`);
    await t.shows("[2]>");
    t.send("sites.\t");
    await t.shows(/sites\.r\n [ >]?resid +property\n [ >]?router +property/);
    t.send(`\t\t${ENTER}`);
    await t.shows("[2]> sites.router");
    t.send(`${ENTER}`);
    await t.shows(/\n2\n\[3\]>/);
    t.send(`loose.\t`);
    await t.shows("[3]> loose.zebra");
    assert.ok(!t.text.includes("resid   property"), "the menu is gone");
  });

  it("explains what stands at the cursor", async () => {
    const t = await open();
    t.send(`/** Adds. */ function add(a: number, b = 2) { return a + b }${ENTER}`);
    await t.shows("[2]>");
    t.send("add\x1bh");
    await t.shows(/function add\(a: number, b\?: number\): number[\s\S]*Adds\./);
    t.send(`?${ENTER}`);
    await t.shows(/\[2\]> add\?\n[\s\S]*Adds\.[\s\S]*\[3\]>/);
  });

  it("remembers over sessions, walks back, and searches", async () => {
    const first = await open();
    first.send(`const kept = "from the past"${ENTER}`);
    await first.shows("[2]>");
    first.send(CTRL_D);
    assert.equal(await first.ended, 0);
    const t = await open();
    t.send(UP);
    await t.shows('[1]> const kept = "from the past"');
    t.send(`${CTRL_C}\x12kep`);
    await t.shows("(search: kep) const kept");
    t.send(ENTER);
    await t.shows(/\[1\]> const kept = "from the past"$/);
    assert.match(readFileSync(join(folder, "cache/moescope/history.jsonl"), "utf8"), /from the past/);
  });

  it("takes pasted lines as one text", async () => {
    const t = await open();
    t.send(`\x1b[200~const p = [\r\n  1,\r\n  2,\r\n]\r\np.length\x1b[201~`);
    await t.shows("p.length");
    assert.ok(!t.text.includes("[2]>"), "nothing has run");
    t.send(ENTER);
    await t.shows(/\n2\n\[2\]>/);
  });

  it("asks when a cell does, and hides a password", async () => {
    const t = await open();
    t.send(`const name = prompt("Name? "), word = prompt("Word? ", { password: true }); name + word.length${ENTER}`);
    await t.shows(/\nName\?/);
    t.send(`Ada${ENTER}`);
    await t.shows(/\nWord\?/);
    t.send(`secret${ENTER}`);
    await t.shows("'Ada6'");
    assert.ok(!t.raw.includes("secret"));
  });

  it("ends by Ctrl-C twice at an empty prompt, and by Ctrl-D; a text is only dropped", async () => {
    const t = await open();
    t.send(`half a text${CTRL_C}`);
    await t.shows(/half a text\n\[1\]>$/);
    t.send(CTRL_C);
    await t.shows("Ctrl-C again");
    t.send(CTRL_C);
    assert.equal(await t.ended, 0);
    assert.ok(t.raw.includes("\x1b[?2004l"), "the terminal is given back as it was");
  });

  it("ends also while a cell spins, when the terminal goes away", async () => {
    const t = await open();
    t.send(`for (;;) {}${ENTER}`);
    await t.shows("…>");
    t.child.stdin!.end();
    t.child.kill("SIGHUP");
    await t.ended;
  });

  it("keeps all of a flood of output, with the prompt under it", async () => {
    const t = await open();
    t.send(`for (let i = 0; i < 5000; i++) console.log("line", i)${ENTER}`);
    await t.shows(/line 4999\n\[2\]>/);
    const lines = t.text.split("\n").filter((line) => line.startsWith("line "));
    assert.deepEqual(
      lines,
      Array.from({ length: 5000 }, (_, i) => `line ${i}`),
    );
  });

  it("wraps in a narrow terminal, with wide letters", async () => {
    const t = await open({ columns: 20, rows: 10 });
    t.send('"🦙日本 abcdefghijklmnop"');
    await t.shows(/\[1\]> "🦙日本 abcdefg\n/);
    t.send(`.length${ENTER}`);
    await t.shows(/\n21\n\[2\]>/);
  });

  it("has no colours under NO_COLOR", async () => {
    const t = await open({ env: { NO_COLOR: "1" } });
    t.send(`throw new Error("plain")${ENTER}`);
    await t.shows("[2]>");
    // biome-ignore lint/suspicious/noControlCharactersInRegex: looking for control sequences
    assert.doesNotMatch(t.raw.slice(t.raw.indexOf("Moescope")), /\x1b\[[0-9;]*m/);
  });
});

describe("a pipe", () => {
  const piped = (input: string) => {
    const { status, stdout, stderr } = spawnSync(process.execPath, [binary, "repl"], {
      cwd: folder,
      input,
      encoding: "utf8",
      env: { ...process.env, ...env },
    });
    return { status, stdout, stderr };
  };
  it("is executed: results to stdout, warnings to stderr", () => {
    const { status, stdout, stderr } = piped('const x: string = 6;\nconsole.log("out");\nconsole.error("err");\nx * 7');
    assert.deepEqual([status, stdout], [0, "out\n42\n"]);
    assert.match(stderr, /^err\ncell 1, line 1, column 7: Type 'number'/);
    assert.ok(!stderr.includes("\x1b"));
  });
  it("fails with exit code 1 when the code does", () => {
    const { status, stdout, stderr } = piped("throw new Error('bad')");
    assert.deepEqual([status, stdout], [1, ""]);
    assert.match(stderr, /^Error: bad\n/);
  });
  it("may be empty", () => assert.deepEqual(piped(""), { status: 0, stdout: "", stderr: "" }));
});
