/** What a cell may be: names, imports, modules of the user, `using`, attribution. Through a real kernel, in a folder that is not this repository. */
import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, rmSync, utimesSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { plain, TestKernel } from "./support/test-kernel.ts";

let kernel: TestKernel;
let folder: string;
before(async () => {
  folder = mkdtempSync(join(tmpdir(), "moescope notebook é-"));
  kernel = await TestKernel.start({ cwd: folder });
  await kernel.execute("%types off");
});
after(async () => {
  await kernel.shutdown();
  rmSync(folder, { recursive: true, force: true });
});

const file = (name: string, text: string): void => {
  mkdirSync(join(folder, name, ".."), { recursive: true });
  writeFileSync(join(folder, name), text);
};

/** Runs cells in order; the last one's result. */
async function result(...cells: string[]): Promise<string | null> {
  let last: string | null = null;
  for (const cell of cells) {
    const r = await kernel.execute(cell);
    assert.equal(r.error, null, `${cell}\n${plain(r.error?.traceback.join("\n") ?? "")}`);
    last = r.result;
  }
  return last;
}

test("anything is redefined by anything", async () => {
  const definitions: [string, string][] = [
    ["const thing = 1", "1"],
    ["let thing = 2", "2"],
    ["function thing() { return 3 }", "[Function: thing]"],
    ["class thing { static x = 4 }", "[class thing] { x: 4 }"],
    ["enum thing { A = 5 }", "{ '5': 'A', A: 5 }"],
    ["namespace thing { export const y = 6 }", "{ y: 6 }"],
    ["import * as thing from 'node:path'; 0", ""],
    ["import { join as thing } from 'node:path'", "[Function: join]"],
    ["const { thing } = { thing: 7 }", "7"],
    ["const [, ...thing] = [0, 8]", "[ 8 ]"],
    ["async function thing() {}", "[AsyncFunction: thing]"],
    ["var thing = 9", "9"],
    ["const enum thing { B = 'b' }", "{ B: 'b' }"],
    ["using thing = { [Symbol.dispose]() {}, z: 1 }", ""],
    ["let thing", "null"],
  ];
  for (const [definition, shown] of definitions) {
    const { error } = await kernel.execute(definition);
    assert.equal(error, null, definition);
    const { result } = await kernel.execute("thing");
    if (shown) assert.equal(String(result), shown, definition);
  }
});

test("closures see later values; functions see later definitions of what they call", async () => {
  assert.equal(await result("let counter = 1; const read = () => counter", "counter = 5", "read()"), "5");
  assert.equal(
    await result(
      "function outer() { return inner() }\nfunction inner() { return 'old' }",
      "function inner() { return 'new' }",
      "outer()",
    ),
    "'new'",
  );
  assert.equal(
    await result("function fact(n: number): number { return n < 2 ? 1 : n * fact(n - 1) }", "fact(10)"),
    "3628800",
  );
  assert.equal(await result("hoisted(); function hoisted() { return 'up' }\nhoisted()"), "'up'");
});

test("the last expression is the result, whatever it is", async () => {
  const cases: [string, string | null][] = [
    ["'directive like'", "'directive like'"],
    ["{ a: 1, b: { c: 2 } }", "{ a: 1, b: { c: 2 } }"],
    ["{}", "{}"],
    ["{ let scoped = 1; scoped }", null],
    ["(1, 2)", "2"],
    ["1; // comment", "1"],
    ["`a\n$` + 2", "'a\\n$2'"],
    ["await Promise.resolve(3)", "3"],
    ["const declared = 4", null],
    ["if (true) 5", null],
    ["export default 6", "6"],
    ["export const exported = 7; exported", "7"],
    ["<any>8 as number satisfies number", "8"],
    ["[1,\n2,\n3]", "[ 1, 2, 3 ]"],
    ["x => x", "[Function (anonymous)]"],
    ["function* gen() { yield 1 }; [...gen()]", "[ 1 ]"],
    ["", null],
    ["// nothing", null],
    ["type Only = string", null],
  ];
  for (const [code, expected] of cases) assert.equal(await result(code), expected, code);
});

test("top level: await, for await, labels, var in blocks, loops with their own names", async () => {
  assert.equal(
    await result("let sum = 0; for await (const v of (async function* () { yield 1; yield 2 })()) sum += v; sum"),
    "3",
  );
  assert.equal(
    await result(
      "if (true) { var inBlock = 1 } for (var loop = 0; loop < 3; loop++) {} for (var { length } of ['ab']) {} [inBlock, loop, length]",
    ),
    "[ 1, 3, 2 ]",
  );
  assert.equal(await result("[inBlock, loop, length]"), "[ 1, 3, 2 ]");
  assert.equal(await result("for (let own = 0; own < 2; own++) {} typeof own"), "'undefined'");
  assert.equal(
    await result(
      "const fs_: (() => number)[] = []; for (let i = 0; i < 3; i++) fs_.push(() => i); fs_.map((f) => f())",
    ),
    "[ 0, 1, 2 ]",
  );
  assert.equal(await result("switch (1) { case 1: var fromSwitch = 'yes' } fromSwitch"), "'yes'");
  const { error } = await kernel.execute("undeclaredName = 5");
  assert.equal(error?.ename, "ReferenceError");
  const twice = await kernel.execute("let twin = 1; let twin = 2");
  assert.equal(twice.error?.ename, "SyntaxError");
});

test("a top-level loop is about as fast as a local one", async () => {
  const { result: ratio } = await kernel.execute(`
    const local = (() => { const t = performance.now(); let s = 0; for (let i = 0; i < 3e7; i++) s += i % 7; return performance.now() - t })();
    const t0 = performance.now(); let s0 = 0; for (let i = 0; i < 3e7; i++) s0 += i % 7; const top = performance.now() - t0;
    top / local
  `);
  assert.ok(Number(ratio) < 10, `${ratio} times slower`);
});

test("imports: built-in, packages of the kernel, JSON, default and namespace; missing names are told", async () => {
  assert.equal(
    await result(
      "import fs, { existsSync as exists } from 'node:fs'; import * as os from 'node:os'; [typeof fs.readFileSync, typeof exists, typeof os.cpus]",
    ),
    "[ 'function', 'function', 'function' ]",
  );
  assert.equal(
    await result("import { tableFromArrays } from 'apache-arrow'; tableFromArrays({ a: [1, 2] }).numRows"),
    "2",
  );
  assert.equal(await result("const { join: dynamicJoin } = await import('node:path'); dynamicJoin('a', 'b')"), "'a/b'");
  file("data.json", '{"answer": 42}');
  assert.equal(await result("import data from './data.json' with { type: 'json' }; data.answer"), "42");
  const { error } = await kernel.execute("import { readfileSync } from 'node:fs'; readfileSync('x')");
  assert.match(error!.evalue, /"node:fs" has no export named "readfileSync".*Did you mean/);
  assert.equal(await result("import { type Stats, Dirent } from 'node:fs'; typeof Dirent"), "'function'");
  assert.equal(await result("import type { Stats } from 'node:fs'; 1"), "1");
  const missing = await kernel.execute("import 'no-such-package-anywhere'");
  assert.match(missing.error!.evalue, /no-such-package-anywhere/);
  assert.equal(await result("typeof require('node:fs').readFileSync"), "'function'");
  assert.match((await result("import.meta.dirname"))!, /moescope notebook é/);
});

test("packages in the notebook's folder come first", async () => {
  file(
    "node_modules/local-package/package.json",
    '{ "name": "local-package", "type": "module", "exports": "./index.js" }',
  );
  file("node_modules/local-package/index.js", "export const where = 'here'; export default class Thing {}");
  assert.equal(
    await result("import Thing, { where } from 'local-package'; [where, Thing.name]"),
    "[ 'here', 'Thing' ]",
  );
});

test("local TypeScript: transformed, loaded anew when it or what it imports changes, errors in its own lines", async () => {
  file(
    "lib/helper.ts",
    "import { base } from './base.js';\nexport enum Kind { A, B }\nexport const value: number = base + 1;\nexport function fail(x: { y: { z: number } } | null): number {\n  return x!.y.z;\n}\n",
  );
  file("lib/base.ts", "export const base: number = 1;\n");
  assert.equal(await result("import { value, Kind } from './lib/helper'; [value, Kind.B]"), "[ 2, 1 ]");
  const once = await result("import * as again from './lib/helper.ts'; globalThis.firstTime = again; 1");
  assert.equal(once, "1");
  assert.equal(await result("import * as again2 from './lib/helper.ts'; again2 === globalThis.firstTime"), "true");
  file("lib/base.ts", "export const base: number = 10;\n");
  const soon = new Date(Date.now() + 2000);
  utimesSync(join(folder, "lib/base.ts"), soon, soon);
  assert.equal(await result("import { value } from './lib/helper'; value"), "11");
  const { error } = await kernel.execute("import { fail } from './lib/helper'; fail(null)");
  assert.match(plain(error!.traceback.join("\n")), /at fail \(.*lib\/helper\.ts:5:13\)/);
  file("lib/broken.ts", "export const x = (;\n");
  const broken = await kernel.execute("import './lib/broken'");
  assert.match(broken.error!.evalue, /broken\.ts/);
});

test("using: disposed when its name is declared anew, and when the session ends; in blocks at their end", async () => {
  const cell = await kernel.execute("using held = { [Symbol.dispose]() { console.log('held disposed') }, v: 1 }");
  assert.equal(cell.stdout, "");
  assert.equal(await result("held.v"), "1");
  assert.equal((await kernel.execute("const held = 2")).stdout, "held disposed\n");
  const block = await kernel.execute(
    "{ using a = { [Symbol.dispose]() { console.log('a') } }; using b = { [Symbol.dispose]() { console.log('b') } }; console.log('in') }",
  );
  assert.equal(block.stdout, "in\nb\na\n");
  const inner = await kernel.execute(
    "async function withUsing() { await using r = { async [Symbol.asyncDispose]() { console.log('async disposed') } }; return 'value' }\nawait withUsing()",
  );
  assert.deepEqual([inner.stdout, inner.result], ["async disposed\n", "'value'"]);
  const wrong = await kernel.execute("using no = {}");
  assert.match(wrong.error!.evalue, /using no: the value has no \[Symbol.dispose\]/);
  await kernel.execute(
    "await using late = { async [Symbol.asyncDispose]() { await null; console.log('disposed at the end') } }",
  );
});

test("tslab's display verbs", async () => {
  const { iopub } = await kernel.execute(
    "import * as tslab from 'tslab'; tslab.display.html('<i>x</i>'); tslab.markdown('# t'); tslab.png(new Uint8Array([1])); tslab.raw('application/x', { a: 1 }); const place = tslab.newDisplay(); place.text('1'); place.text('2')",
  );
  const shown = iopub
    .filter((m) => /display_data/.test(m.header.msg_type))
    .map((m) => [m.header.msg_type, Object.entries(m.content.data)[0]]);
  assert.deepEqual(shown, [
    ["display_data", ["text/html", "<i>x</i>"]],
    ["display_data", ["text/markdown", "# t"]],
    ["display_data", ["image/png", "AQ=="]],
    ["display_data", ["application/x", { a: 1 }]],
    ["display_data", ["text/plain", "1"]],
    ["update_display_data", ["text/plain", "2"]],
  ]);
});

test("late output goes to the cell that set its timer", async () => {
  const first = await kernel.execute("setTimeout(() => console.log('from the first'), 150); 0");
  await kernel.execute("await new Promise((r) => setTimeout(r, 300)); 'second'");
  const message = await kernel.until(
    (m) => m.header.msg_type === "stream" && m.content.text.includes("from the first"),
  );
  assert.equal((message.parent as { msg_id: string }).msg_id, (first.reply.parent as { msg_id: string }).msg_id);
});

test("progress: nothing for what is quick, one output that ends in a line for what is not", async () => {
  const quick = await kernel.execute(
    "const host = globalThis[Symbol.for('moescope.host')]; for (let i = 0; i <= 10; i++) host.progress({ id: 'q', label: 'quick', done: i, total: 10 })",
  );
  assert.equal(quick.displays.length, 0);
  const slow = await kernel.execute(
    "for (let i = 0; i <= 10; i++) { host.progress({ id: 's', label: 'slow', done: i, total: 10 }); await new Promise((r) => setTimeout(r, 80)) }",
  );
  assert.equal(slow.displays.length, 1);
  assert.match(slow.displays[0].data["text/plain"], /^slow █+░+ \d+ % \(\d+ of 10\)$/);
  const last = slow.iopub.filter((m) => m.header.msg_type === "update_display_data").at(-1)!;
  assert.match(last.content.data["text/plain"], /^slow: done in \d/);
});

test("names of globals are shadowed in cells, and nowhere else", async () => {
  assert.equal(
    await result(
      "const URL = 5, process = 6, console = 7, Promise = 8, Error = 9; [URL, process, console, Promise, Error]",
    ),
    "[ 5, 6, 7, 8, 9 ]",
  );
  assert.equal(await result("URL + process"), "11");
  assert.equal(await result("({ URL, process: process + 1, x: { URL }.URL })"), "{ URL: 5, process: 7, x: 5 }");
  assert.equal(await result("(({ URL = 1, ...rest }) => [URL, rest])({ URL: 2, a: 3 })"), "[ 2, { a: 3 } ]");
  assert.equal(
    await result(
      "const { URL: renamed, process: { length: console } } = { URL: 'u', process: 'abc' }; [renamed, console]",
    ),
    "[ 'u', 3 ]",
  );
  assert.equal(await result("typeof globalThis.URL + typeof globalThis.process.cwd"), "'functionfunction'");
  assert.equal(
    await result("class Map { static URL = 'static'; URL() { return URL } } ; [Map.URL, new Map().URL()]"),
    "[ 'static', 5 ]",
  );
  assert.equal(await result("await (async () => 1)()"), "1");
  assert.equal(await result("import { pathToFileURL } from 'node:url'; pathToFileURL('/x').href"), "'file:///x'");
  // Packages ask for these names to find out where they run.
  assert.equal(
    await result("const window = 64, document = 'a text', module = 1; window + document + module"),
    "'64a text1'",
  );
  assert.equal(
    await result("new globalThis.Function('return typeof window + typeof document')()"),
    "'undefinedundefined'",
  );
  const { error } = await kernel.execute("throw new globalThis.Error('the kernel still reports')");
  assert.equal(error?.evalue, "the kernel still reports");
});
