/** A model on the GPU as cells see it, beside the oracle on the CPU. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { at, CancelledError, Model, ReleasedError, route } from "../../engine/index.ts";

const TEXT = "The capital of France is Paris. The capital of Spain is Madrid. ".repeat(6);

/** Largest difference over the largest value. */
function difference(got: Float32Array, want: Float32Array): number {
  assert.equal(got.length, want.length);
  let scale = 1e-3;
  let worst = 0;
  for (const x of want) scale = Math.max(scale, Math.abs(x));
  for (let i = 0; i < want.length; ++i) worst = Math.max(worst, Math.abs(got[i] - want[i]));
  return worst / scale;
}

test("auto takes the GPU, and the memory says so", async () => {
  using m = await Model.load("tiny-scout");
  assert.equal(m.device, "cuda");
  assert.ok(m.memory.parts.toArray().some((p) => p.place === "cuda" && p.bytes > 1e6));
  assert.ok(m.embed.data.some((x) => x !== 0));
});

test("every site of tiny-scout is the oracle's, with the oracle's routing", async () => {
  for (const weights of ["f32", "bf16"]) {
    using cpu = await Model.load("tiny-scout", { weights, device: "cpu", math: "exact" });
    using gpu = await Model.load("tiny-scout", { weights, device: "cuda" });
    const want = await cpu.run(TEXT, { capture: "all" });
    const got = await gpu.with(route.replay(want)).run(TEXT, { capture: "all" });
    let sites = 0;
    for (const [key, w] of want.captured.captures) {
      const g = got.captured.captures.get(key);
      assert.ok(g, key);
      // Which of two equal weights comes first is open; head by head the other numbers are compared.
      const skip = (data: Float32Array): Float32Array =>
        w.site === "attn.summary" ? data.map((x, i) => (i % 7 === 3 ? 0 : x)) : data;
      // A trained model has residual rows far larger than others; the bound is of the site's largest value.
      const d = difference(skip(g.data), skip(w.data));
      assert.ok(d <= 2e-5, `${weights} ${key} differs by ${d} of its scale`);
      assert.ok(g.data.some((x) => x !== 0) || w.data.every((x) => x === 0), `${key} is all zero`);
      sites++;
    }
    assert.ok(sites > 100);
    assert.ok(difference(got.captured.tokens.logprob.slice(1), want.captured.tokens.logprob.slice(1)) < 1e-4);
  }
});

test("it generates what the CPU generates", async () => {
  using cpu = await Model.load("tiny-scout", { weights: "f32", device: "cpu" });
  using gpu = await Model.load("tiny-scout", { weights: "f32", device: "cuda" });
  const [a, b] = [await cpu.generate(TEXT, { maxTokens: 24 }), await gpu.generate(TEXT, { maxTokens: 24 })];
  assert.equal(b.captured.tokens.logprob.length, a.captured.tokens.logprob.length);
  assert.equal(b.captured.meta.reply, a.captured.meta.reply);
});

test("a stopped run ends within 100 ms, and the model goes on", async () => {
  using m = await Model.load("tiny-scout", { device: "cuda" });
  const stop = new AbortController();
  const ids = Int32Array.from({ length: 60_000 }, (_, i) => (i * 31) % 400);
  const run = m.run({ ids }, { signal: stop.signal });
  await new Promise((done) => setTimeout(done, 150));
  const start = performance.now();
  stop.abort();
  await assert.rejects(run, CancelledError);
  const took = performance.now() - start;
  assert.ok(took < 100, `${took} ms`);
  const r = await m.run(TEXT, { capture: at.logits });
  assert.ok(r.get(at.logits).data.some((x) => x !== 0));
});

test("disposed while it runs: the run ends with ReleasedError, another model goes on", async () => {
  using other = await Model.load("tiny-scout", { device: "cuda" });
  const m = await Model.load("tiny-scout", { device: "cuda" });
  const ids = Int32Array.from({ length: 60_000 }, (_, i) => (i * 31) % 400);
  const run = m.run({ ids });
  const beside = other.run(TEXT);
  await new Promise((done) => setTimeout(done, 100));
  m.dispose();
  await assert.rejects(run, ReleasedError);
  assert.ok((await beside).captured.tokens.logprob.length > 10);
  assert.ok((await other.run(TEXT)).captured.tokens.logprob.length > 10);
});
