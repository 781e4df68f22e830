/** The kernel as a Jupyter client sees it: every message of the protocol. What it must survive is in `faults`. */
import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { plain, TestKernel } from "./support/test-kernel.ts";

let kernel: TestKernel;
let folder: string;
before(async () => {
  folder = mkdtempSync(join(tmpdir(), "moescope-notebook-"));
  kernel = await TestKernel.start({ cwd: folder });
});
after(async () => {
  assert.equal(await kernel.shutdown(), 0, kernel.stderrText);
  rmSync(folder, { recursive: true, force: true });
});

test("kernel_info, on shell and on control", async () => {
  for (const channel of ["shell", "control"] as const) {
    const { reply, iopub } = await kernel.request(channel, "kernel_info_request", {});
    assert.equal(reply.header.msg_type, "kernel_info_reply");
    assert.equal(reply.content.status, "ok");
    assert.equal(reply.content.implementation, "moescope");
    assert.equal(reply.content.language_info.name, "typescript");
    assert.equal(reply.content.language_info.file_extension, ".ts");
    assert.deepEqual(
      iopub.map((m) => m.content.execution_state),
      ["busy", "idle"],
    );
  }
});

test("the kernel's session id is its own and one", async () => {
  const a = await kernel.execute("1");
  const b = await kernel.request("control", "kernel_info_request", {});
  const ids = new Set([a.reply, b.reply, ...a.iopub].map((m) => m.header.session));
  assert.equal(ids.size, 1);
  assert.notEqual([...ids][0], (a.reply.parent as { session: string }).session);
});

test("execute: busy, execute_input, result, reply, idle, each with the request as parent", async () => {
  const r = await kernel.execute("6 * 7");
  assert.deepEqual(
    r.iopub.map((m) => m.header.msg_type),
    ["status", "execute_input", "execute_result", "status"],
  );
  const [, input, result] = r.iopub;
  assert.deepEqual(input.content, { code: "6 * 7", execution_count: r.reply.content.execution_count });
  assert.deepEqual(result.content, {
    execution_count: r.reply.content.execution_count,
    data: { "text/plain": "42" },
    metadata: {},
    transient: {},
  });
  assert.equal(r.reply.content.status, "ok");
});

test("execution counts: silent and unstored cells do not raise them; silent says nothing", async () => {
  const first = (await kernel.execute("1")).reply.content.execution_count;
  const silent = await kernel.execute("console.log('quiet'); 5", { silent: true });
  assert.ok(!silent.iopub.some((m) => ["execute_input", "execute_result"].includes(m.header.msg_type)));
  const unstored = await kernel.execute("5", { store_history: false });
  assert.equal(unstored.result, "5");
  assert.equal((await kernel.execute("2")).reply.content.execution_count, first + 1);
});

test("user_expressions: each ok or an error of its own", async () => {
  const { reply } = await kernel.execute("const ue = { a: 1 }", {
    user_expressions: { good: "ue.a + 1", bad: "ue.b.c", worse: "1 +" },
  });
  const { good, bad, worse } = reply.content.user_expressions;
  assert.deepEqual(good, { status: "ok", data: { "text/plain": "2" }, metadata: {} });
  assert.equal(bad.status, "error");
  assert.equal(bad.ename, "TypeError");
  assert.equal(worse.ename, "SyntaxError");
});

test("streams and displays keep their order", async () => {
  const { iopub } = await kernel.execute(
    "console.log('1'); console.error('2'); display({ [Symbol.for('Jupyter.display')]: () => ({ 'text/plain': '3' }) }); process.stdout.write('4'); await null; console.log('5'); '6'",
  );
  // How many messages carry a text is a matter of time; what they carry, and in which order, is not.
  const shown: [string, string][] = [];
  for (const { header, content } of iopub) {
    const from = header.msg_type === "stream" ? content.name : header.msg_type;
    const text = header.msg_type === "stream" ? content.text : content.data?.["text/plain"];
    if (text === undefined) continue;
    if (shown.at(-1)?.[0] === from) shown.at(-1)![1] += text;
    else shown.push([from, text]);
  }
  assert.deepEqual(shown, [
    ["stdout", "1\n"],
    ["stderr", "2\n"],
    ["display_data", "3"],
    ["stdout", "45\n"],
    ["execute_result", "'6'"],
  ]);
});

test("output of a running cell is seen at once, also while it spins", async () => {
  const cell = kernel.execute("console.log('first-line'); console.log('second-line'); while (true);");
  await kernel.until((m) => m.header.msg_type === "stream" && m.content.text.includes("second-line"));
  await kernel.interrupt();
  assert.equal((await cell).error!.ename, "KernelInterrupt");
});

test("display, ids and updates, promises, clear_output", async () => {
  const shown = await kernel.execute(`
    const h = display("a", { id: "my-id" }); h.update("b"); display.update("my-id", "c");
    display({ [Symbol.for("Jupyter.display")]: async () => { await new Promise((r) => setTimeout(r, 20)); return { "text/html": "<b>late</b>" } } });
    display.clear({ wait: true });
    ({ [Symbol.for("Jupyter.display")]: () => ({ "image/png": new Uint8Array([1, 2, 3]), "application/json": { a: [1] } }) })
  `);
  const of = (type: string) => shown.iopub.filter((m) => m.header.msg_type === type).map((m) => m.content);
  assert.deepEqual(of("display_data")[0], {
    data: { "text/plain": "'a'" },
    metadata: {},
    transient: { display_id: "my-id" },
  });
  assert.deepEqual(
    of("update_display_data").map((c) => [c.data["text/plain"], c.transient.display_id]),
    [
      ["'b'", "my-id"],
      ["'c'", "my-id"],
    ],
  );
  assert.equal(of("display_data")[1].data["text/html"], "<b>late</b>");
  assert.deepEqual(of("clear_output"), [{ wait: true }]);
  assert.deepEqual(of("execute_result")[0].data, {
    "image/png": "AQID",
    "application/json": { a: [1] },
    "text/plain": "[Object]",
  });
  for (const bad of ["5", "{ nonsense: 1 }", "null"]) {
    const { error } = await kernel.execute(`display({ [Symbol.for("Jupyter.display")]: () => (${bad}) })`);
    assert.equal(error!.ename, "DisplayError", bad);
  }
});

test("values as text, bounded", async () => {
  const cases: [string, RegExp][] = [
    ["new Float32Array(1e6)", /^Float32Array\(1000000\) \[[\s\S]*999940 more items\n\]$/],
    ["'x'.repeat(1e6)", /^'x{8000}… \(992000 more characters\)'$/],
    ["new Map([['a', new Set([1])]])", /^Map\(1\) \{ 'a' => Set\(1\) \{ 1 \} \}$/],
    [
      "Array.from({ length: 200 }, (_, i) => Array.from({ length: 200 }, (_, j) => ({ i, j, s: 'long text '.repeat(20) })))",
      /more/,
    ],
    ["(function f() {})", /\[Function: f\]/],
    ["[undefined, null, 10n, Symbol('s')]", /^\[ undefined, null, 10n, Symbol\(s\) \]$/],
  ];
  for (const [code, expected] of cases) {
    const { result } = await kernel.execute(code);
    assert.match(result!, expected, code);
    assert.ok(result!.length < 40_000, `${code}: ${result!.length}`);
  }
  assert.equal((await kernel.execute("undefined")).result, null);
});

test("complete, inspect, is_complete", async () => {
  await kernel.execute(
    "const zebra = { stripes: 12, 'odd name': 1 }; function tally(xs: number[], start = 0): number { return start }",
  );
  const code = "const 𝒳 = 1; zebra.str";
  const points = [...code].length;
  const complete = (await kernel.request("shell", "complete_request", { code, cursor_pos: points })).reply.content;
  assert.equal(complete.status, "ok");
  assert.ok(complete.matches.includes("stripes"), JSON.stringify(complete.matches.slice(0, 5)));
  assert.equal([...code].slice(complete.cursor_start, complete.cursor_end).join(""), "str");
  const inspect = (
    await kernel.request("shell", "inspect_request", { code: "tally([1])", cursor_pos: 3, detail_level: 0 })
  ).reply.content;
  assert.equal(inspect.found, true);
  assert.match(inspect.data["text/plain"], /tally/);
  const nothing = (await kernel.request("shell", "inspect_request", { code: "1 + 1", cursor_pos: 2, detail_level: 0 }))
    .reply.content;
  assert.equal(nothing.found, false);
  for (const [text, expected] of [
    ["1 + 1", "complete"],
    ["function f() {", "incomplete"],
    ["const x = )", "invalid"],
  ]) {
    const { status } = (await kernel.request("shell", "is_complete_request", { code: text })).reply.content;
    assert.equal(status, expected, text);
  }
});

test("while a cell spins: completion, info, history and the heartbeat are answered", async () => {
  const cell = kernel.execute("console.log('spinning'); while (true);");
  await kernel.until((m) => m.header.msg_type === "stream" && m.content.text.includes("spinning"));
  const { matches } = (await kernel.request("shell", "complete_request", { code: "zebra.", cursor_pos: 6 })).reply
    .content;
  assert.ok(matches.includes("stripes"));
  await kernel.request("control", "kernel_info_request", {});
  await kernel.request("shell", "history_request", { hist_access_type: "tail", n: 2, output: false, raw: true });
  await kernel.beat();
  await kernel.interrupt();
  assert.equal((await cell).error!.ename, "KernelInterrupt");
});

test("history: tail, range, search", async () => {
  await kernel.execute("'history one'");
  await kernel.execute("'history two'");
  const ask = async (content: object) =>
    (await kernel.request("shell", "history_request", { raw: true, output: false, ...content })).reply.content.history;
  const tail = await ask({ hist_access_type: "tail", n: 2 });
  assert.deepEqual(
    tail.map((row: any[]) => row[2]),
    ["'history one'", "'history two'"],
  );
  const [session, line] = tail[0];
  assert.deepEqual(await ask({ hist_access_type: "range", session: 0, start: line, stop: line + 1 }), [tail[0]]);
  assert.deepEqual(await ask({ hist_access_type: "range", session, start: line, stop: line + 1, output: true }), [
    [session, line, ["'history one'", "'history one'"]],
  ]);
  assert.deepEqual(await ask({ hist_access_type: "search", pattern: "*history*", n: 1 }), [tail[1]]);
  await kernel.execute("'history two'");
  assert.equal((await ask({ hist_access_type: "search", pattern: "'history two'", unique: true })).length, 1);
});

test("comms: opened from either side, with buffers; unknown targets are closed", async () => {
  await kernel.execute(`
    const heard: unknown[] = [];
    comms.register("echo", (comm: any, data: any) => {
      heard.push(data);
      comm.onMessage((data: any, buffers: Uint8Array[]) => comm.send({ back: data }, buffers));
      comm.onClose(() => heard.push("closed"));
    });
  `);
  kernel.send("shell", "comm_open", { comm_id: "c1", target_name: "echo", data: { hello: 1 } });
  kernel.send("shell", "comm_msg", { comm_id: "c1", data: { n: 2 } }, { buffers: [Buffer.from([9, 8])] });
  const back = await kernel.until((m) => m.header.msg_type === "comm_msg");
  assert.deepEqual(back.content, { comm_id: "c1", data: { back: { n: 2 } } });
  assert.deepEqual([...back.buffers[0]], [9, 8]);
  const info = (await kernel.request("shell", "comm_info_request", {})).reply.content;
  assert.deepEqual(info.comms, { c1: { target_name: "echo" } });
  assert.deepEqual(
    (await kernel.request("shell", "comm_info_request", { target_name: "other" })).reply.content.comms,
    {},
  );
  kernel.send("shell", "comm_close", { comm_id: "c1", data: {} });
  await new Promise((resolve) => setTimeout(resolve, 50));
  assert.equal((await kernel.execute("heard")).result, "[ { hello: 1 }, 'closed' ]");

  kernel.send("shell", "comm_open", { comm_id: "c2", target_name: "nobody", data: {} });
  await kernel.until((m) => m.header.msg_type === "comm_close" && m.content.comm_id === "c2");

  const opened = await kernel.execute(
    "const mine = globalThis[Symbol.for('moescope.host')].comm('front', { a: 1 }); let got: unknown; mine.onMessage((d: unknown) => { got = d }); mine.send({ b: 2 })",
  );
  const types = opened.iopub
    .filter((m) => m.header.msg_type.startsWith("comm"))
    .map((m) => [m.header.msg_type, m.content.data]);
  assert.deepEqual(types, [
    ["comm_open", { a: 1 }],
    ["comm_msg", { b: 2 }],
  ]);
  const id = opened.iopub.find((m) => m.header.msg_type === "comm_open")!.content.comm_id;
  // An open comm is heard while a cell waits.
  const waiting = kernel.execute("while (got === undefined) await new Promise((r) => setTimeout(r, 5)); got");
  await new Promise((resolve) => setTimeout(resolve, 50));
  kernel.send("shell", "comm_msg", { comm_id: id, data: { c: 3 } });
  assert.equal((await waiting).result, "{ c: 3 }");
});

test("input: asked on stdin, refused where nobody answers, interruptible", async () => {
  const asked: unknown[] = [];
  kernel.onInput = (content) => {
    asked.push(content);
    return "Ada";
  };
  assert.equal(
    (await kernel.execute("const who = prompt('name? '); who.length + await prompt('key', { password: true })")).result,
    "'3Ada'",
  );
  assert.deepEqual(asked, [
    { prompt: "name? ", password: false },
    { prompt: "key", password: true },
  ]);
  kernel.onInput = null;
  assert.equal((await kernel.execute("prompt('x')")).error!.ename, "InputUnavailableError");
  const hanging = kernel.execute("prompt('never answered')", { allow_stdin: true });
  await new Promise((resolve) => setTimeout(resolve, 200));
  await kernel.interrupt();
  assert.equal((await hanging).error!.ename, "KernelInterrupt");
});

test("the console does what Node's does, and keeps nothing of what it is given", async () => {
  const r = await kernel.execute(`
    console.group("outer"); console.info("%s has %d", "it", 2, { a: 1 }); console.groupEnd();
    console.table([{ a: 1 }]); console.count("n"); console.count("n"); console.assert(1 === 2, "no"); console.dir({ b: 2 });
    console.error("wrong"); const { log } = console; log("loose"); console.trace("where"); console.time("t"); console.timeEnd("t");
  `);
  assert.match(
    r.stdout,
    /^outer\n {2}it has 2 \{ a: 1 \}\n┌[\s\S]*│ 0 +│ 1 │[\s\S]*n: 1\nn: 2\n\{ b: 2 \}\nloose\nt: [\d.]+ms\n$/,
  );
  assert.match(r.stderr, /^Assertion failed: no\nwrong\nTrace: where\n/);
  const kept = await kernel.execute(`
    let printed: WeakRef<object> | null = (() => { const o = { big: new Float64Array(1e6) }; console.log(typeof o, o.big.length, o); return new WeakRef(o) })();
    await new Promise((r) => setTimeout(r, 20));
    require("node:v8").setFlagsFromString("--expose-gc");
    require("node:vm").runInNewContext("gc")();
    printed.deref() === undefined
  `);
  assert.equal(kept.result, "true");
});

test("%types: warn shows the squiggled line and runs, strict refuses, off is quiet", async () => {
  const warned = await kernel.execute("const wrong: string = 5; wrong");
  assert.equal(warned.result, "5");
  assert.match(
    plain(warned.stderr),
    /line 1, column 7: Type 'number' is not assignable to type 'string'[\s\S]*const wrong[\s\S]*~~~~~/,
  );
  await kernel.execute("%types strict");
  const refused = await kernel.execute("globalThis.ran = true; const wrong2: string = 5;");
  assert.equal(refused.error!.ename, "TypeScriptError");
  assert.equal((await kernel.execute("'ran' in globalThis")).result, "false");
  const off = await kernel.execute("%types off\nconst wrong3: string = 5; wrong3");
  assert.equal(off.result, "5");
  assert.equal(off.stderr, "");
  assert.match((await kernel.execute("%types")).stdout, /off/);
  assert.match((await kernel.execute("%")).stdout, /%types strict\|warn\|off/);
  assert.match((await kernel.execute("%nonsense 1")).error!.evalue, /no magic %nonsense.*%types/);
  await kernel.execute("%types warn");
});
