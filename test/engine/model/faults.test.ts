import assert from "node:assert/strict";
import { after, test } from "node:test";
import { route } from "../../../engine/edits/route.ts";
import { HOST } from "../../../engine/host.ts";
import { native } from "../../../engine/model/addon.ts";
import { Model } from "../../../engine/model/model.ts";
import { at } from "../../../engine/sites/at.ts";
import { fault } from "../fault.ts";
import { type FolderOptions, remove, SLOW, SMALL, tensorsOf, writeFolder } from "../folder.ts";

const folders: string[] = [];
const folder = (o: FolderOptions = {}): string => {
  folders.push(writeFolder(o));
  return folders[folders.length - 1];
};
const m = await Model.load(folder(), { weights: "f32" });
after(() => {
  m.dispose();
  folders.forEach(remove);
});

test("inputs that are none", async () => {
  await fault(() => m.run({ ids: [1, 64] }), "argument", "token 1", "64 is not a token id", "0 to 63");
  await fault(() => m.run({ ids: [1.5] }), "argument", "1.5");
  await fault(() => m.run({ ids: [-1] }), "argument", "-1");
  await fault(() => m.run({ ids: [] }), "argument", "no token ids");
  await fault(() => m.run("text"), "argument", "no tokenizer.json", "{ ids:");
  await fault(() => m.run(["a", "b"] as never), "argument", "m.batch");
  await fault(() => m.run(Promise.resolve("a") as never), "argument", "await");
  await fault(() => m.run(undefined as never), "argument", "not an input");
  await fault(() => m.batch([]), "argument", "no inputs");
  await fault(() => m.batch("text" as never), "argument", "not a list");
  await fault(() => m.tokenizer, "argument", "no tokenizer.json");
  using tiny = await Model.load("tiny-scout");
  await fault(() => tiny.run(""), "argument", "empty");
});

test("options that are none", async () => {
  const path = folder();
  await fault(() => Model.load(path, { device: "cuda", math: "exact" }), "device", "cuda");
  await fault(() => Model.load(path, { device: "tpu" }), "argument", '"tpu"');
  await fault(() => Model.load(path, { weights: "bf61" }), "argument", '"bf16"');
  for (const weights of ["int4-meta", "fp8"])
    await fault(() => Model.load(path, { weights }), "argument", `"${weights}" is not built yet`, '"f32" and "int4"');
  await fault(() => Model.load(path, { weights: "int4_32" }), "argument", '"int4"');
  for (const group of [96, 0, NaN, "32" as never])
    await fault(() => Model.load(path, { weights: "int4", group }), "argument", "option group", "32, 64 or 128");
  await fault(() => Model.load(path, { group: 32 }), "argument", "option group", '{ weights: "int4" }');
  await fault(() => Model.random(SMALL, { weights: "bf16", group: 32 }), "argument", "bf16 weights have no groups");
  await fault(() => Model.plan("scout", { weights: "int4", group: 48 }), "argument", "48", "32, 64 or 128");
  await fault(() => Model.load(path, { rope: "fp64" }), "argument", '"accurate"');
  await fault(() => Model.load(path, { threads: -1 }), "argument", "threads");
  await fault(() => Model.load(path, { math: "quick" }), "argument", '"exact"');
  await fault(() => Model.load("no/such-folder-here"), "checkpoint", "no such folder");
  await fault(() => Model.load(SMALL as never), "argument", "Model.random");
  await fault(() => Model.random({ ...SMALL, vocab_size: "x" }), "config", "vocab_size");
  await fault(() => Model.random(SMALL, { seed: -1 }), "argument", "seed");
  await fault(() => Model.plan("scout", { context: 0 }), "argument", "context");
});

test("sites, layers, experts and heads that are not there", async () => {
  await fault(() => m.run({ ids: [1] }, { capture: "layers.0.resid.pots" }), "site", "resid.post");
  await fault(() => m.run({ ids: [1] }, { capture: at.layer(4).resid.post }), "site", "no layer 4");
  await fault(() => m.run({ ids: [1] }, { capture: at.layer(0).mlp.out }), "site", "MoE layer");
  await fault(() => m.with(route.ban(9)).run({ ids: [1] }), "site", "no expert 9");
  await fault(() => m.with("ban" as never), "argument", "not an edit");
  await fault(() => m.layer(4), "argument", "0 to 3");
  await fault(() => m.layer(0).expert(4), "site", "no expert 4");
  await fault(() => m.layer(0).mlp, "site", "has no dense FFN");
  const r = await m.run({ ids: [1, 2] });
  await fault(() => r.get(at.layer(0).resid.post), "capture", "layers.0.resid.post", 'capture: "layers.0.resid.post"');
  await fault(() => r.get("layers.0.router.logit"), "site", "router.logits");
  await fault(() => r.attention, "capture", "attention");
  await fault(() => r.logit(64), "argument", "0 to 63");
  await fault(() => r.logit(3, { t: 0 }), "capture", "at.logits");
  await fault(() => r.seq(1), "argument", "no sequence 1");
});

test("a context too long for the memory is refused with numbers, before it is taken", async () => {
  using wide = await Model.random(
    { ...SMALL, num_key_value_heads: 4, head_dim: 8192, attention_chunk_size: null, num_hidden_layers: 4 },
    { weights: "bf16" },
  );
  const ids = new Int32Array(1).fill(1);
  const before = native().info().free;
  await fault(
    () => wide.generate({ ids }, { maxTokens: 10_000_000 }),
    "memory",
    "10000001 tokens",
    "it needs",
    "are free",
  );
  await fault(() => wide.generate({ ids }, { maxTokens: 100_000_000 }), "memory", "can be told apart");
  assert.ok(Math.abs(native().info().free - before) < 2e9);
  await fault(() => Model.random("maverick", { weights: "f32" }), "memory", "1.6 TB", "experts");
});

test("captures over the budget are refused with numbers and the largest, before they are made", async () => {
  const { budget } = native().info();
  try {
    native().setBudget(native().info().external + 100_000);
    const ids = new Int32Array(400).fill(1);
    await fault(
      () => m.run({ ids }, { capture: at.logits }),
      "budget",
      "141 kB are to be captured",
      "logits 102 kB",
      "only(",
    );
    assert.ok(await m.run({ ids: [1, 2, 3] }, { capture: at.logits }));
  } finally {
    native().setBudget(budget);
  }
});

test("runs that nobody holds any more do not fill the budget", async () => {
  const { budget } = native().info();
  const ids = new Int32Array(400).fill(1);
  try {
    native().setBudget(native().info().external + 1_000_000);
    for (let i = 0; i < 24; i++) await m.run({ ids }, { capture: at.logits });
    const held = [];
    await fault(async () => {
      for (let i = 0; i < 12; i++) held.push(await m.run({ ids }, { capture: at.logits }));
    }, "budget");
    assert.ok(held.length > 1);
  } finally {
    native().setBudget(budget);
  }
});

test("weights that are not finite are reported when loading; activations name the first site", async () => {
  const tensors = tensorsOf(SMALL);
  tensors.get("model.layers.2.feed_forward.shared_expert.up_proj.weight")!.data[3] = Number.NaN;
  using bad = await Model.load(folder({ tensors }), { weights: "f32" });
  assert.match(bad.warnings.join(), /layers\.2\.shared\.up: 1 weights are NaN/);
  await fault(() => bad.run({ ids: [1, 2] }), "nonfinite", /layers\.2\.(shared|ffn)\./);
  const huge = tensorsOf(SMALL);
  huge.get("model.layers.1.self_attn.o_proj.weight")!.data.fill(3e38);
  using overflow = await Model.load(folder({ tensors: huge }), { weights: "f32" });
  await fault(() => overflow.run({ ids: [1, 2] }), "nonfinite", /layers\.1\.(attn\.out|resid\.mid)/);
});

test("a value that is not finite while generating ends the stream and the run with the same error", async () => {
  const tensors = tensorsOf(SMALL);
  const embed = tensors.get("model.embed_tokens.weight")!.data;
  for (let id = 3; id < 64; id++) embed[id * 16] = Number.NaN;
  using bad = await Model.load(folder({ tensors }), { weights: "f32" });
  const live = bad.stream({ ids: [1, 2] });
  await fault(
    async () => {
      for await (const _ of live);
    },
    "nonfinite",
    "embed",
    "row 2",
  );
  await fault(() => live.run, "nonfinite", "embed");
});

test("without a tokenizer there is no text to stop at", async () => {
  await fault(() => m.generate({ ids: [1] }, { stop: "x" }), "argument", "tokenizer");
  const r = await m.generate({ ids: [1] }, { maxTokens: 2 });
  assert.match(r.reply, /^(⟨\d+⟩)+$/);
});

test("what was disposed says so, and takes nothing with it", async () => {
  const model = await Model.load(folder(), { weights: "f32" });
  const view = model.with(route.ban(1));
  const r = await model.run({ ids: [1, 2, 3] }, { capture: at.logits });
  const lazy = model.layer(0).router;
  model.dispose();
  model.dispose();
  await fault(() => model.run({ ids: [1] }), "released", "disposed", "Load it again");
  await fault(() => view.run({ ids: [1] }), "released");
  await fault(() => model.memory, "released");
  await fault(() => lazy.data, "released");
  const x = r.get(at.logits);
  assert.equal(x.shape[0], 3); // runs outlive the model
  r.dispose();
  r.dispose();
  await fault(() => x.data, "released");
  await fault(() => r.get(at.logits), "released");
  await fault(() => r.routing, "released");
});

test("a model disposed while it runs: the run ends with that, the process goes on", async () => {
  const model = await Model.random(SLOW);
  const work = [
    model.generate({ ids: [1] }, { maxTokens: 5000 }),
    model.run({ ids: new Int32Array(4000).fill(1) }),
    model.stream({ ids: [1] }, { maxTokens: 5000 }).run,
  ];
  const ended = Promise.allSettled(work);
  await new Promise((r) => setTimeout(r, 50));
  const t = performance.now();
  model.dispose();
  for (const end of await ended) {
    assert.ok(end.status === "rejected");
    await fault(() => Promise.reject(end.reason), "released", "while this was running");
  }
  assert.ok(performance.now() - t < 200, `${performance.now() - t} ms`);
});

test("an abort during prefill, and before anything began", async () => {
  using model = await Model.random(SLOW);
  const stop = new AbortController();
  const reading = model.run({ ids: new Int32Array(8000).fill(1) }, { signal: stop.signal });
  setTimeout(() => stop.abort(), 50);
  let t = 0;
  stop.signal.addEventListener("abort", () => {
    t = performance.now();
  });
  await fault(() => reading, "cancelled");
  assert.ok(performance.now() - t < 100, `${performance.now() - t} ms`);
  assert.ok(await model.run({ ids: [1, 2] }), "and the model goes on");
  await fault(() => Model.load("tiny-scout", { signal: AbortSignal.abort() }), "cancelled");
  await fault(() => model.run({ ids: [1] }, { signal: AbortSignal.abort() }), "cancelled");
  await fault(() => model.generate({ ids: [1] }, { signal: AbortSignal.abort() }), "cancelled");
});

test("the host's signal is the default one", async () => {
  using model = await Model.random(SLOW);
  const stop = new AbortController();
  const own = (globalThis as any)[HOST];
  (globalThis as any)[HOST] = { display() {}, update() {}, progress() {}, comm: () => null, signal: stop.signal };
  try {
    const running = model.generate({ ids: [1] }, { maxTokens: 5000 });
    setTimeout(() => stop.abort(), 30);
    await fault(() => running, "cancelled");
  } finally {
    (globalThis as any)[HOST] = own;
  }
});
