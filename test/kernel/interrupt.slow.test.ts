/** Interrupts at random moments into eight kinds of cells: every one ends the cell or finds it done, and no value is ever lost. */
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { TestKernel, within } from "./support/test-kernel.ts";

/** More with MOESCOPE_STRESS. */
const ROUNDS = Number(process.env.MOESCOPE_STRESS ?? 200);

/** Each counts in `rounds` first; `end` says whether it ends by itself. */
const KINDS: { code: string; ends: boolean }[] = [
  { ends: true, code: "let q0 = 0; for (let i = 0; i < 2e6; i++) q0 += i; q0" },
  {
    ends: true,
    code: "await null; let q1 = 0; for (let i = 0; i < 2e6; i++) q1 += i; q1",
  },
  {
    ends: true,
    code: "await new Promise((r) => setTimeout(r, 3)); let q2 = 0; for (let i = 0; i < 2e6; i++) q2 += i; q2",
  },
  {
    ends: true,
    code: "Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 4)",
  },
  {
    ends: false,
    code: "while (true) { try { while (true); } finally { rounds += 0 } }",
  },
  { ends: false, code: "await 1; while (true);" },
  {
    ends: false,
    code: "await new Promise((r) => setTimeout(r, 1)); while (true);",
  },
  {
    ends: false,
    code: "import { setTimeout as later } from 'node:timers'; later(() => { while (true); }, 1); await new Promise(() => {});",
  },
];

let kernel: TestKernel;
before(async () => {
  kernel = await TestKernel.start();
});
after(() => kernel.shutdown());

test(`${ROUNDS} interrupts at random moments`, async () => {
  await kernel.execute("%types off");
  await kernel.execute("let rounds = 0; const seen = new Set<number>();");
  const counts: Record<string, number> = {};
  for (let i = 0; i < ROUNDS; i++) {
    const kind = KINDS[i % KINDS.length];
    const cell = kernel.execute(`rounds++; seen.add(${i}); ${kind.code}`);
    await new Promise((resolve) => setTimeout(resolve, 2 + Math.random() * 14));
    // One is enough, also when it comes on the heels of another or before the cell has begun. (Nobody asks again: a lost one is a fault.)
    if (kind.ends) await Promise.race([cell, kernel.interrupt()]);
    else await kernel.interrupt();
    const { reply } = await within(
      10_000,
      `round ${i}, kind ${i % KINDS.length}, after its interrupt`,
      cell,
      () => kernel.stderrText,
    );
    const outcome = reply.content.status === "ok" ? "ok" : reply.content.ename;
    assert.ok(
      outcome === "KernelInterrupt" || (kind.ends && outcome === "ok"),
      `round ${i}: ${outcome} ${reply.content.evalue}`,
    );
    counts[outcome] = (counts[outcome] ?? 0) + 1;
  }
  // An interrupt may come before a cell has counted, or between its two counts; that is rare.
  const least = ROUNDS - Math.max(3, ROUNDS * 0.03);
  assert.equal(
    (await kernel.execute(`rounds <= ${ROUNDS} && rounds >= ${least} && seen.size >= ${least}`)).result,
    "true",
  );
  assert.ok(counts["KernelInterrupt"] >= ROUNDS / 2, JSON.stringify(counts));
});

test("a loop stops, its values are kept, and the heart beats meanwhile", async () => {
  const cell = kernel.execute(
    "let n = 0; const big = new Float64Array(1e6).fill(3); while (true) if (n++ === 1e5) console.log('so far')",
  );
  await kernel.until((m) => m.header.msg_type === "stream" && m.content.text.includes("so far"));
  await kernel.beat();
  await kernel.interrupt();
  const { error } = await cell;
  assert.equal(error?.ename, "KernelInterrupt");
  assert.equal((await kernel.execute("n > 1e5 && big[999_999]")).result, "3");
});

test("endless code of every form stops, and the kernel goes on", async () => {
  const forms = [
    "for (;;) await null",
    "const tick = () => process.nextTick(tick); tick(); await new Promise(() => {})",
    "const again = () => setImmediate(again); again(); await new Promise(() => {})",
    "queueMicrotask(function q() { queueMicrotask(q) }); await new Promise(() => {})",
    "import { readFile } from 'node:fs/promises'; for (;;) await readFile('/dev/null')",
    "import fs from 'node:fs'; fs.readFile('/dev/null', () => { while (true); }); await new Promise(() => {})",
    "const { port1, port2 } = new MessageChannel(); port1.onmessage = () => { while (true); }; port2.postMessage(1); await new Promise(() => {})",
    "[3, 2, 1].sort(() => { while (true); })",
    "({ [Symbol.for('Jupyter.display')]() { while (true); } })",
    "({ [Symbol.for('Jupyter.display')]: () => new Promise(() => {}) })",
    "({ [Symbol.for('nodejs.util.inspect.custom')]() { while (true); } })",
    "class Evil extends Error { get message(): string { while (true); } } throw new Evil()",
    "await import('data:text/javascript,while(true);')",
    "Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0)",
  ];
  for (const code of forms) {
    const cell = kernel.execute(code);
    await new Promise((resolve) => setTimeout(resolve, 150));
    await kernel.interrupt();
    assert.equal((await within(10_000, `${code}, after its interrupt`, cell)).error?.ename, "KernelInterrupt", code);
    assert.equal((await kernel.execute("1 + 1")).result, "2", code);
  }
});

test("user code that runs between a promise and its reaction stops as well", async () => {
  // Each ends after the cell's own promise has settled, by a different number of steps.
  for (const steps of [1, 2, 3, 4, 5, 6]) {
    const cell = kernel.execute(
      `let p = Promise.resolve(); for (let i = 0; i < ${steps}; i++) p = p.then(() => {}); p.then(() => { while (true); }); ${steps}`,
    );
    await new Promise((resolve) => setTimeout(resolve, 100));
    await kernel.interrupt();
    await within(
      10_000,
      `a cell that leaves a loop ${steps} steps behind, after its interrupt`,
      cell,
      () => kernel.stderrText,
    );
    assert.equal((await kernel.execute("1 + 1")).result, "2", `${steps} steps`);
  }
  const listening = kernel.execute(
    "globalThis[Symbol.for('moescope.host')].signal.addEventListener('abort', () => { while (true); }); await new Promise(() => {})",
  );
  await new Promise((resolve) => setTimeout(resolve, 100));
  await kernel.interrupt();
  assert.equal((await within(10_000, "a cell whose abort listener loops", listening)).error?.ename, "KernelInterrupt");
});

test("an interrupt that follows the end of an interrupted cell at once reaches the next cell", async () => {
  for (let i = 0; i < 20; i++) {
    const cell = kernel.execute("while (true);");
    await kernel.until((m) => m.header.msg_type === "execute_input" && m.parent.msg_id === kernel.lastRequest);
    await kernel.interrupt();
    const { error } = await within(10_000, `loop ${i}, after its interrupt`, cell, () => kernel.stderrText);
    assert.equal(error?.ename, "KernelInterrupt");
  }
});

test("an interrupt fires the cell's signal, so that native work stops", async () => {
  const cell = kernel.execute(`
    let fired = false;
    const host = globalThis[Symbol.for("moescope.host")];
    host.signal.addEventListener("abort", () => { fired = true });
    await new Promise(() => {});
  `);
  await new Promise((resolve) => setTimeout(resolve, 200));
  await kernel.interrupt();
  assert.equal((await cell).error?.ename, "KernelInterrupt");
  assert.equal((await kernel.execute("fired")).result, "true");
});

test("a built-in that never looks up (a regular expression gone wild) stops too", async () => {
  const cell = kernel.execute('/^(a+)+$/.test("a".repeat(40) + "b")');
  await new Promise((resolve) => setTimeout(resolve, 200));
  await kernel.interrupt();
  assert.equal((await cell).error?.ename, "KernelInterrupt");
});

test("an orphan of an interrupted cell that blocks the thread later is ended, and the next cell runs", async () => {
  const cell = kernel.execute("setTimeout(() => { while (true); }, 400); await new Promise(() => {});");
  await new Promise((resolve) => setTimeout(resolve, 100));
  await kernel.interrupt();
  assert.equal((await cell).error?.ename, "KernelInterrupt");
  await new Promise((resolve) => setTimeout(resolve, 600));
  assert.equal((await kernel.execute("1 + 1")).result, "2");
});

test("an interrupt aborts what waits, exactly", async () => {
  const looping = kernel.execute("while (true);");
  const waiting = [kernel.execute("'a'"), kernel.execute("'b'")];
  await new Promise((resolve) => setTimeout(resolve, 200));
  await kernel.interrupt();
  assert.equal((await looping).error?.ename, "KernelInterrupt");
  for (const cell of waiting) assert.equal((await cell).reply.content.status, "aborted");
  assert.equal((await kernel.execute("'c'")).result, "'c'");
});

test("AsyncLocalStorage on old Node: a spinning continuation is refused, telling why, and the kernel lives", async () => {
  const own = await TestKernel.start();
  await own.execute("import { AsyncLocalStorage } from 'node:async_hooks'; const store = new AsyncLocalStorage();");
  const sync = own.execute("store.run(1, () => { while (true); })");
  await new Promise((resolve) => setTimeout(resolve, 200));
  await own.interrupt();
  assert.equal((await sync).error?.ename, "KernelInterrupt");

  const spinning = own.execute(
    "await 1; const end = Date.now() + 1500; while (Date.now() < end); await new Promise(() => {})",
  );
  await new Promise((resolve) => setTimeout(resolve, 200));
  await own.interrupt();
  const { error, stderr } = await spinning;
  assert.equal(error?.ename, "KernelInterrupt");
  if (Number(process.versions.node.split(".")[0]) < 24) assert.match(stderr, /AsyncLocalStorage/);
  assert.equal((await own.execute("1 + 1")).result, "2");
  await own.shutdown();
});

test("a cell that waits for its check (%types strict) is interrupted before it begins", async () => {
  const own = await TestKernel.start();
  await own.execute("%types strict");
  // The language server has not been started yet, which takes it a while.
  const cell = own.execute("while (true);");
  await own.interrupt();
  assert.equal(
    (await within(10_000, "a cell that was being checked, after its interrupt", cell)).error?.ename,
    "KernelInterrupt",
  );
  assert.equal((await own.execute("1 + 1")).result, "2");
  await own.shutdown();
});

test("an interrupt that overtakes the cell it was meant for, on its other socket, reaches it still; a later cell runs", async () => {
  const before = new Date().toISOString();
  await new Promise((resolve) => setTimeout(resolve, 5));
  await kernel.interrupt();
  const content = {
    code: "while (true);",
    silent: false,
    store_history: true,
    user_expressions: {},
    allow_stdin: false,
  };
  const cell = kernel.request("shell", "execute_request", content, { date: before });
  assert.equal((await within(10_000, "a cell that its interrupt has overtaken", cell)).error?.ename, "KernelInterrupt");
  assert.equal((await kernel.execute("3 + 3")).result, "6");
});

test("an interrupt with nothing to interrupt changes nothing", async () => {
  assert.equal((await kernel.interrupt()).reply.content.status, "ok");
  assert.equal((await kernel.execute("2 + 2")).result, "4");
});
