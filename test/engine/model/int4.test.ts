/** int4 from JavaScript: what is kept and what it costs. */
import assert from "node:assert/strict";
import { after, test } from "node:test";
import type { LoadOptions } from "../../../engine/index.ts";
import { Model } from "../../../engine/model/model.ts";
import { at } from "../../../engine/sites/at.ts";
import { type Raw, remove, SMALL, tensorsOf, writeFolder } from "../folder.ts";

const GROUPS = [32, 64, 128] as const;
const bf16 = await Model.load("tiny-scout", { weights: "bf16", device: "cpu" });
after(() => bf16.dispose());
const int4 = (o: LoadOptions) => Model.load("tiny-scout", { weights: "int4", device: "cpu", ...o });

/** Bytes of [rows, cols], counted tile by tile: 8 rows of 128 columns, 4 bits each, and two bytes a group. */
function tiles(rows: number, cols: number, group: number): number {
  let bytes = 0;
  for (let r = 0; r < rows; r += 8)
    for (let c = 0; c < cols; c += 128) bytes += (8 * 128) / 2 + ((8 * 128) / group) * 2;
  return bytes;
}

test("the bytes of every part are what the layout says, by the plan and in memory", async () => {
  for (const group of GROUPS) {
    using m = await int4({ group });
    const plan = Model.plan("tiny-scout", { weights: "int4", group });
    const parts = new Map(plan.parts.toArray().map((p) => [p.part, p.bytes]));
    const kept = new Map(m.memory.parts.toArray().map((p) => [p.part, p.bytes]));
    const mlp = 2 * tiles(112, 256, group) + tiles(256, 112, group);
    const norms = 8 * 256 * 4;
    const want = {
      embed: 4096 * 256 * 2,
      head: tiles(4096, 256, group),
      attention: 8 * (2 * tiles(256, 256, group) + 2 * tiles(64, 256, group)),
      experts: 8 * 8 * mlp,
      shared: 8 * mlp,
    };
    for (const [part, bytes] of Object.entries(want)) {
      assert.equal(parts.get(part), bytes, `${part} in the plan`);
      // In memory a norm counts as part of what it stands before.
      const norm = { attention: norms, shared: norms, head: 256 * 4 }[part] ?? 0;
      assert.equal(kept.get(part), bytes + norm, `${part} in memory`);
    }
    assert.equal(m.memory.weights, plan.weights);
  }
});

test("the plan is what the SIMD path then keeps, in every format, of shapes that fill no panel", async () => {
  const shapes: Raw[] = [
    SMALL,
    { ...SMALL, interleave_moe_layer_step: 2 },
    { ...SMALL, tie_word_embeddings: true, vocab_size: 77, intermediate_size: 41, hidden_size: 150 },
  ];
  const formats: LoadOptions[] = [
    { weights: "f32" },
    { weights: "bf16" },
    ...GROUPS.map((group) => ({ weights: "int4", group })),
  ];
  for (const shape of shapes)
    for (const o of formats) {
      using m = await Model.random(shape, { ...o, device: "cpu" });
      assert.equal(Model.plan(shape, o).weights, m.memory.weights, JSON.stringify({ ...shape, ...o }));
    }
  // 4 bits a weight and 16 for 32 of them, but for the embedding.
  const scout = Model.plan("scout", { weights: "int4" }).weights;
  assert.ok(Math.abs(scout / (0.5625 * 107e9) - 1) < 0.04, `${scout}`);
});

test("a weight is read as what it was rounded to: within half a step of what it was", async () => {
  const was = bf16.layer(2).expert(7).gate;
  for (const group of GROUPS) {
    using m = await int4({ group });
    const is = m.layer(2).expert(7).gate;
    assert.deepEqual(is.shape, [112, 256]);
    let clipped = 0;
    for (let from = 0; from < was.data.length; from += group) {
      const [a, b] = [was.data.subarray(from, from + group), is.data.subarray(from, from + group)];
      const extreme = a.reduce((x, y) => (Math.abs(y) > Math.abs(x) ? y : x), 0);
      const step = Math.abs(extreme) / 8;
      a.forEach((x, i) => {
        // A number of the other sign than the extreme ends at 7 steps.
        const end = -Math.sign(extreme) * 7 * step;
        const want = Math.abs(x) > Math.abs(end) && Math.sign(x) === Math.sign(end) ? end : x;
        if (want !== x) clipped++;
        assert.ok(Math.abs(b[i] - want) <= step * 0.505, `${from + i}: ${x} became ${b[i]}, a step is ${step}`);
      });
      assert.ok(new Set(b).size > 4 && new Set(b).size <= 16);
    }
    assert.ok(clipped < was.data.length / 50);
  }
  using exact = await int4({ math: "exact" });
  using fast = await int4({});
  assert.deepEqual(fast.layer(2).expert(7).gate.data, exact.layer(2).expert(7).gate.data);
});

test("the fast path over int4 is the exact one over int4", async () => {
  const input = { ids: Int32Array.from({ length: 70 }, (_, i) => (i * 37 + 11) % 4000) };
  for (const group of GROUPS) {
    using exact = await int4({ group, math: "exact" });
    using fast = await int4({ group });
    const [a, b] = await Promise.all([exact, fast].map((m) => m.run(input, { capture: at.logits })));
    const [x, y] = [a.get(at.logits).data, b.get(at.logits).data];
    const scale = x.reduce((top, v) => Math.max(top, Math.abs(v)), 0);
    assert.ok(x.every((v, i) => Math.abs(v - y[i]) <= 1e-4 * scale));
    assert.equal(a.captured.facts.weights, `int4_${group}`);
  }
});

test("a checkpoint of f32 in shards or of fused experts is rounded to the same int4", async () => {
  const one = writeFolder({});
  const other = writeFolder({ shards: 3, tensors: tensorsOf(SMALL, { fused: false }) });
  after(() => [one, other].forEach(remove));
  using a = await Model.load(one, { weights: "int4" });
  using b = await Model.load(other, { weights: "int4" });
  for (const e of [0, 3]) assert.deepEqual(a.layer(1).expert(e).down.data, b.layer(1).expert(e).down.data);
});
