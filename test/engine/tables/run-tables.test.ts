import assert from "node:assert/strict";
import { test } from "node:test";
import { inspect } from "node:util";
import type { Captured } from "../../../engine/run/captured.ts";
import { attentionTable } from "../../../engine/tables/attention.ts";
import { attnTemperatureTable } from "../../../engine/tables/attn-temperature.ts";
import { align, flipBlock, flipsTable } from "../../../engine/tables/diff.ts";
import { expertLoad } from "../../../engine/tables/expert-load.ts";
import { nextTable } from "../../../engine/tables/next.ts";
import { routerTable } from "../../../engine/tables/router.ts";
import { routingTable } from "../../../engine/tables/routing.ts";
import { logN, temperatureAt } from "../../../engine/tables/temperature-law.ts";
import { tokensTable } from "../../../engine/tables/tokens.ts";
import { tokensOf, vocabulary } from "../../../engine/tables/tokens-of.ts";
import { synthetic } from "../synthetic.ts";

const near = (a: number, b: number, tolerance = 1e-5) =>
  assert.ok(Math.abs(a - b) <= tolerance * Math.max(1, Math.abs(b)), `${a} is not ${b}`);
const logitsOf = (run: Captured, layer: number, t: number) => {
  const c = run.captures.get(`layers.${layer}.router.logits`)!;
  return Array.from(c.data.subarray(t * run.facts.experts, (t + 1) * run.facts.experts));
};

for (const topk of [1, 2, 3])
  test(`routing, top-${topk}: every derived column agrees with its definition`, () => {
    const run = synthetic({ topk, layers: 5, experts: 7, length: 30, sequences: 2 });
    const table = routingTable(run);
    assert.equal(table.length, 60 * 5 * topk);
    let i = 0;
    for (let t = 0; t < 60; t++)
      for (let layer = 0; layer < 5; layer++) {
        const z = logitsOf(run, layer, t);
        const order = z.map((_, e) => e).sort((a, b) => z[b] - z[a] || a - b);
        const sum = z.reduce((s, v) => s + Math.exp(v), 0);
        const p = z.map((v) => Math.exp(v) / sum);
        const entropy = -p.reduce((s, v) => s + v * Math.log(v), 0);
        for (let slot = 0; slot < topk; slot++, i++) {
          const row = table.at(i);
          assert.deepEqual(
            [row.t, row.layer, row.slot, row.expert, row.runner_up, row.forced],
            [t, layer, slot, order[slot], order[topk], false],
          );
          near(row.logit, z[order[slot]]);
          near(row.score, 1 / (1 + Math.exp(-z[order[slot]])));
          near(row.prob, p[order[slot]]);
          near(row.margin, z[order[topk - 1]] - z[order[topk]]);
          near(row.entropy, entropy);
        }
      }
    assert.match(inspect(table), /routing {2}.* rows {2}· {2}5 layers × 7 experts, top-. {2}· {2}max util/);
  });

test("a forced choice has a negative margin, and its rival is the router's own", () => {
  const run = synthetic({ length: 4, layers: 1, experts: 4 });
  const choice = run.captures.get("layers.0.router.choice")!.data;
  const z = logitsOf(run, 0, 2);
  const worst = z.indexOf(Math.min(...z));
  choice[2] = worst;
  const row = routingTable({ ...run, forced: (t) => t === 2 }).at(2);
  assert.equal(row.expert, worst);
  assert.equal(row.forced, true);
  assert.equal(row.runner_up, z.indexOf(Math.max(...z)));
  near(row.margin, Math.min(...z) - Math.max(...z));
});

test("without logits the choice is still there; what needs them says what to capture", () => {
  const table = routingTable(synthetic({ logits: false }));
  assert.equal(table.column("expert").length, table.length);
  assert.throws(() => table.column("margin"), {
    name: "CaptureError",
    message: /router's logits was not captured.*router\.logits/,
  });
  assert.throws(() => routerTable(synthetic({ logits: false })), { name: "CaptureError" });
  const bare = synthetic();
  assert.throws(() => routingTable({ ...bare, captures: new Map() }), { name: "CaptureError", message: /"routing"/ });
  const dense = {
    ...bare,
    captures: new Map(),
    facts: { ...bare.facts, layers: bare.facts.layers.map((l) => ({ ...l, moe: false })) },
  };
  assert.throws(() => routingTable(dense), /has no mixture-of-experts layer/);
});

test("layers that hold different rows give the rows they hold", () => {
  const run = synthetic({ layers: 3, length: 6, experts: 4 });
  const captures = new Map(run.captures);
  const rows = Int32Array.of(1, 4);
  for (const site of ["router.choice", "router.score", "router.logits"]) {
    const c = captures.get(`layers.1.${site}`)!;
    const width = c.shape[1];
    captures.set(`layers.1.${site}`, {
      ...c,
      rows,
      shape: [2, width],
      data: Float32Array.from([...c.data.subarray(width, 2 * width), ...c.data.subarray(4 * width, 5 * width)]),
    });
  }
  const table = routingTable({ ...run, captures });
  assert.equal(table.length, 6 + 2 + 6);
  assert.deepEqual(Array.from(table.where({ layer: 1 }).column("t")), [1, 4]);
  const whole = routingTable(run);
  for (const row of table) assert.deepEqual(row, whole.where({ t: row.t, layer: row.layer }).at(0));
  assert.equal(routerTable({ ...run, captures }).length, 14 * 4);
});

test("router has a row for every expert", () => {
  const run = synthetic({ layers: 2, experts: 5, length: 8, topk: 2 });
  const table = routerTable(run);
  assert.equal(table.length, 8 * 2 * 5);
  for (const layer of [0, 1]) {
    const part = table.where({ t: 3, layer });
    const z = logitsOf(run, layer, 3);
    assert.deepEqual(Array.from(part.column("logit")), z);
    near(
      part.column("prob").reduce((a, b) => a + b, 0),
      1,
    );
    near(part.at(2).score, 1 / (1 + Math.exp(-z[2])));
    const chosen = part.where({ chosen: true }).column("expert");
    const order = z.map((_, e) => e).sort((a, b) => z[b] - z[a]);
    assert.deepEqual(new Set(chosen), new Set(order.slice(0, 2)));
  }
});

test("expertLoad counts, and by() splits the same counts", () => {
  const run = synthetic({ sequences: 4, length: 20, groups: ["code", "prose"], topk: 2 });
  const load = expertLoad(run);
  const routing = routingTable(run);
  for (const layer of [0, 5])
    for (let expert = 0; expert < 8; expert++) {
      const row = load.where({ layer, expert }).at(0);
      const mine = routing.where({ layer, expert });
      assert.equal(row.count, mine.length);
      near(
        row.score_sum,
        mine.column("score").reduce((a, b) => a + b, 0),
      );
      near(row.util, (mine.length * 8) / (80 * 2));
    }
  const by = load.by("group");
  assert.deepEqual([...new Set(by.column("group"))], ["code", "prose"]);
  for (const row of load) {
    const parts = by.where({ layer: row.layer, expert: row.expert });
    assert.equal(
      parts.column("count").reduce((a, b) => a + b, 0),
      row.count,
    );
  }
  assert.deepEqual([...new Set(by.by("kind").column("group"))], ["bos", "text"]);
  assert.throws(() => expertLoad(synthetic()).by("group"), /no token has a group\. Give m\.batch/);
});

test("expertLoad knows what experts wrote, when that was captured", () => {
  const run = synthetic({ layers: 1, length: 10, experts: 3, d: 4 });
  const load = expertLoad(run);
  const out = run.captures.get("layers.0.expert.out")!.data;
  const routing = routingTable(run);
  for (const row of load) {
    const mine = routing.where({ expert: row.expert });
    const vectors = [...mine].map((r) => Array.from(out.subarray(r.t * 4, r.t * 4 + 4)));
    near(
      row.out_norm_sum,
      vectors.reduce((s, v) => s + Math.hypot(...v), 0),
    );
    near(row.out_max, Math.max(0, ...vectors.flat().map(Math.abs)));
  }
  const captures = new Map([...run.captures].filter(([key]) => !key.includes("expert.out")));
  assert.throws(() => expertLoad({ ...run, captures }).column("out_norm_sum"), { name: "CaptureError" });
});

test("tokens, with null where there is nothing", () => {
  const table = tokensTable(synthetic({ sequences: 2, length: 5, groups: ["x"] }));
  assert.equal(table.length, 10);
  const first = table.at(5);
  assert.deepEqual(
    [first.t, first.seq, first.pos, first.kind, first.phase, first.step, first.rank, first.image, first.group],
    [5, 1, 0, "bos", "prefill", null, null, null, "x"],
  );
  assert.ok(Number.isNaN(first.logprob));
  assert.deepEqual(Array.from(table.where({ pos: -1 }).column("t")), [4, 9]);
  assert.deepEqual(Array.from(table.where({ t: -1 }).column("t")), [9]);
});

test("negative pos counts from the end of each sequence, in every table that has t", () => {
  const run = synthetic({ sequences: 2, length: 6, layers: 2 });
  const seq = Int32Array.from([0, 0, 0, 0, 1, 1, 1, 1, 1, 1, 1, 1]);
  const pos = Int32Array.from([0, 1, 2, 3, 0, 1, 2, 3, 4, 5, 6, 7]);
  const table = tokensTable({ ...run, tokens: { ...run.tokens, seq, pos } });
  assert.deepEqual(Array.from(table.where({ pos: [-1, -2] }).column("t")), [2, 3, 10, 11]);
  assert.deepEqual(Array.from(table.where({ pos: { lt: -3 } }).column("t")), [0, 4, 5, 6, 7, 8]);
});

test("attention: rows by token, layer, head; what a query may see; both entropies", () => {
  const run = synthetic({ length: 200, layers: 4, heads: 3 });
  const table = attentionTable(run);
  assert.equal(table.length, 200 * 4 * 3);
  const row = table.where({ t: 150, layer: 3, head: 2 }).at(0);
  assert.equal(row.kind, "global");
  assert.equal(row.n_visible, 151);
  near(row.scale, temperatureAt(150, 64, 0.1));
  near(row.n_eff, Math.exp(row.entropy));
  const summary = run.captures.get("layers.3.attn.summary")!.data.subarray((150 * 3 + 2) * 7);
  assert.deepEqual(
    [row.entropy, row.entropy_off, row.max, row.argmax, row.sink, row.local, row.distance],
    Array.from(summary.subarray(0, 7)),
  );
  const chunked = table.where({ t: 150, layer: 2, head: 0 }).at(0);
  assert.equal(chunked.kind, "chunked");
  assert.equal(chunked.n_visible, 1 + (150 % 64));
  assert.equal(chunked.scale, 1);
  assert.throws(() => attentionTable(synthetic({ attention: false })), {
    name: "CaptureError",
    message: /"attention"/,
  });
});

test("the temperature law at its known values", () => {
  for (const [pos, value] of [
    [8190, 1],
    [8191, 1.0693147],
    [131071, 1.2833213],
    [1048575, 1.4859812],
    [9999999, 1.7107425],
  ])
    near(temperatureAt(pos, 8192, 0.1), value, 1e-5);
  near(logN(1048575, 8192), 1.5384615);
  assert.equal(logN(100, 8192), 1);
  const table = attnTemperatureTable(synthetic({ length: 130, sequences: 2 }));
  assert.equal(table.length, 130);
  assert.deepEqual(Array.from(table.where({ pos: [62, 63, 127] }).column("stair")), [0, 1, 2]);
  near(table.where({ pos: 127 }).at(0).scale, 1 + 0.1 * Math.log(3));
  assert.equal(
    attnTemperatureTable(synthetic({ length: 130, temperatureTuning: false }))
      .column("scale")
      .every((v) => v === 1),
    true,
  );
  const run = synthetic({ length: 3, layers: 4 });
  const captures = new Map(run.captures).set("layers.3.attn.temperature", {
    site: "attn.temperature",
    layer: 3,
    axes: "t",
    shape: [3],
    data: Float32Array.of(1, 9, 9),
    rows: Int32Array.of(0, 1, 2),
    heads: null,
  });
  assert.deepEqual(Array.from(attnTemperatureTable({ ...run, captures }).column("scale")), [1, 9, 9]);
});

test("next is the softmax of the last row, sorted", () => {
  const run = synthetic({ sequences: 2 });
  const table = nextTable(run, 1);
  const z = Array.from(run.last.subarray(40));
  assert.equal(table.at(0).id, z.indexOf(Math.max(...z)));
  assert.equal(table.length, 40);
  near(
    table.column("prob").reduce((a, b) => a + b, 0),
    1,
  );
  assert.deepEqual(
    Array.from(table.column("logit")),
    z.toSorted((a, b) => b - a),
  );
  assert.throws(() => nextTable(run, 2), /no sequence 2; the run has 2/);
});

test("tokensOf and vocabulary agree with the routing table", () => {
  const run = synthetic({ length: 60 });
  const mine = routingTable(run).where({ layer: 4, expert: 3 });
  const found = tokensOf(run, { layer: 4, expert: 3 });
  assert.deepEqual(Array.from(found.column("t")), Array.from(mine.column("t")));
  assert.ok([...found].every((r) => r.context.includes(`⟦${r.text}⟧`)));
  const words = vocabulary(run, { layer: 4, expert: 3 });
  assert.equal(
    words.column("count").reduce((a, b) => a + b, 0),
    mine.length,
  );
  const top = words.at(0);
  const all = tokensTable(run).where({ id: top.id }).length;
  near(top.share, top.count / all);
  assert.throws(() => tokensOf(run, { layer: 4, expert: 8 }), /there is no expert 8; layer 4 has 0 … 7/);
  assert.throws(() => vocabulary(run, { layer: 99, expert: 0 }), /layer 99 has no captured routing/);
});

test("flips are the decisions that differ", () => {
  const [a, b] = [synthetic({ seed: 1 }), synthetic({ seed: 2 })];
  const rows = align(a, b);
  const flips = flipsTable(a, b, rows);
  const [ra, rb] = [routingTable(a), routingTable(b)];
  const expected = [...ra].map((r, i) => [r, rb.at(i)] as const).filter(([x, y]) => x.expert !== y.expert);
  assert.equal(flips.length, expected.length);
  assert.ok(flips.length > 50);
  flips.toArray().forEach((flip, i) => {
    const [x, y] = expected[i];
    assert.deepEqual(
      [flip.t_a, flip.layer, flip.expert_a, flip.expert_b, flip.margin_a],
      [x.t, x.layer, x.expert, y.expert, x.margin],
    );
  });
  assert.equal(flipsTable(a, a, align(a, a)).length, 0);
  assert.equal(flipBlock(a, b, rows).flipped.length, ra.length);
});

test("alignment by text survives insertions", () => {
  const a = synthetic({ length: 20 });
  const ids = [...a.tokens.ids];
  ids.splice(5, 0, 39, 38);
  ids.splice(15, 1);
  const n = ids.length;
  const b = {
    ...a,
    tokens: {
      ...a.tokens,
      length: n,
      ids: Int32Array.from(ids),
      seq: new Int32Array(n),
      pos: Int32Array.from({ length: n }, (_, i) => i),
    },
  };
  const rows = align(a, b, "text");
  assert.equal(rows.a.length, 19);
  for (let i = 0; i < rows.a.length; i++) assert.equal(a.tokens.ids[rows.a[i]], ids[rows.b[i]]);
  assert.throws(() => align(a, b, "words" as "text"), /align is "pos" or "text"/);
});

test("a disposed run's memory is not read as zeros or NaN", () => {
  const run = synthetic({ length: 10 });
  const [routing, tokens, attention] = [routingTable(run), tokensTable(run), attentionTable(run)];
  assert.equal(routing.column("expert").length, 80);
  // What the engine does on release: it detaches the buffers.
  for (const c of run.captures.values()) structuredClone(c.data, { transfer: [c.data.buffer as ArrayBuffer] });
  structuredClone(run.tokens.logprob, { transfer: [run.tokens.logprob.buffer as ArrayBuffer] });
  structuredClone(run.last, { transfer: [run.last.buffer as ArrayBuffer] });
  for (const touch of [
    () => routing.column("margin"),
    () => routing.at(3),
    () => tokens.at(1),
    () => attention.column("entropy"),
    () => attention.at(0),
    () => routingTable({ ...run }),
    () => nextTable(run),
  ])
    assert.throws(touch, { name: "ReleasedError", message: /the run behind this was disposed/ });
  assert.match(inspect(routing), /disposed/);
});
