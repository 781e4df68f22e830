import assert from "node:assert/strict";
import { after, test } from "node:test";
import { attn } from "../../../engine/edits/attn.ts";
import { route } from "../../../engine/edits/route.ts";
import { Model } from "../../../engine/model/model.ts";
import { at } from "../../../engine/sites/at.ts";
import { SITE_NAMES } from "../../../engine/sites/names.ts";
import { fault } from "../fault.ts";
import { type FolderOptions, type Raw, remove, SMALL, tensorsOf, writeFolder } from "../folder.ts";

const folders: string[] = [];
const folder = (o: FolderOptions = {}): string => {
  folders.push(writeFolder(o));
  return folders[folders.length - 1];
};
const m = await Model.load(folder(), { weights: "f32", math: "exact" });
after(() => {
  m.dispose();
  folders.forEach(remove);
});
const ids = Int32Array.from({ length: 21 }, (_, i) => (i * 17 + 3) % 64);
const close = (a: Float32Array, b: Float32Array, bound = 1e-5): void => {
  assert.equal(a.length, b.length);
  const scale = Math.max(...b.map(Math.abs), 1e-9);
  a.forEach((x, i) => {
    assert.ok(Math.abs(x - b[i]) <= bound * scale, `${i}: ${x} is not ${b[i]}`);
  });
};

test("the script: ids in, logits, router and residual stream out", async () => {
  const r = await m.run(
    { ids: [1, 5, 7] },
    { capture: [at.logits, at.layers("*").router.logits, at.layer(3).resid.post] },
  );
  const x = r.get(at.logits);
  assert.deepEqual([x.axes, x.shape], ["t vocab", [3, 64]]);
  assert.equal(JSON.parse(JSON.stringify({ data: Array.from(x.data) })).data.length, 192);
  assert.deepEqual(r.get(at.layers("*").router.logits).shape, [4, 3, 4]);
  assert.deepEqual(r.get("layers.3.resid.post").shape, [3, 16]);
});

test("a captured site is the engine's memory, not a copy; several layers are stacked with their numbers", async () => {
  const r = await m.run({ ids }, { capture: "residual" });
  assert.equal(r.get(at.layer(2).resid.post).data, r.captured.captures.get("layers.2.resid.post")!.data);
  const two = r.get(at.layers([1, 3]).resid.post);
  assert.deepEqual([two.axes, two.shape, [...two.labels("layer")]], ["layer t d", [2, 21, 16], [1, 3]]);
  assert.deepEqual(two.at({ layer: 3 }).data, r.get(at.layer(3).resid.post).data);
});

test("every site is captured with the shape its axes promise, and is not all zero", async () => {
  for (const [config, step] of [
    [SMALL, 1],
    [{ ...SMALL, interleave_moe_layer_step: 2 }, 2],
  ] as [Raw, number][]) {
    using model = await Model.load(folder({ config, tensors: tensorsOf(config) }), { weights: "f32" });
    const r = await model.run({ ids }, { capture: "all" });
    for (const name of SITE_NAMES) {
      const all = [...r.captured.captures.values()].filter((c) => c.site === name);
      if (name.startsWith("mlp.") && step === 1) continue;
      assert.ok(all.length > 0, name);
      for (const c of all) {
        assert.equal(c.axes.split(" ").length, c.shape.length, name);
        assert.ok(name === "router.choice" || c.data.some((v) => v !== 0), `${name} is all zero`);
        assert.ok(c.data.every(Number.isFinite), name);
      }
    }
  }
});

test("only() limits what is captured, and get(only) what is read of more", async () => {
  const full = await m.run({ ids }, { capture: "all" });
  for (const site of [
    at.layer(3).attn.z.only({ head: [1, 3], t: [2, -1] }),
    at.layer(3).attn.pattern.only({ head: 2, q: -1 }),
    at.layer(1).resid.post.only({ t: { gte: 18 } }),
  ]) {
    const less = await m.run({ ids }, { capture: site });
    const [a, b] = [less.get(site), full.get(site)];
    assert.deepEqual([a.axes, a.shape], [b.axes, b.shape]);
    close(a.data, b.data, 1e-6);
  }
  const expert = full.routing.at(0).expert;
  const site = at.layer(0).expert.out.only({ expert });
  const less = await m.run({ ids }, { capture: site });
  assert.deepEqual(
    [...less.get(site).labels("t")],
    full.routing
      .where({ layer: 0, expert })
      .toArray()
      .map((row) => row.t),
  );
  close(less.get(site).data, full.get(site).data, 1e-6);
});

test("bf16, f16 and f32 files, fused and not, one file or shards, load the same model", async () => {
  const logits = async (o: FolderOptions): Promise<Float32Array> => {
    using model = await Model.load(folder(o), { weights: "f32", math: "exact" });
    return (await model.run({ ids }, { capture: at.logits })).get(at.logits).data.slice();
  };
  const base = await logits({});
  close(await logits({ tensors: tensorsOf(SMALL, { fused: false }) }), base, 0);
  close(await logits({ shards: 3 }), base, 0);
  close(await logits({ config: { model_type: "llama4", text_config: SMALL } }), base, 2); // other names, so other weights: only that it runs
  for (const dtype of ["BF16", "F16"] as const) {
    const rounded = await logits({ dtype });
    assert.notDeepEqual(rounded, base);
    close(rounded, base, 0.2);
  }
});

test("a batch is as good as its sequences alone; seq() gives one back", async () => {
  const inputs = [{ ids: ids.subarray(0, 5) }, { ids }, { ids: ids.subarray(3, 12) }];
  const b = await m.batch(inputs, { capture: [at.logits, at.layer(3).attn.pattern], group: (d) => `n${d.ids.length}` });
  assert.deepEqual(b.tokens.column("group")[5], "n21");
  for (const [i, input] of inputs.entries()) {
    const alone = await m.run(input, { capture: [at.logits, at.layer(3).attn.pattern] });
    const one = b.seq(i);
    close(one.get(at.logits).data, alone.get(at.logits).data, 1e-6);
    assert.deepEqual([...one.tokens.column("pos")], [...alone.tokens.column("pos")]);
    assert.deepEqual(one.routing.toArray(), alone.routing.toArray());
    assert.ok(Math.abs(one.loss - alone.loss) < 1e-5);
    assert.equal(one.next.at(0).id, alone.next.at(0).id);
  }
});

test("a generated run is the forward pass over its own text", async () => {
  const g = await m.generate({ ids: ids.subarray(0, 6) }, { maxTokens: 14, capture: [at.logits, "residual"] });
  const all = g.captured.tokens;
  const again = await m.run({ ids: all.ids }, { capture: [at.logits, "residual"] });
  close(g.get(at.logits).data, again.get(at.logits).data, 1e-5);
  close(g.get(at.layers("*").resid.post).data, again.get(at.layers("*").resid.post).data, 1e-5);
  const steps = all.step.filter((s) => s >= 0).length;
  assert.equal(steps, all.length - 6);
  // Greedy: each token is the likeliest after those before it.
  for (let t = 6; t < all.length; t++)
    assert.equal(
      again
        .get(at.logits)
        .at({ t: t - 1 })
        .argmax(),
      all.ids[t],
    );
  assert.ok([...g.tokens.column("rank")].slice(6).every((r) => r === 0));
});

test("log-probability, entropy and rank of tokens are those of the logits", async () => {
  const r = await m.run({ ids }, { capture: at.logits });
  const logits = r.get(at.logits);
  let loss = 0;
  for (let t = 0; t < ids.length; t++) {
    const p = logits.at({ t }).softmax();
    const h = -p.data.reduce((a, v) => a + (v > 0 ? v * Math.log(v) : 0), 0);
    assert.ok(Math.abs(r.tokens.at(t).pred_entropy - h) < 1e-4);
    if (t + 1 === ids.length) break;
    const lp = Math.log(p.data[ids[t + 1]]);
    loss -= lp / (ids.length - 1);
    assert.ok(Math.abs(r.tokens.at(t + 1).logprob - lp) < 1e-4);
    assert.equal(r.tokens.at(t + 1).rank, p.data.filter((v) => v > p.data[ids[t + 1]]).length);
  }
  assert.ok(Math.abs(r.loss - loss) < 1e-4);
  assert.ok(Math.abs(r.prob(5) - logits.at({ t: -1 }).softmax().data[5]) < 1e-6);
  assert.equal(r.logit(9, { t: 4 }), logits.at({ t: 4 }).data[9]);
});

test("with() is a view: weights are shared, the model itself stays as it was", async () => {
  const base = await m.run({ ids }, { capture: at.logits });
  const before = m.memory.weights;
  const view = m.with(route.ban(0), attn.temperature("off"));
  assert.deepEqual([view.edits.length, m.edits.length, view.memory.weights], [2, 0, before]);
  const r = await view.run({ ids }, { capture: at.logits });
  assert.ok(!r.routing.toArray().some((row) => row.expert === 0));
  assert.notDeepEqual(r.get(at.logits).data, base.get(at.logits).data);
  assert.deepEqual((await m.run({ ids }, { capture: at.logits })).get(at.logits).data, base.get(at.logits).data);
  assert.deepEqual(r.edits.map(String), view.edits.map(String));
});

test("edits do what their sentence says", async () => {
  const capture = [
    "routing",
    at.layers("*").resid.post,
    at.layers("*").shared.out,
    at.layer(3).attn.temperature,
    at.layer(3).attn.z,
  ];
  const base = await m.run({ ids }, { capture });
  const forced = await m.with(route.force(2, { layer: 1, pos: 4 })).run({ ids });
  assert.equal(forced.routing.where({ layer: 1, t: 4 }).at(0).expert, 2);
  assert.deepEqual(
    forced.routing
      .where({ layer: 1, t: { lt: 4 } })
      .toArray()
      .map((x) => x.expert),
    base.routing
      .where({ layer: 1, t: { lt: 4 } })
      .toArray()
      .map((x) => x.expert),
  );
  assert.equal(forced.routing.where({ layer: 1, t: 4 }).at(0).forced, true);
  assert.equal(forced.routing.where({ layer: 1, t: 3 }).at(0).forced, false);

  const zero = await m.with(at.layer(2).shared.out.zero({ pos: -1 })).run({ ids }, { capture });
  assert.equal(zero.get(at.layer(2).shared.out).at({ t: -1 }).norm(), 0);
  close(zero.get(at.layer(2).shared.out).at({ t: 0 }).data, base.get(at.layer(2).shared.out).at({ t: 0 }).data, 0);

  const half = await m.with(at.layer(0).resid.post.scale(0.5)).run({ ids }, { capture });
  close(half.get(at.layer(0).resid.post).data, base.get(at.layer(0).resid.post).mul(0.5).data, 1e-6);

  const v = base.get(at.layer(1).resid.post).mean("t");
  const steered = await m.with(at.layer(1).resid.post.add(v, 3, { t: [2, 5] })).run({ ids }, { capture });
  close(
    steered.get(at.layer(1).resid.post).at({ t: 5 }).data,
    base.get(at.layer(1).resid.post).at({ t: 5 }).add(v.mul(3)).data,
    1e-5,
  );

  const other = await m.run({ ids: ids.map((i) => (i + 11) % 64) }, { capture });
  const patched = await m.with(at.layer(2).resid.post.patch(other)).run({ ids }, { capture });
  close(patched.get(at.layer(3).resid.post).data, other.get(at.layer(3).resid.post).data, 0);

  const off = await m.with(attn.temperature("off")).run({ ids }, { capture });
  assert.ok(off.get(at.layer(3).attn.temperature).data.every((x) => x === 1));
  assert.ok(base.get(at.layer(3).attn.temperature).data[20] > 1.1);
  const law = await m.with(attn.temperature({ floor: 4, scale: 1 })).run({ ids }, { capture });
  assert.ok(Math.abs(law.get(at.layer(3).attn.temperature).data[20] - (1 + Math.log(6))) < 1e-5);

  const heads = await m.with(at.layer(3).attn.z.zero({ head: [1] })).run({ ids }, { capture });
  assert.equal(heads.get(at.layer(3).attn.z.only({ head: 1 })).norm(), 0);
  assert.ok(heads.get(at.layer(3).attn.z.only({ head: 0 })).norm() > 0);
});

test("a replay makes another input choose as the recorded one did; compare counts what flipped", async () => {
  const a = await m.run({ ids });
  const b = await m.with(route.replay(a)).run({ ids: ids.map((i) => (i + 5) % 64) });
  assert.deepEqual(
    b.routing.toArray().map((x) => x.expert),
    a.routing.toArray().map((x) => x.expert),
  );
  const banned = await m.with(route.ban(1)).run(a);
  const d = a.compare(banned);
  assert.equal(
    d.flips.length,
    a.routing.where({ expert: 1 }).length + d.flips.toArray().filter((f) => f.expert_a !== 1).length,
  );
  assert.ok(Math.abs(d.loss - (banned.loss - a.loss)) < 1e-5);
  assert.ok(d.flips.toArray().every((f) => f.expert_b !== 1));
});

test("weights are tensors, read when touched; an expert runs by hand as in the model", async () => {
  const r = await m.run({ ids }, { capture: "all" });
  const layer = m.layer(2);
  close((await layer.shared.run(r.get(at.layer(2).router.in))).data, r.get(at.layer(2).shared.out).data, 1e-5);
  const { expert, score } = r.routing.where({ layer: 2, t: 7 }).at(0);
  const x = r.get(at.layer(2).router.in).at({ t: 7 }).mul(score);
  close((await layer.expert(expert).run(x)).data, r.get(at.layer(2).expert.out).at({ t: 7, slot: 0 }).data, 1e-5);
  const logits = r.get(at.layer(2).router.in).dot(layer.router, "d");
  close(logits.data, r.get(at.layer(2).router.logits).data, 1e-5);
  assert.deepEqual(
    [layer.attn.q.shape, layer.attn.o.shape, layer.norms.ffn.shape, m.unembed.shape],
    [[4, 8, 16], [16, 4, 8], [16], [64, 16]],
  );
  const again = r.get(at.final.norm).dot(m.unembed, "d");
  close(again.data, r.get(at.logits).data, 1e-5);
});

test("a random model of any shape runs, the same for the same seed", async () => {
  const logits = async (seed: number): Promise<Float32Array> => {
    using model = await Model.random(
      { ...SMALL, num_local_experts: 6, num_experts_per_tok: 2 },
      { seed, weights: "f32", std: 0.2 },
    );
    const r = await model.run({ ids }, { capture: at.logits });
    assert.equal(r.routing.length, 21 * 4 * 2);
    return r.get(at.logits).data.slice();
  };
  const a = await logits(1);
  assert.deepEqual(await logits(1), a);
  assert.notDeepEqual(await logits(2), a);
});

test("dense relatives: no experts, no chunks, RoPE everywhere, tied embeddings", async () => {
  const config: Raw = {
    ...SMALL,
    moe_layers: [],
    num_local_experts: 0,
    interleave_moe_layer_step: 0,
    num_experts_per_tok: 0,
    attention_chunk_size: null,
    no_rope_layers: [1, 1, 1, 1],
    layer_types: Array(4).fill("full_attention"),
    attn_temperature_tuning: false,
    tie_word_embeddings: true,
  };
  using model = await Model.load(folder({ config, tensors: tensorsOf(config) }), { weights: "f32", math: "exact" });
  const r = await model.run({ ids }, { capture: "all" });
  assert.ok(Number.isFinite(r.loss));
  assert.equal(model.unembed.data.length, model.embed.data.length);
  close(r.get(at.final.norm).dot(model.embed, "d").data, r.get(at.logits).data, 1e-5);
  close((await model.layer(1).mlp.run(x(r))).data, r.get(at.layer(1).mlp.out).data, 1e-5);
  assert.equal(
    r
      .get(at.layer(1).ffn.out)
      .sub(r.get(at.layer(1).mlp.out))
      .norm(),
    0,
  );
  await fault(() => r.routing, "capture");
  await fault(() => model.with(route.ban(0)).run({ ids }), "site", "no MoE layer");
  assert.equal((await model.generate({ ids }, { maxTokens: 3 })).tokens.length, 24);

  /** The normed input of the FFN, by hand. */
  function x(run: typeof r) {
    const h = run.get(at.layer(1).resid.mid);
    const rms = h
      .mul(h)
      .mean("d")
      .map((v) => 1 / Math.sqrt(v + 1e-5));
    return h.mul(rms).mul(model.layer(1).norms.ffn);
  }
});

test("the checkpoint's own sampling is there to be used, not applied unasked", async () => {
  const files = { "generation_config.json": '{"eos_token_id":[2,5000],"temperature":0.6,"top_p":0.9}' };
  using model = await Model.load(folder({ files }), { weights: "f32" });
  assert.deepEqual(model.sampling, { temperature: 0.6, topP: 0.9 });
  assert.deepEqual(m.sampling, {});
  const a = await model.generate({ ids }, { maxTokens: 8, ...model.sampling, seed: 3 });
  assert.ok(a.tokens.length > 21);
});

test("plans count what loading and running then take", async () => {
  const plan = Model.plan(SMALL, { weights: "f32", context: 21 });
  assert.equal(plan.kv, 4 * 2 * 2 * 8 * (3 * 8 + 21));
  // The exact path keeps the numbers alone.
  const weights = [...tensorsOf(SMALL).values()].reduce((n, t) => n + t.data.length * 4, 0);
  assert.equal(m.memory.weights, weights);
  assert.ok(plan.fits);
  const run = m.plan({ ids }, { capture: [at.logits] });
  assert.equal(run.captures, 21 * 64 * 4 + 4 * 21 * (4 + 1 + 1) * 4);
  const scout = Model.plan("scout", { weights: "bf16", context: 8192 });
  assert.ok(Math.abs(scout.weights / 2 / 107_769_861_120 - 1) < 1e-3);
  assert.equal(scout.kv, 2 * 1.5 * 2 ** 30);
});
