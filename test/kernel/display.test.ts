import assert from "node:assert/strict";
import { test } from "node:test";
import type { CommMessage, Output } from "../../kernel/bridge/messages.ts";
import { Comms } from "../../kernel/comms/comms.ts";
import { DisplayError, toBundle } from "../../kernel/display/bundle.ts";
import { createDisplay } from "../../kernel/display/display.ts";
import { ProgressBars } from "../../kernel/display/progress.ts";
import { plainText } from "../../kernel/display/text.ts";

const DISPLAY = Symbol.for("Jupyter.display");
const shows = (bundle: unknown) => ({ [DISPLAY]: () => bundle });

test("a value's own bundle: bytes as base64, JSON as JSON, absent types left out", () => {
  assert.deepEqual(
    toBundle(
      shows({
        "text/plain": "p",
        "image/png": new Uint8Array([255]),
        "application/json": { d: new Date(0), u: undefined },
        "text/html": undefined,
      }),
    ),
    {
      "text/plain": "p",
      "image/png": "/w==",
      "application/json": { d: "1970-01-01T00:00:00.000Z" },
    },
  );
});

test("bundles that are none are refused, saying what is wrong", async () => {
  for (const bad of [null, 5, "text", ["text/plain"], { plain: "x" }])
    assert.throws(() => toBundle(shows(bad)), DisplayError);
  await assert.rejects(toBundle(shows(Promise.resolve(7))) as Promise<unknown>, /it returned 7/);
});

test("text of any size is bounded", () => {
  const deep: Record<string, unknown> = {};
  let at = deep;
  for (let i = 0; i < 1000; i++) at = at["next"] = { i, pad: "x".repeat(100) };
  const cyclic: unknown[] = [];
  cyclic.push(cyclic);
  for (const value of [
    new Float64Array(1e6),
    "y".repeat(1e7),
    new Map(Array.from({ length: 1e4 }, (_, i) => [i, `v${i}`.repeat(99)])),
    deep,
    cyclic,
    Array(1e6),
    new Error("e".repeat(1e6)),
  ]) {
    assert.ok(plainText(value).length < 34_000);
  }
  assert.match(plainText(new Uint8Array(100)), /^Uint8Array\(100\) \[[\s\S]*40 more items\n\]$/);
});

function recorded() {
  const outputs: Output[] = [];
  const pending: Promise<void>[] = [];
  const display = createDisplay({ output: (o) => void outputs.push(o), pending: (p) => void pending.push(p) });
  return { outputs, pending, display };
}

test("displays of one id keep their order though the first is slow", async () => {
  const { outputs, pending, display } = recorded();
  const slow = new Promise((resolve) => setTimeout(resolve, 15, { "text/plain": "1" }));
  display(shows(slow), { id: "a" });
  display.update("a", "2");
  display("other");
  await Promise.all(pending);
  assert.deepEqual(
    outputs.map((o) => o.type === "display" && [o.data["text/plain"], o.update]),
    [
      ["'other'", false],
      ["1", false],
      ["'2'", true],
    ],
  );
});

test("a display that fails fails its promise, and later ones of that id still show", async () => {
  const { outputs, pending, display } = recorded();
  display({ [DISPLAY]: () => Promise.reject(new Error("broken")) }, { id: "b" });
  display.update("b", 2);
  const settled = await Promise.allSettled(pending);
  assert.deepEqual(
    settled.map((s) => s.status),
    ["rejected", "fulfilled"],
  );
  assert.equal(outputs.length, 1);
});

test("progress: quiet at first, then at most ten a second, one closing line", () => {
  const shown: [string, boolean][] = [];
  let now = 0;
  const bars = new ProgressBars(
    (_, bundle, update) => void shown.push([String(bundle["text/plain"]), update]),
    () => now,
  );
  for (; now < 2000; now += 10) bars.report({ id: "x", label: "load", done: now, total: 2000 });
  bars.report({ id: "x", label: "load", done: 2000, total: 2000 });
  assert.equal(shown[0][1], false);
  assert.ok(shown.slice(1).every(([, update]) => update));
  assert.ok(shown.length > 10 && shown.length < 20, `${shown.length}`);
  assert.match(shown[0][0], /^load █+░+ 20 % \(400 of 2,000\)$/);
  assert.equal(shown.at(-1)![0], "load: done in 2.0 s");
  shown.length = 0;
  for (let i = 0; i <= 5; i++) bars.report({ id: "quick", label: "q", done: i, total: 5 });
  assert.deepEqual(shown, []);
  bars.report({ id: "no total", label: "n", done: 1 });
  now += 500;
  bars.report({ id: "no total", label: "n", done: 2 });
  assert.deepEqual(shown, [["n 2", false]]);
});

test("comms: both directions, early messages kept, closing", () => {
  const sent: CommMessage[] = [];
  const comms = new Comms((m) => void sent.push(m));
  const heard: unknown[] = [];
  const mine = comms.open("front", { a: 1 });
  comms.receive({ kind: "msg", id: mine.id, data: "early" });
  mine.onMessage((data) => heard.push(data));
  mine.onClose((data) => heard.push(["closed", data]));
  comms.receive({ kind: "msg", id: mine.id, data: "later", buffers: [new Uint8Array(1)] });
  comms.receive({ kind: "close", id: mine.id, data: "bye" });
  assert.deepEqual(heard, ["early", "later", ["closed", "bye"]]);
  assert.throws(() => mine.send(1), /closed/);
  comms.receive({ kind: "msg", id: mine.id, data: "to nobody" });

  comms.register("back", (comm, data) => comm.send({ echo: data }));
  comms.receive({ kind: "open", id: "f1", target: "back", data: 5 });
  comms.receive({ kind: "open", id: "f2", target: "unknown", data: 5 });
  assert.deepEqual(
    sent.map((m) => [m.kind, m.id === mine.id ? "mine" : m.id, m.data]),
    [
      ["open", "mine", { a: 1 }],
      ["msg", "f1", { echo: 5 }],
      ["close", "f2", {}],
    ],
  );
});
