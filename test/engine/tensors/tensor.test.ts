import assert from "node:assert/strict";
import { test } from "node:test";
import { inspect } from "node:util";
import { DISPLAY } from "../../../engine/host.ts";
import { random } from "../../../engine/tables/random.ts";
import { makeTensor, Tensor } from "../../../engine/tensors/tensor.ts";

const next = random(7);
const noise = (n: number) => Float32Array.from({ length: n }, () => 2 * next() - 1);
const near = (a: number, b: number, tolerance = 1e-6) =>
  assert.ok(Math.abs(a - b) <= tolerance * Math.max(1, Math.abs(b)), `${a} is not ${b}`);
const x = Tensor.from(
  [
    [1, 2, 3],
    [4, 5, 6],
  ],
  "t d",
);

test("from keeps the given array and checks the shape", () => {
  const data = noise(6);
  const t = Tensor.from(data, "t d", [2, 3]);
  assert.equal(t.data, data);
  assert.deepEqual(t.shape, [2, 3]);
  assert.equal(t.axes, "t d");
  assert.throws(() => Tensor.from(data, "t d", [2, 4]), /6 numbers do not fill the shape \[2, 4\]/);
  assert.throws(() => Tensor.from(data, "t d"), /nested 1 deep, but 2 axes/);
  assert.throws(() => Tensor.from(data, "t t", [2, 3]), /named twice/);
  assert.throws(() => Tensor.from([[1, 2], [3]], "t d"), /not all of the same length/);
  assert.throws(() => Tensor.from(data, "t d", [2]), /2 axes, but the shape is \[2\]/);
});

test("at takes labels; a leading axis is a view, another one a copy", () => {
  const t = makeTensor("layer t d", [2, 2, 2], Float32Array.from([1, 2, 3, 4, 5, 6, 7, 8]), {
    labels: { layer: [3, 7] },
  });
  assert.deepEqual(Array.from(t.at({ layer: 7 }).data), [5, 6, 7, 8]);
  assert.equal(t.at({ layer: 7 }).data.buffer, t.data.buffer);
  assert.deepEqual(Array.from(t.at({ t: -1 }).data), [3, 4, 7, 8]);
  assert.equal(t.at({ layer: -1, t: 0, d: 1 }), 6);
  assert.deepEqual(Array.from(t.at({ layer: 3, d: 0 }).data), [1, 3]);
  assert.throws(() => t.at({ layer: 4 }), /axis "layer" has no 4; it holds 3, 7/);
  assert.throws(() => t.at({ t: 2 }), /it holds 0 … 1/);
  assert.throws(() => t.at({ t: 0.5 }), /has no 0.5/);
  assert.throws(() => (t as Tensor<any>).at({ head: 0 }), /there is no axis "head" here; the axes are "layer t d"/);
});

test("slice keeps a range of labels", () => {
  const t = makeTensor("t d", [4, 2], Float32Array.from([0, 1, 2, 3, 4, 5, 6, 7]), { labels: { t: [2, 5, 9, 11] } });
  const part = t.slice({ t: [5, 11] });
  assert.deepEqual(Array.from(part.data), [2, 3, 4, 5]);
  assert.deepEqual(Array.from(part.labels("t")), [5, 9]);
  assert.equal(part.at({ t: 9, d: 1 }), 5);
  assert.deepEqual(Array.from(t.slice({ t: [-1, Number.POSITIVE_INFINITY] }).data), [6, 7]);
  assert.deepEqual(Array.from(t.slice({ d: [1, 2] }).data), [1, 3, 5, 7]);
  assert.deepEqual(t.slice({ t: [5, 5] }).shape, [0, 2]);
  assert.throws(() => t.slice({ t: 5 as never }), /takes \[from, to\]/);
});

test("reductions agree with brute force on every axis, and with f64 sums", () => {
  const shape = [3, 5, 7];
  const data = noise(105);
  const t = Tensor.from(data, "a b c", shape);
  for (const [i, axis] of (["a", "b", "c"] as const).entries()) {
    const rest = [0, 1, 2].filter((j) => j !== i);
    for (let p = 0; p < shape[rest[0]]; p++)
      for (let q = 0; q < shape[rest[1]]; q++) {
        const values = Array.from({ length: shape[i] }, (_, r) => {
          const at = [0, 0, 0];
          [at[rest[0]], at[rest[1]], at[i]] = [p, q, r];
          return data[(at[0] * 5 + at[1]) * 7 + at[2]];
        });
        const cell = p * shape[rest[1]] + q;
        near(
          t.sum(axis).data[cell],
          values.reduce((u, v) => u + v, 0),
        );
        near(t.mean(axis).data[cell], values.reduce((u, v) => u + v, 0) / values.length);
        near(t.max(axis).data[cell], Math.max(...values));
        near(t.argmax(axis).data[cell], values.indexOf(Math.max(...values)));
        near(t.norm(axis).data[cell], Math.hypot(...values));
      }
  }
  near(
    t.sum(),
    data.reduce((u, v) => u + v, 0),
  );
  assert.equal(t.argmax(), data.indexOf(Math.max(...data)));
  const big = new Float32Array(1e6).fill(0.1);
  near(Tensor.from(big, "d").sum(), 1e6 * Math.fround(0.1), 1e-9);
});

test("reducing the last axis gives a number; labels come back from argmax", () => {
  const n: number = Tensor.from([3, 1], "d").mean("d");
  assert.equal(n, 2);
  const t = makeTensor("layer d", [2, 2], Float32Array.from([0, 5, 9, 1]), { labels: { layer: [3, 7] } });
  assert.deepEqual(Array.from(t.argmax("layer").data), [7, 3]);
  assert.ok(Number.isNaN(Tensor.from([1, Number.NaN], "d").max()));
  assert.throws(() => Tensor.from([], "d").mean(), /nothing to reduce/);
  assert.equal(Tensor.from([], "d").sum(), 0);
});

test("binary verbs broadcast by name, in any order of axes", () => {
  const row = Tensor.from([10, 20, 30], "d");
  assert.deepEqual(Array.from(x.add(row).data), [11, 22, 33, 14, 25, 36]);
  const y: Tensor<"d t"> = row.add(x);
  assert.equal(y.axes, "d t");
  assert.deepEqual(Array.from(y.data), [11, 14, 22, 25, 33, 36]);
  assert.deepEqual(Array.from(x.mul(2).sub(1).data), [1, 3, 5, 7, 9, 11]);
  assert.deepEqual(Array.from(x.div(x).data), [1, 1, 1, 1, 1, 1]);
  const z: Tensor<"t d head"> = x.add(Tensor.from([1, 2], "head"));
  assert.deepEqual(z.shape, [2, 3, 2]);
  assert.equal(z.at({ t: 1, d: 2, head: 1 }), 8);
  assert.throws(() => x.add(Tensor.from([1, 2], "d")), /axis "d" is 3 on the left and 2 on the right/);
});

test("tensors of different layers or experts are not combined place by place", () => {
  const a = makeTensor("layer", [2], Float32Array.of(1, 2), { labels: { layer: [3, 7] } });
  const b = makeTensor("layer", [2], Float32Array.of(1, 2));
  assert.throws(() => a.sub(b), /stands for different layers/);
  const rows = makeTensor("t", [2], Float32Array.of(1, 2), { labels: { t: [3, 7] } });
  assert.deepEqual(Array.from(rows.sub(Tensor.from([1, 1], "t")).data), [0, 1]);
});

test("dot and cosine contract the named axis and align the others", () => {
  const [a, b] = [Tensor.from(noise(4 * 6), "t d", [4, 6]), Tensor.from(noise(5 * 6), "vocab d", [5, 6])];
  const c: Tensor<"t vocab"> = a.dot(b, "d");
  assert.deepEqual(c.shape, [4, 5]);
  for (let t = 0; t < 4; t++)
    for (let v = 0; v < 5; v++) {
      let sum = 0;
      for (let d = 0; d < 6; d++) sum += a.data[t * 6 + d] * b.data[v * 6 + d];
      near(c.data[t * 5 + v], sum);
      near(
        a.cosine(b, "d").data[t * 5 + v],
        sum / Math.hypot(...a.data.slice(t * 6, t * 6 + 6)) / Math.hypot(...b.data.slice(v * 6, v * 6 + 6)),
      );
    }
  const self: Tensor<"t"> = a.dot(a, "d");
  near(self.data[2], a.at({ t: 2 }).norm() ** 2);
  const scalar: number = a.at({ t: 0 }).dot(a.at({ t: 1 }), "d");
  near(
    scalar,
    Array.from(a.at({ t: 0 }).data).reduce((s, v, i) => s + v * a.at({ t: 1 }).data[i], 0),
  );
  assert.deepEqual(a.dot(Tensor.from(noise(8), "t head", [4, 2]), "t").shape, [6, 2]);
  assert.equal(Tensor.from([0, 0], "d").cosine(Tensor.from([1, 2], "d"), "d"), 0);
});

test("softmax, sigmoid and silu hold at extremes", () => {
  const t = Tensor.from([1000, 1000, -1000], "d");
  assert.deepEqual(Array.from(t.softmax().data), [0.5, 0.5, 0]);
  assert.deepEqual(Array.from(t.sigmoid().data), [1, 1, 0]);
  assert.equal(Tensor.from([-1000], "d").silu().data[0], -0);
  const columns = x.softmax("t");
  for (let d = 0; d < 3; d++) near(columns.at({ t: 0, d }) + columns.at({ t: 1, d }), 1);
  near(x.log().exp().sub(x).abs().max(), 0);
});

test("topk is the head of a full sort, with labels, on any axis", () => {
  const t = Tensor.from(noise(60), "a b", [6, 10]);
  const { values, indices } = t.topk(4);
  for (let a = 0; a < 6; a++) {
    const row = Array.from(t.at({ a }).data);
    const order = row.map((_, i) => i).sort((p, q) => row[q] - row[p] || p - q);
    assert.deepEqual(Array.from(indices.at({ a }).data), order.slice(0, 4));
    assert.deepEqual(
      Array.from(values.at({ a }).data),
      order.slice(0, 4).map((i) => row[i]),
    );
  }
  assert.deepEqual(t.topk(2, "a").values.shape, [2, 10]);
  assert.deepEqual(Array.from(Tensor.from([1, 1, 1], "d").topk(2).indices.data), [0, 1]);
  assert.throws(() => t.topk(11), /k is 11, but axis "b" has 10 places/);
});

test("rename changes names and shares memory; close compares by scale", () => {
  const q: Tensor<"q d"> = x.rename({ t: "q" });
  assert.equal(q.data, x.data);
  assert.throws(() => x.rename({ t: "d" }), /named twice/);
  assert.throws(() => (x as Tensor<any>).rename({ z: "y" }), /no axis "z"/);
  assert.ok(x.close(x.mul(1 + 1e-7)));
  assert.ok(!x.close(x.add(1e-3)));
  assert.ok(!x.close(Tensor.from([1], "d")));
  assert.ok(Tensor.from([Number.NaN], "d").close(Tensor.from([Number.NaN], "d")));
});

test("what was disposed says so, views too; memory is given back once", () => {
  let released = 0;
  const t = makeTensor("t d", [2, 2], new Float32Array(4), { release: () => released++ });
  const view = t.at({ t: 1 });
  t.dispose();
  t[Symbol.dispose]();
  assert.equal(released, 1);
  for (const touch of [() => t.data, () => view.data, () => t.sum()]) assert.throws(touch, { name: "ReleasedError" });
  assert.match(inspect(t), /disposed/);
});

test("a lazy tensor reads once, and showing a large one reads nothing", () => {
  let reads = 0;
  const lazy = makeTensor("vocab d", [3000, 2000], () => {
    reads++;
    return new Float32Array(6e6);
  });
  assert.match(inspect(lazy), /not read yet/);
  assert.equal(reads, 0);
  assert.equal(lazy.at({ vocab: 1, d: 1 }), 0);
  assert.equal(lazy.sum(), 0);
  assert.equal(reads, 1);
});

test("a tensor shows itself as bounded text and a picture", async () => {
  const large = Tensor.from(noise(300 * 500), "t d", [300, 500]);
  const bundle = await (large as unknown as Record<symbol, () => Promise<Record<string, string>>>)[DISPLAY]();
  assert.deepEqual(Object.keys(bundle).sort(), ["image/png", "text/plain"]);
  assert.ok(Buffer.from(bundle["image/png"], "base64").subarray(1, 4).toString() === "PNG");
  const lines = bundle["text/plain"].split("\n");
  assert.match(lines[0], /Tensor "t d" {2}\[300, 500\] {2}f32, 600 kB/);
  assert.ok(lines.length < 25 && lines.every((line) => line.length < 140));
  assert.match(inspect(Tensor.from([1, Number.NaN, 3], "d")), /1 not finite/);
  assert.match(inspect(Tensor.from([], "d")), /empty/);
});
