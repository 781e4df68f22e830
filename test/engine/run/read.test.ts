import assert from "node:assert/strict";
import { test } from "node:test";
import type { Captured, SiteCapture } from "../../../engine/run/captured.ts";
import { partOf } from "../../../engine/run/part.ts";
import { Run } from "../../../engine/run/run.ts";
import { at } from "../../../engine/sites/at.ts";
import { fault } from "../fault.ts";
import { synthetic } from "../synthetic.ts";

/** A run whose captured numbers tell where they come from. */
function marked(): Captured {
  const base = synthetic({ layers: 4, heads: 4, sequences: 2, length: 5 });
  const { facts } = base;
  const rows = Int32Array.from({ length: 10 }, (_, i) => i);
  const captures = new Map(base.captures);
  const add = (c: Omit<SiteCapture, "heads"> & { heads?: Int32Array }): void => {
    captures.set(`layers.${c.layer}.${c.site}`, { heads: null, ...c });
  };
  for (let layer = 0; layer < 4; layer++) {
    const kept = layer === 3 ? rows.subarray(4) : rows;
    const data = Float32Array.from(
      { length: kept.length * facts.d },
      (_, i) => layer * 1e4 + kept[Math.floor(i / facts.d)] * 100 + (i % facts.d),
    );
    add({ site: "resid.post", layer, axes: "t d", shape: [kept.length, facts.d], data, rows: kept });
  }
  const z = Float32Array.from(
    { length: 10 * 2 * facts.headDim },
    (_, i) => Math.floor(i / (2 * facts.headDim)) * 100 + (Math.floor(i / facts.headDim) % 2),
  );
  add({
    site: "attn.z",
    layer: 1,
    axes: "t head dh",
    shape: [10, 2, facts.headDim],
    data: z,
    rows,
    heads: Int32Array.of(1, 3),
  });
  const pattern = Float32Array.from({ length: 2 * 10 * 5 }, (_, i) => i);
  add({
    site: "attn.pattern",
    layer: 1,
    axes: "head q k",
    shape: [2, 10, 5],
    data: pattern,
    rows,
    heads: Int32Array.of(1, 3),
  });
  return { ...base, captures };
}
const data = marked();
const r = new Run(data);

test("labels are rows, heads and layers, not places", () => {
  const one = r.get(at.layer(3).resid.post);
  assert.deepEqual([...one.labels("t")], [4, 5, 6, 7, 8, 9]);
  assert.equal(one.at({ t: 7 }).data[0], 30700);
  const z = r.get(at.layer(1).attn.z);
  assert.deepEqual([...z.labels("head")], [1, 3]);
  assert.equal(z.at({ t: 6, head: 3 }).data[0], 601);
});

test("only() reads less than was captured", async () => {
  assert.deepEqual(
    r.get(at.layer(2).resid.post.only({ t: [1, -1] })).data.filter((_, i) => i % data.facts.d === 0),
    Float32Array.of(20100, 20900),
  );
  const z = r.get(at.layer(1).attn.z.only({ head: 3, t: { lt: 3 } }));
  assert.deepEqual([z.shape, [...z.labels("head")]], [[3, 1, data.facts.headDim], [3]]);
  assert.equal(z.data[0], 1);
  const p = r.get(at.layer(1).attn.pattern.only({ head: 3, q: 6 }));
  assert.deepEqual(
    [p.shape, [...p.data]],
    [
      [1, 1, 5],
      [80, 81, 82, 83, 84],
    ],
  );
  await fault(() => r.get(at.layer(1).attn.z.only({ head: 0 })), "capture", "head 0 was not captured");
  await fault(() => r.get(at.layer(3).resid.post.only({ t: 1 })), "capture", "t 1 was not captured");
});

test("layers are stacked when they hold the same rows", async () => {
  const two = r.get(at.layers([0, 2]).resid.post);
  assert.deepEqual(
    [two.shape, [...two.labels("layer")]],
    [
      [2, 10, data.facts.d],
      [0, 2],
    ],
  );
  assert.equal(two.at({ layer: 2, t: 4 }).data[1], 20401);
  await fault(() => r.get(at.layers("*").resid.post), "capture", "layers 0 and 3 hold different rows");
  await fault(() => r.get(at.layers("*").resid.mid), "capture", "layers.0.resid.mid", 'capture: "layers.*.resid.mid"');
});

test("a part of a run is that part of everything", () => {
  const part = r.seq(1);
  assert.deepEqual(
    [part.tokens.length, part.tokens.at(0).seq, part.tokens.at(0).pos, part.captured.sequences],
    [5, 0, 0, 1],
  );
  assert.equal(part.get(at.layer(2).resid.post).at({ t: 0 }).data[0], 20500);
  assert.deepEqual([...part.get(at.layer(1).attn.pattern).at({ head: 3, q: 1 }).data], [80, 81, 82, 83, 84]);
  assert.deepEqual([...part.get(at.layer(3).resid.post).labels("t")], [0, 1, 2, 3, 4]);
  assert.deepEqual(part.routing.column("expert").at(0), r.routing.where({ t: 5 }).at(0).expert);
  const cut = partOf(data, 5, 8, [1]);
  assert.deepEqual([cut.tokens.length, cut.captures.get("layers.0.resid.post")!.rows.length], [3, 3]);
});

test("a batch has no one prediction, a sequence has", async () => {
  await fault(() => r.logit(1), "argument", "2 sequences", "seq(0)");
  assert.equal(r.seq(1).logit(1), data.last[data.facts.vocab + 1]);
  assert.equal(r.logit(1, { t: 4 }), data.last[1]);
  await fault(() => r.logit(1, { t: 10 }), "argument", "no token row 10");
});

test("runs are compared by place or by text", async () => {
  const same = r.compare(r);
  assert.deepEqual([same.loss, same.flips.length], [0, 0]);
  const shifted = new Run(partOf(data, 1, 5, [0]));
  assert.ok(r.seq(0).compare(shifted, { align: "text" }).dlogprob.length >= 4);
  await fault(() => r.compare(r, { align: "id" as never }), "argument", '"id"');
});

test("disposing a part disposes the whole, once", async () => {
  let released = 0;
  const whole = new Run(marked(), { release: () => released++ });
  const x = whole.get(at.layer(0).resid.post);
  whole.seq(0).dispose();
  assert.equal(released, 1);
  whole.dispose();
  assert.equal(released, 1);
  await fault(() => x.data, "released");
  await fault(() => whole.tokens, "released");
});
