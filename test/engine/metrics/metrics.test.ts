import assert from "node:assert/strict";
import { test } from "node:test";
import { inspect } from "node:util";
import { balancedness } from "../../../engine/metrics/balancedness.ts";
import { wilson } from "../../../engine/metrics/chance.ts";
import { cv } from "../../../engine/metrics/cv.ts";
import { chanceOfNone, unused } from "../../../engine/metrics/dead.ts";
import { effectiveExperts } from "../../../engine/metrics/effective-experts.ts";
import { gini } from "../../../engine/metrics/gini.ts";
import { loadEntropy } from "../../../engine/metrics/load-entropy.ts";
import { margin } from "../../../engine/metrics/margin.ts";
import { maxVio } from "../../../engine/metrics/max-vio.ts";
import { mutualInformation } from "../../../engine/metrics/mutual-information.ts";
import { routingEntropy } from "../../../engine/metrics/routing-entropy.ts";
import { runMetrics } from "../../../engine/metrics/run-metrics.ts";
import { util } from "../../../engine/metrics/util.ts";
import { random } from "../../../engine/tables/random.ts";
import { routingTable } from "../../../engine/tables/routing.ts";
import { synthetic } from "../synthetic.ts";

const next = random(11);
const near = (a: number, b: number, tolerance = 1e-9) =>
  assert.ok(Math.abs(a - b) <= tolerance * Math.max(1, Math.abs(b)), `${a} is not ${b}`);
const counts = (n: number) => Float64Array.from({ length: n }, () => Math.floor(next() * 50));
const shuffled = (x: Float64Array) =>
  Float64Array.from(
    Array.from(x, (v) => [next(), v]).sort((a, b) => a[0] - b[0]),
    (p) => p[1],
  );

/** value when even over E, value when one expert gets all, the definition by brute force */
const measures: [
  string,
  (c: Float64Array) => number,
  (E: number) => number,
  (E: number) => number,
  (c: Float64Array) => number,
][] = [
  ["maxVio", maxVio, () => 0, (E) => E - 1, (c) => Math.max(...c) / (sum(c) / c.length) - 1],
  [
    "effectiveExperts",
    effectiveExperts,
    (E) => E,
    () => 1,
    (c) => Math.exp(-sum(c.map((v) => (v === 0 ? 0 : (v / sum(c)) * Math.log(v / sum(c)))))),
  ],
  [
    "loadEntropy",
    loadEntropy,
    () => 1,
    () => 0,
    (c) => -sum(c.map((v) => (v === 0 ? 0 : (v / sum(c)) * Math.log(v / sum(c))))) / Math.log(c.length),
  ],
  ["balancedness", balancedness, () => 1, (E) => 1 / E, (c) => sum(c) / c.length / Math.max(...c)],
  [
    "cv",
    cv,
    () => 0,
    (E) => Math.sqrt(E - 1),
    (c) => Math.sqrt(sum(c.map((v) => (v - sum(c) / c.length) ** 2)) / c.length) / (sum(c) / c.length),
  ],
  ["gini", gini, () => 0, (E) => (E - 1) / E, pairwiseGini],
];
function sum(x: Float64Array): number {
  return x.reduce((a, b) => a + b, 0);
}
function pairwiseGini(c: Float64Array): number {
  let d = 0;
  for (const a of c) for (const b of c) d += Math.abs(a - b);
  return d / (2 * c.length * sum(c));
}

for (const [name, of, even, all, brute] of measures)
  test(`${name}: definition, permutation, scale, even load, one expert, nothing`, () => {
    for (const E of [2, 8, 16, 128]) {
      near(of(new Float64Array(E).fill(7)), even(E));
      const one = new Float64Array(E);
      one[E - 1] = 13;
      near(of(one), all(E));
      for (let i = 0; i < 20; i++) {
        const c = counts(E);
        c[0]++;
        near(of(c), brute(c));
        near(of(shuffled(c)), of(c));
        near(of(c.map((v) => 3 * v)), of(c));
      }
    }
    assert.ok(Number.isNaN(of(new Float64Array(4))));
  });

test("util has mean 1", () => {
  const c = counts(9);
  c[0]++;
  near(
    util(c).reduce((a, b) => a + b, 0),
    9,
  );
  near(util(c)[3], (9 * c[3]) / sum(c));
});

test("an unused expert is dead only where tokens were expected of it", () => {
  assert.deepEqual(unused(Float64Array.of(100, 0, 60), 160, 1), [{ expert: 1, verdict: "dead" }]);
  assert.deepEqual(unused(Float64Array.of(10, 0), 10, 1), [{ expert: 1, verdict: "cold" }]);
  near(chanceOfNone(3, 1, 4), 0.75 ** 3);
});

test("mutual information: independent, identical, and against entropies", () => {
  near(mutualInformation([4, 8, 2, 4], 2, 2), 0);
  near(mutualInformation([5, 0, 0, 5], 2, 2), Math.log(2));
  assert.ok(Number.isNaN(mutualInformation([0, 0], 1, 2)));
  for (let i = 0; i < 30; i++) {
    const joint = counts(12);
    joint[0]++;
    const n = sum(joint);
    const [g, e] = [new Float64Array(3), new Float64Array(4)];
    joint.forEach((v, j) => {
      g[Math.floor(j / 4)] += v;
      e[j % 4] += v;
    });
    const h = (x: Float64Array) => -sum(x.map((v) => (v === 0 ? 0 : (v / n) * Math.log(v / n))));
    near(mutualInformation(joint, 3, 4), h(g) + h(e) - h(joint), 1e-9);
  }
});

test("routing entropy and margin by definition", () => {
  const logits = Float32Array.of(1, 1, 1, 1, 0, 30, 0, 0, 3, 1, 2, 0);
  const h = routingEntropy(logits, 4);
  near(h[0], Math.log(4), 1e-6);
  assert.ok(h[1] < 1e-10);
  assert.deepEqual(Array.from(margin(logits, 4, 1)), [0, 30, 1]);
  assert.deepEqual(Array.from(margin(logits, 4, 2)), [0, 0, 1]);
  assert.ok(Number.isNaN(margin(logits, 4, 4)[0]));
});

test("Wilson's interval holds the share about 95 times in a hundred", () => {
  let held = 0;
  for (let i = 0; i < 2000; i++) {
    let hits = 0;
    for (let j = 0; j < 40; j++) if (next() < 0.2) hits++;
    const [low, high] = wilson(hits, 40);
    if (low <= 0.2 && 0.2 <= high) held++;
  }
  assert.ok(held > 1860 && held < 1960, `${held} of 2000`);
});

test("r.metrics: values by layer, chance beside them, a warning for few tokens", () => {
  const run = synthetic({ length: 400, pull: 2 });
  const m = runMetrics(run);
  const vio = m.maxVio();
  const routing = routingTable(run);
  const byLayer = Array.from({ length: 8 }, (_, layer) => {
    const c = new Float64Array(8);
    for (const e of routing.where({ layer }).column("expert")) c[e]++;
    return maxVio(c);
  });
  near(vio.value, byLayer.reduce((a, b) => a + b, 0) / 8, 1e-6);
  vio.table.toArray().forEach((row, i) => {
    near(row.value, byLayer[i], 1e-6);
  });
  assert.ok(vio.interval[0] < vio.value && vio.value < vio.interval[1]);
  assert.ok(vio.baseline.shuffled > 0 && vio.baseline.shuffled < 0.6 && vio.baseline.uniform === 0);
  assert.ok(vio.value > 2 * vio.baseline.shuffled, "a router pulled to one expert is above chance");
  assert.equal(vio.warning, null);
  assert.match(inspect(vio), /^maxVio .*mean over 8 layers[\s\S]*95 % interval[\s\S]*2408\.15664/);
  assert.match(runMetrics(synthetic({ length: 20 })).maxVio().warning!, /fair share is 2\.5 tokens/);
  assert.equal(m.maxVio({ layer: "global" }).table.length, 2);
  assert.ok(m.util().value >= 1 && m.util().table.length === 64);
  near(m.margin({ layer: 3 }).table.at(0).median, median(routing.where({ layer: 3 }).column("margin")), 1e-6);
  near(m.routingEntropy().baseline.uniform, Math.log(8));
  for (const name of ["effectiveExperts", "loadEntropy", "balancedness", "cv", "gini"] as const)
    assert.ok(Number.isFinite(m[name]().value));
  assert.throws(() => m.maxVio({ layer: 99 }), /there is no layer 99/);
});

function median(x: Iterable<number>): number {
  const s = Array.from(x).sort((a, b) => a - b);
  return (s[Math.floor((s.length - 1) / 2)] + s[Math.ceil((s.length - 1) / 2)]) / 2;
}

test("dead: what chance would leave out stands beside what was left out", () => {
  const run = synthetic({ length: 300, layers: 2, experts: 4 });
  for (const layer of [0, 1]) {
    const choice = run.captures.get(`layers.${layer}.router.choice`)!.data;
    choice.forEach((e, i) => {
      choice[i] = e === 1 ? 0 : e;
    });
  }
  const dead = runMetrics(run).dead();
  assert.equal(dead.value, 2);
  assert.deepEqual(
    dead.table.toArray().map((r) => [r.layer, r.expert, r.verdict]),
    [
      [0, 1, "dead"],
      [1, 1, "dead"],
    ],
  );
  assert.ok(dead.baseline.shuffled < 1e-9);
  assert.equal(runMetrics(synthetic({ length: 12, layers: 1, experts: 8 })).dead().value, 0);
});

test("mutual information finds a planted label and not a random one", () => {
  const planted = synthetic({ sequences: 40, length: 20, groups: ["a", "b"], layers: 2, experts: 4 });
  const random40 = runMetrics(planted).mutualInformation({ by: "group", shuffles: 300 });
  assert.match(random40.formula, /shuffled by sequence/);
  assert.ok(
    random40.table.toArray().filter((r) => r.value > r.shuffled_p999).length === 0,
    "labels without meaning are not found",
  );
  const choice = planted.captures.get("layers.1.router.choice")!.data;
  choice.forEach((_, t) => {
    if (next() < 0.5) choice[t] = planted.tokens.seq[t] % 2;
  });
  const found = runMetrics({ ...planted }).mutualInformation({ by: "group", shuffles: 300 });
  const row = found.table.toArray().find((r) => r.layer === 1)!;
  assert.ok(row.value > row.shuffled_p999 && row.above === 1);
  const lift = runMetrics({ ...planted }).lift({ by: "group", layer: 1 });
  assert.ok(lift.value > 0.5 && lift.interval[0] > 0);
  for (const r of lift.table) if (r.count > 0) assert.ok(r.low <= r.lift && r.lift <= r.high);
  const few = runMetrics(synthetic({ sequences: 4, length: 30, groups: ["a", "b"] })).mutualInformation({
    by: "group",
    shuffles: 100,
  });
  assert.match(few.formula, /shuffled by token/);
  assert.match(few.warning!, /as if tokens of one text were independent/);
  assert.throws(
    () => runMetrics(synthetic({ groups: ["a"] })).mutualInformation({ by: "group" }),
    /every token has the same group/,
  );
  assert.deepEqual(
    found.table.toArray(),
    runMetrics({ ...planted })
      .mutualInformation({ by: "group", shuffles: 300 })
      .table.toArray(),
    "the same seed gives the same percentiles",
  );
});
