/** The addon at its border: what JavaScript can ask of it, and do to it. */
import assert from "node:assert/strict";
import { createRequire } from "node:module";
import { resolve } from "node:path";
import { test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import type {
  CaptureSpec,
  ForwardSpec,
  GenerateSpec,
  LoadSpec,
  Native,
  NativeConfig,
  NativeModel,
} from "../../engine/native.ts";

const path = resolve("build/native/moescope.node");
const native = createRequire(import.meta.url)(path) as Native;

function config(o: Partial<NativeConfig> = {}, layers = 4): NativeConfig {
  const headDim = o.headDim ?? 16;
  const invFreq64 = Float64Array.from({ length: headDim / 2 }, (_, j) => 500000 ** ((-2 * j) / headDim));
  return {
    vocab: 97,
    d: 48,
    heads: 4,
    kvHeads: 2,
    headDim,
    ff: 40,
    ffDense: 56,
    experts: 4,
    topk: 1,
    chunk: 16,
    eps: 1e-5,
    qkNorm: true,
    temperatureTuning: true,
    floorScale: 16,
    attnScale: 0.1,
    tiedEmbeddings: false,
    rope: "hf",
    invFreq: Float32Array.from(invFreq64),
    invFreq64,
    layers: Array.from({ length: layers }, (_, l) => ({
      rope: (l + 1) % 4 !== 0,
      chunked: (l + 1) % 4 !== 0,
      moe: true,
    })),
    ...o,
  };
}
const loadSpec = (o: Partial<LoadSpec> = {}): LoadSpec => ({
  config: config(),
  files: [],
  weights: [],
  random: { seed: 1, std: 0.1 },
  format: "f32",
  math: "fast",
  threads: 1,
  ...o,
});
const load = (o: Partial<LoadSpec> = {}): Promise<NativeModel> => native.load(loadSpec(o)).done;
const ids = (n: number, vocab = 97): Int32Array => Int32Array.from({ length: n }, (_, i) => (i * 31 + 7) % vocab);
const capture = (site: string, layer = -1, o: Partial<CaptureSpec> = {}): CaptureSpec => ({
  site,
  layer,
  rows: null,
  decode: true,
  heads: null,
  experts: null,
  ...o,
});
const forward = (n: number, captures: CaptureSpec[] = []): ForwardSpec => ({
  batch: { ids: ids(n), lengths: Int32Array.of(n) },
  captures,
  edits: [],
});
const generate = (n: number, o: Partial<GenerateSpec> = {}): GenerateSpec => ({
  ...forward(n),
  maxTokens: 10,
  temperature: 0,
  topP: 1,
  topK: 0,
  seed: 1,
  stopIds: new Int32Array(),
  ...o,
});
const code =
  (wanted: string, where?: string) =>
  (e: unknown): boolean => {
    const error = e as Error & { code?: string; where?: string };
    assert.ok(error instanceof Error && error.message.length > 0);
    assert.equal(error.code, wanted, error.message);
    if (where !== undefined) assert.equal(error.where, where);
    return true;
  };

test("info tells the machine", () => {
  const info = native.info();
  assert.match(info.version, /^\d+\.\d+\.\d+/);
  assert.ok(["amx", "avx512", "avx2", "neon", "generic"].includes(info.isa));
  assert.ok(info.cores >= 1 && info.free > 0 && info.total >= info.free && info.budget > 0);
});

test("a run gives logits, captures and statistics of every row", async () => {
  const m = await load();
  const s = m.state({ sequences: 2, context: 40 });
  const task = s.forward({
    batch: { ids: ids(30), lengths: Int32Array.of(10, 20) },
    captures: [capture("logits"), capture("attn.z", 3), capture("router.choice", 0)],
    edits: [],
  });
  const r = await task.done;
  assert.deepEqual(task.progress(), { done: 30, total: 30 });
  assert.deepEqual(
    r.captures.map((c) => [c.site, c.layer, c.shape]),
    [
      ["logits", -1, [30, 97]],
      ["attn.z", 3, [30, 4, 16]],
      ["router.choice", 0, [30, 1]],
    ],
  );
  assert.deepEqual([...s.position], [10, 20]);
  assert.ok(Number.isNaN(r.logprob[0]) && Number.isNaN(r.logprob[10]) && r.logprob[11] < 0);
  assert.deepEqual([r.rank[0], r.rank[10]], [-1, -1]);
  assert.deepEqual([...r.last.subarray(97)], [...(r.captures[0] as { data: Float32Array }).data.subarray(29 * 97)]);
  assert.ok(m.memory().some((p) => p.part === "kv" && p.bytes > 0));
  m.release();
});

test("embeddings given for rows take the place of the table's", async () => {
  const m = await load();
  const values = Float32Array.from({ length: 2 * 48 }, (_, i) => i / 50);
  const r = await m.state({ sequences: 1, context: 8 }).forward({
    batch: { ids: ids(5), lengths: Int32Array.of(5), embeds: { rows: Int32Array.of(1, 3), values } },
    captures: [capture("embed")],
    edits: [],
  }).done;
  const embed = (r.captures[0] as { data: Float32Array }).data;
  assert.deepEqual(embed.subarray(48, 96), values.subarray(0, 48));
  assert.deepEqual(embed.subarray(144, 192), values.subarray(48));
  const table = m.weight("embed");
  assert.deepEqual(embed.subarray(0, 48), table.subarray(7 * 48, 8 * 48));
  m.release();
});

test("tokens are awaited one by one", async () => {
  const m = await load();
  const task = m
    .state({ sequences: 1, context: 100 })
    .generate(generate(8, { maxTokens: 12, temperature: 1, captures: [capture("resid.post", 2)] }));
  const seen: number[] = [];
  for (;;) {
    const all = await task.next(seen.length);
    if (all.length === seen.length) break;
    seen.push(...all.subarray(seen.length));
  }
  const r = await task.done;
  assert.deepEqual(seen, [...r.ids]);
  assert.equal(r.ids.length, 12);
  assert.equal(r.reason, "length");
  assert.deepEqual(r.captures[0]?.shape, [20, 48]);
  assert.equal(r.logprob.length, 20);
  assert.deepEqual(await task.next(3), r.ids);
  m.release();
});

test("positions are those of the step", () => {
  const c = config({ floorScale: 8192, chunk: 8192 });
  const p = native.positional(c, Int32Array.of(0, 8190, 8191, 10485759));
  const golden = [1, 1, 1.069315, 1.71554];
  for (let i = 0; i < 4; ++i) assert.ok(Math.abs((p.temperature[i] as number) - (golden[i] as number)) < 5e-7);
  assert.equal(p.cos.length, 4 * 8);
  assert.equal(p.cos[0], 1);
  const angle = Math.fround(Math.fround(10485759) * (c.invFreq[3] as number));
  assert.ok(Math.abs((p.sin[3 * 8 + 3] as number) - Math.sin(angle)) < 1e-7);
});

test("what is wrong in a spec is refused by name and harms nothing", async () => {
  const m = await load();
  const s = m.state({ sequences: 1, context: 64 });
  const wrong = (change: (spec: Record<string, unknown>) => void, where: string, code_ = "argument") => {
    const spec = structuredClone(forward(5)) as unknown as Record<string, unknown>;
    change(spec);
    assert.throws(() => s.forward(spec as unknown as ForwardSpec), code(code_, where));
  };
  wrong((f) => delete f.batch, "batch");
  wrong((f) => Object.assign(f.batch as object, { ids: [1, 2, 3, 4, 5] }), "batch.ids");
  wrong((f) => Object.assign(f.batch as object, { ids: Int32Array.of(1, 2, 3, 4, 97) }), "batch.ids");
  wrong((f) => Object.assign(f.batch as object, { lengths: Int32Array.of(2, 3) }), "batch.lengths");
  wrong((f) => Object.assign(f, { captures: {} }), "captures");
  wrong((f) => Object.assign(f, { captures: [capture("nonsense")] }), "captures[0].site");
  wrong((f) => Object.assign(f, { captures: [capture("logits", 1.5)] }), "captures[0].layer");
  wrong((f) => Object.assign(f, { edits: [{ op: "route.love" }] }), "edits[0].rows");
  wrong((f) => Object.assign(f, { edits: [{ op: "route.love", rows: {}, layers: new Uint8Array(4) }] }), "edits[0].op");
  wrong((f) => Object.assign(f, { tile: -1 }), "tile");
  for (const bad of [null, 3, "x", undefined])
    assert.throws(() => s.forward(bad as unknown as ForwardSpec), code("argument"));
  // These are found when the run begins.
  await assert.rejects(s.forward(forward(5, [capture("attn.q", 9)])).done, code("argument", "layers.9.attn.q"));
  await assert.rejects(s.forward(forward(65)).done, code("argument", "sequence 0"));
  assert.throws(() => m.weight("layers.9.attn.q"), code("argument", "layers.9.attn.q"));
  assert.throws(() => m.state({ sequences: 0, context: 5 }), code("argument", "state.sequences"));
  assert.throws(() => m.state({ sequences: 1000, context: 2 ** 31 - 1 }), code("memory", "KV cache"));
  assert.throws(() => native.load({ ...loadSpec(), format: "int4" as "f32" }), code("argument", "format"));
  assert.throws(() => native.load(loadSpec({ config: config({ kvHeads: 3 }) })), code("argument", "config.kvHeads"));
  await assert.rejects(load({ files: ["/nonexistent"] }), code("file", "/nonexistent"));
  await assert.rejects(load({ random: undefined }), code("argument", "embed"));
  const ok = await s.forward(forward(5)).done;
  assert.equal(ok.logprob.length, 5);
  m.release();
});

test("any value in any field is refused or taken, never more", async () => {
  const m = await load();
  const junk: unknown[] = [
    undefined,
    null,
    true,
    -1,
    1e30,
    Number.NaN,
    0.5,
    "x",
    [],
    {},
    new Float32Array(3),
    new Int32Array(2),
    7n,
    () => 1,
    Symbol("s"),
  ];
  const good = {
    ...generate(4, { maxTokens: 2 }),
    captures: [capture("attn.q", 0)],
    edits: [{ op: "route.force", rows: {}, layers: new Uint8Array(4).fill(1), expert: 1, score: "own", value: 1 }],
  };
  const fields = (o: object, at: string[] = []): string[][] =>
    Object.entries(o).flatMap(([k, v]) => [
      [...at, k],
      ...(v !== null && typeof v === "object" && !ArrayBuffer.isView(v) ? fields(v, [...at, k]) : []),
    ]);
  let refused = 0;
  let taken = 0;
  const attempt = async (run: () => Promise<unknown>) => {
    try {
      await run();
      taken++;
    } catch (e) {
      assert.ok(["argument", "file", "memory", "budget"].includes((e as { code: string }).code), String(e));
      refused++;
    }
  };
  for (const target of [good, loadSpec({ config: config({ d: 8, ff: 8, vocab: 9 }, 1) })])
    for (const at of fields(target))
      for (const value of junk) {
        const spec = structuredClone(target) as Record<string, unknown>;
        let o = spec;
        for (const k of at.slice(0, -1)) o = o[k] as Record<string, unknown>;
        o[at.at(-1) as string] = value;
        if (target === good)
          await attempt(() => m.state({ sequences: 1, context: 8 }).generate(spec as unknown as GenerateSpec).done);
        else await attempt(async () => (await native.load(spec as unknown as LoadSpec).done).release());
      }
  assert.ok(refused > 300 && taken > 20, `${refused} refused, ${taken} taken`);
  m.release();
});

test("results are freed by release, by the collector, and refused over the budget", async () => {
  const m = await load();
  setFlagsFromString("--expose_gc");
  const gc = runInNewContext("gc") as () => void;
  // What earlier tests left behind goes first.
  for (let i = 0; i < 3; ++i) {
    gc();
    await sleep(5);
  }
  const before = native.info().external;
  const s = m.state({ sequences: 1, context: 5000 });
  const r = await s.forward(forward(1000, [capture("logits")])).done;
  const bytes = native.info().external - before;
  assert.ok(bytes >= 1000 * 97 * 4 && bytes < 1000 * 97 * 4 + 20000);
  r.release();
  assert.equal(native.info().external, before);
  assert.equal((r.captures[0] as { data: Float32Array }).data.length, 0);
  r.release();

  await s.forward(forward(1000, [capture("logits")])).done;
  assert.ok(native.info().external > before);
  for (let i = 0; i < 50 && native.info().external > before; ++i) {
    gc();
    await sleep(5);
  }
  assert.equal(native.info().external, before);

  const { budget } = native.info();
  native.setBudget(before + 300_000);
  await assert.rejects(s.forward(forward(1000, [capture("logits")])).done, (e) => {
    assert.match((e as Error).message, /takes \d+ bytes; \d+ of the budget of \d+ bytes are in use/);
    return code("budget")(e);
  });
  assert.equal(native.info().external, before);
  native.setBudget(budget);
  m.release();
});

test("a transferred result outlives its release", async () => {
  const m = await load();
  const r = await m.state({ sequences: 1, context: 50 }).forward(forward(20, [capture("logits")])).done;
  const data = (r.captures[0] as { data: Float32Array }).data;
  const value = data[5];
  const moved = structuredClone(data, { transfer: [data.buffer as ArrayBuffer] });
  r.release();
  assert.equal(moved[5], value);
  m.release();
});

const heavy = { config: config({ d: 160, ff: 256, headDim: 32, vocab: 512 }, 6), math: "exact" as const };

test("cancelled within 100 ms, prefill and decode, and the model goes on", async () => {
  const m = await load(heavy);
  const s = m.state({ sequences: 1, context: 3000 });
  for (const math of ["prefill", "decode"]) {
    const task = math === "prefill" ? s.forward(forward(2900)) : s.generate(generate(3, { maxTokens: 2900 }));
    await sleep(60);
    const start = performance.now();
    task.cancel();
    if (math === "prefill") await assert.rejects(task.done, code("cancelled"));
    else assert.equal(((await task.done) as unknown as { reason: string }).reason, "cancel");
    const ms = performance.now() - start;
    // Twice the promise, because the machine runs other tests as well.
    assert.ok(ms < 200, `${math} took ${ms} ms to stop`);
  }
  assert.equal((await m.state({ sequences: 1, context: 9 }).forward(forward(3)).done).logprob.length, 3);
  m.release();
});

test("released while running: the task ends with `released`, later calls too", async () => {
  const m = await load(heavy);
  const s = m.state({ sequences: 1, context: 3000 });
  const running = s.forward(forward(2900));
  const waiting = s.generate(generate(3));
  await sleep(20);
  m.release();
  await assert.rejects(running.done, code("released"));
  await assert.rejects(waiting.done, code("released"));
  assert.throws(() => s.forward(forward(3)), code("released"));
  assert.throws(() => m.memory(), code("released"));
  m.release();

  const other = await load(heavy);
  const one = other.state({ sequences: 1, context: 3000 });
  const busy = one.forward(forward(2900));
  await sleep(20);
  one.release();
  await assert.rejects(busy.done, code("released"));
  assert.throws(() => one.forward(forward(3)), code("released"));
  assert.equal((await other.state({ sequences: 1, context: 9 }).forward(forward(3)).done).logprob.length, 3);
  other.release();
});

test("two models at once do not mix", async () => {
  const [a, b] = await Promise.all([load(), load({ random: { seed: 2, std: 0.1 } })]);
  const run = async (m: NativeModel) => {
    const r = await m.state({ sequences: 1, context: 200 }).generate(generate(60, { maxTokens: 40, temperature: 1 }))
      .done;
    return [...r.ids];
  };
  const [alone, other] = [await run(a), await run(b)];
  const together = await Promise.all([run(a), run(b), run(a), run(b)]);
  assert.deepEqual(together, [alone, other, alone, other]);
  assert.notDeepEqual(alone, other);
  a.release();
  b.release();
});

test("a load can be cancelled", async () => {
  const task = native.load(loadSpec({ config: config({ d: 1024, ff: 4096 }, 8) }));
  task.cancel();
  await assert.rejects(task.done, code("cancelled"));
});
