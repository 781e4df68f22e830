/** A model on the GPU as cells see it, beside the oracle on the CPU. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { at, CancelledError, Model, ReleasedError, route } from "../../engine/index.ts";
import { difference, relative, withoutArgmax } from "./compare.ts";

const TEXT = "The capital of France is Paris. The capital of Spain is Madrid. ".repeat(6);

test("auto takes the GPU, and the memory says so", async () => {
  using m = await Model.load("tiny-scout");
  assert.equal(m.device, "cuda");
  assert.ok(m.memory.parts.toArray().some((p) => p.place === "cuda" && p.bytes > 1e6));
  assert.ok(m.embed.data.some((x) => x !== 0));
});

test("every site of tiny-scout is the oracle's, with the oracle's routing", async () => {
  for (const weights of ["f32", "bf16", "int4"]) {
    using cpu = await Model.load("tiny-scout", { weights, device: "cpu", math: "exact" });
    using gpu = await Model.load("tiny-scout", { weights, device: "cuda", math: "exact" });
    const want = await cpu.run(TEXT, { capture: "all" });
    const got = await gpu.with(route.replay(want)).run(TEXT, { capture: "all" });
    let sites = 0;
    for (const [key, w] of want.captured.captures) {
      const g = got.captured.captures.get(key);
      assert.ok(g, key);
      // A trained model has residual rows far larger than others; the bound is of the site's largest value.
      const d = difference(withoutArgmax(w.site, g.data), withoutArgmax(w.site, w.data));
      assert.ok(d <= 2e-5, `${weights} ${key} differs by ${d} of its scale`);
      assert.ok(g.data.some((x) => x !== 0) || w.data.every((x) => x === 0), `${key} is all zero`);
      sites++;
    }
    assert.ok(sites > 100);
    assert.ok(difference(got.captured.tokens.logprob.slice(1), want.captured.tokens.logprob.slice(1)) < 1e-4);
  }
});

test("fast mode rounds as bf16 does: every site within 3 %, the next token's distribution within 1e-3 nats", async () => {
  for (const weights of ["bf16", "int4"]) {
    using cpu = await Model.load("tiny-scout", { weights, device: "cpu", math: "exact" });
    using gpu = await Model.load("tiny-scout", { weights, device: "cuda" });
    const want = await cpu.run(TEXT, { capture: "all" });
    const got = await gpu.with(route.replay(want)).run(TEXT, { capture: "all" });
    for (const [key, w] of want.captured.captures) {
      const g = got.captured.captures.get(key);
      assert.ok(g, key);
      if (w.site === "attn.summary") continue;
      const d = relative(g.data, w.data);
      assert.ok(d <= 0.03, `${weights} ${key} differs by ${d}`);
    }
    const [p, q] = [want.get(at.logits), got.get(at.logits)];
    const [rows, vocab] = p.shape;
    let kl = 0;
    for (let r = 0; r < rows; r++) {
      const [a, b] = [p, q].map((x) => {
        const row = x.data.subarray(r * vocab, (r + 1) * vocab);
        const top = row.reduce((m, y) => Math.max(m, y), -Infinity);
        const lse = top + Math.log(row.reduce((n, y) => n + Math.exp(y - top), 0));
        return row.map((y) => y - lse);
      });
      for (let i = 0; i < vocab; i++) kl += Math.exp(a[i]) * (a[i] - b[i]);
    }
    assert.ok(kl / rows <= 1e-3, `${weights}: KL ${kl / rows}`);
    process.stdout.write(`${weights} in fast mode: KL ${(kl / rows).toExponential(2)} nats\n`);
  }
});

test("generation ahead of the host: routing of every token, the same with an edit that asks for ids", async () => {
  using m = await Model.load("tiny-scout", { weights: "int4", device: "cuda" });
  const o = { maxTokens: 40, temperature: 0.8, topP: 0.95, seed: 7 };
  const ahead = await m.generate(TEXT, o);
  // Token by token, since what it does depends on the id: a bias of nothing on an id that does not come.
  const slow = await m.with(route.bias(0, 0, { id: 5 })).generate(TEXT, o);
  assert.equal(ahead.captured.meta.reply, slow.captured.meta.reply);
  const [a, b] = [ahead.routing, slow.routing];
  assert.equal(a.length, b.length);
  const [x, y] = [a.column("margin"), b.column("margin")].map((c) => Float32Array.from(c as Iterable<number>));
  assert.ok(relative(x, y) < 0.02);
  assert.ok(x.some((v) => v > 0));
});

test("it generates what the CPU generates", async () => {
  using cpu = await Model.load("tiny-scout", { weights: "f32", device: "cpu" });
  using gpu = await Model.load("tiny-scout", { weights: "f32", device: "cuda" });
  const [a, b] = [await cpu.generate(TEXT, { maxTokens: 24 }), await gpu.generate(TEXT, { maxTokens: 24 })];
  assert.equal(b.captured.tokens.logprob.length, a.captured.tokens.logprob.length);
  assert.equal(b.captured.meta.reply, a.captured.meta.reply);
});

/** Too many to be done before anyone stops it: attention of the global layers alone is 10¹⁴ flops. */
const LONG = { ids: Int32Array.from({ length: 300_000 }, (_, i) => (i * 31) % 400) };
const pause = (ms: number) => new Promise((done) => setTimeout(done, ms));

/** Milliseconds from a stop to the end of what it stops; told, not asserted: the promise is 100 ms on a machine that does nothing else. */
async function stopped(what: string, begin: (signal: AbortSignal) => Promise<unknown>): Promise<void> {
  const stop = new AbortController();
  const work = begin(stop.signal);
  work.catch(() => {});
  await pause(150);
  const start = performance.now();
  stop.abort();
  await assert.rejects(work, CancelledError);
  process.stdout.write(`${what}: ended ${(performance.now() - start).toFixed(1)} ms after it was stopped\n`);
}

test("prefill, decode and a profile are stopped, and the model goes on", async () => {
  using m = await Model.load("tiny-scout", { device: "cuda" });
  const want = (await m.run(TEXT, { capture: at.logits })).get(at.logits).data.slice();
  await stopped("prefill", (signal) => m.run(LONG, { signal, capture: [] }));
  // Without an id that ends it.
  using endless = await Model.random({ ...m.config.hf, eos_token_id: 100_000 }, { device: "cuda" });
  const prompt = { ids: LONG.ids.slice(0, 50) };
  await stopped("decode", (signal) => endless.generate(prompt, { signal, maxTokens: 1_000_000, capture: [] }));
  await stopped("profile", (signal) => endless.profile(prompt, { signal, maxTokens: 100_000, repeat: 100 }));
  assert.deepEqual((await m.run(TEXT, { capture: at.logits })).get(at.logits).data, want);
});

test("a load is stopped, and its memory comes back", async () => {
  using m = await Model.load("tiny-scout", { device: "cuda" });
  const stop = new AbortController();
  // Wide enough that it is still being filled when it is stopped: 6 GB.
  const big = { ...m.config.hf, hidden_size: 4096, intermediate_size: 2048, num_local_experts: 8 };
  const free = m.memory.free;
  const load = Model.random(big, { device: "cuda", signal: stop.signal });
  load.catch(() => {});
  await pause(100);
  const start = performance.now();
  stop.abort();
  await assert.rejects(load, CancelledError);
  process.stdout.write(`load: ended ${(performance.now() - start).toFixed(1)} ms after it was stopped\n`);
  // The driver keeps some of its own.
  assert.ok(m.memory.free > free - 1e9, `${m.memory.free} of ${free} are free again`);
  assert.ok((await m.run(TEXT)).captured.tokens.logprob.length > 10);
});

test("disposed while it runs: the run ends with ReleasedError, another model goes on", async () => {
  using other = await Model.load("tiny-scout", { device: "cuda" });
  const m = await Model.load("tiny-scout", { device: "cuda" });
  const run = m.run(LONG, { capture: [] });
  run.catch(() => {});
  const beside = other.run(TEXT);
  await pause(100);
  const start = performance.now();
  m.dispose();
  await assert.rejects(run, ReleasedError);
  process.stdout.write(`dispose: the run ended ${(performance.now() - start).toFixed(1)} ms after it\n`);
  assert.ok((await beside).captured.tokens.logprob.length > 10);
  assert.ok((await other.run(TEXT)).captured.tokens.logprob.length > 10);
});

test("two models at once give what each gives alone", async () => {
  using a = await Model.load("tiny-scout", { device: "cuda" });
  using b = await Model.load("tiny-scout", { device: "cuda", weights: "f32" });
  const logits = async (m: Model, text: string) =>
    (await m.run(text, { capture: at.logits })).get(at.logits).data.slice();
  const reply = async (m: Model) => (await m.generate(TEXT, { maxTokens: 24 })).captured.meta.reply;
  const alone = [await logits(a, TEXT), await logits(b, TEXT), await reply(a), await reply(b)];
  for (let i = 0; i < 5; i++)
    assert.deepEqual(await Promise.all([logits(a, TEXT), logits(b, TEXT), reply(a), reply(b)]), alone);
});
