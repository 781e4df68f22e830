import assert from "node:assert/strict";
import { test } from "node:test";
import { attn } from "../../../engine/edits/attn.ts";
import { compileEdits, forcedBy } from "../../../engine/edits/compile.ts";
import { Edit } from "../../../engine/edits/edit.ts";
import { route } from "../../../engine/edits/route.ts";
import { type PromptRows, pairs, ranges, rowFilter } from "../../../engine/edits/rows.ts";
import { Run } from "../../../engine/run/run.ts";
import { at } from "../../../engine/sites/at.ts";
import { Tensor } from "../../../engine/tensors/tensor.ts";
import { fault } from "../fault.ts";
import { synthetic } from "../synthetic.ts";

const run = synthetic({ layers: 4, experts: 4, sequences: 2, length: 6 });
const facts = { ...run.facts, layers: run.facts.layers.map((l) => (l.index === 0 ? { ...l, moe: false } : l)) };
const one: PromptRows = prompt([[10, 11, 12, 10, 13]]);
const two: PromptRows = prompt([
  [10, 11, 12],
  [10, 13, 14, 15, 12],
]);

function prompt(seqs: number[][]): PromptRows {
  const ids = Int32Array.from(seqs.flat());
  return {
    ids,
    seq: Int32Array.from(seqs.flatMap((s, i) => s.map(() => i))),
    pos: Int32Array.from(seqs.flatMap((s) => s.map((_, p) => p))),
    lengths: seqs.map((s) => s.length),
    text: (t) => `w${ids[t]}`,
    idsOf: (text) => (/^w\d+$/.test(text) ? [Number(text.slice(1))] : []),
    texts: () => ["w10", "w11"],
  };
}
const compile = (e: Edit, p = one) => compileEdits([e], facts, p);
const list = (a: ArrayLike<number> | null | undefined) => a && Array.from(a);

test("an edit prints as a sentence and survives JSON", () => {
  const edits: [Edit, RegExp][] = [
    [route.ban(3, { layer: 2 }), /layer 2: expert 3 is banned, the next best/],
    [route.ban([1, 2]), /all layers: experts 1, 2 are banned/],
    [
      route.force(1, { layer: "global", pos: { gte: 4 } }),
      /global layers, pos \{gte=4\}: expert 1 is forced, scored by its own logit/,
    ],
    [route.force(1, { score: "original" }), /with the score of the expert that it replaces/],
    [route.force(1, { score: 0.5 }), /with the score 0.5/],
    [route.bias(0, -2.5, { text: " Paris" }), /tokens " Paris": −2.5 on the logit of expert 0/],
    [attn.temperature("off"), /temperature off/],
    [attn.temperature({ floor: 4, scale: 0.2 }, { layer: [3] }), /layers \{3\}: attention temperature 1 \+ 0.2·ln/],
    [attn.temperature({ scale: 0.2 }), /1 \+ 0.2·ln\(⌊\(pos \+ 1\) \/ floor_scale⌋/],
    [at.layer(2).shared.out.zero(), /layer 2: shared.out is zero/],
    [at.layers("*").resid.post.scale(0.5, { step: 0 }), /step 0: resid.post times 0.5/],
    [at.layer(1).resid.mid.add(Tensor.from([1, 2], "d"), 3), /3 times a vector is added to resid.mid/],
  ];
  for (const [e, sentence] of edits) {
    assert.match(String(e), sentence);
    const again = Edit.fromJSON(JSON.parse(JSON.stringify(e)));
    assert.deepEqual([again.op, again.filter, String(again)], [e.op, e.filter, String(e)]);
    assert.ok(Object.isFrozen(e) && Object.isFrozen(e.filter));
  }
});

test("a law that leaves something out still does after JSON; an edit of no known kind is refused", async () => {
  const again = Edit.fromJSON(JSON.parse(JSON.stringify(attn.temperature({ scale: 0.5 }))));
  const [law] = compile(again);
  assert.ok(law.op === "attn.temperature" && law.floor === facts.floorScale && law.scale === 0.5);
  await fault(() => Edit.fromJSON({ op: "route.teleport" }), "argument", "route.teleport");
});

test("a filter by something unknown is refused with what there is", async () => {
  await fault(() => route.ban(1, { layers: 3 } as never), "argument", '"layers"', '"layer"');
  await fault(() => route.ban(1, { head: 3 } as never), "argument", "head means nothing here");
  await fault(() => at.layer(1).resid.post.zero({ head: 0 }), "argument", "head");
  assert.ok(at.layer(1).attn.z.zero({ head: 0 }));
});

test("amounts that are no amounts are refused", async () => {
  await fault(() => route.ban([]), "argument", "no expert");
  await fault(() => route.ban(-1), "argument", "-1");
  await fault(() => route.force(1, { score: "mine" as never }), "argument", '"mine"');
  await fault(() => route.bias(1, Number.POSITIVE_INFINITY), "argument", "Infinity");
  await fault(() => attn.temperature("on" as never), "argument", '"on"');
  await fault(() => attn.temperature({ floor: 0 }), "argument", "floor 0");
  await fault(() => at.layer(1).resid.post.scale(Number.NaN), "argument", "NaN");
  await fault(() => at.layer(1).resid.post.patch(Promise.resolve() as never), "argument", "await");
});

test("routing edits compile to tables; groups are narrowed to MoE layers, named layers must be MoE", async () => {
  const [ban] = compile(route.ban([3, 1]));
  assert.deepEqual(
    [ban.op, [...ban.layers], ban.op === "route.ban" && [...ban.experts]],
    ["route.ban", [0, 1, 1, 1], [3, 1]],
  );
  const [force] = compile(route.force(2, { layer: [1, 3], score: 0.25 }));
  assert.ok(force.op === "route.force" && force.score === "constant" && force.value === 0.25);
  assert.deepEqual([...force.layers], [0, 1, 0, 1]);
  await fault(() => compile(route.ban(1, { layer: 0 })), "site", "layer 0 is dense", "1, 2, 3");
  await fault(() => compile(route.ban(4)), "site", "no expert 4", "0 to 3");
  await fault(() => compile(route.ban([0, 1, 2, 3])), "argument", "4 of 4");
  await fault(() => compile(route.ban(1, { layer: 7 })), "site", "no layer 7");
});

test("the temperature is changed where there is one; what a law leaves out stays as in the model", async () => {
  const [off] = compile(attn.temperature("off"));
  assert.deepEqual([...off.layers], [0, 0, 0, 1]);
  const [law] = compile(attn.temperature({ scale: 0.5 }));
  assert.ok(law.op === "attn.temperature" && law.floor === facts.floorScale && law.scale === 0.5);
  await fault(() => compile(attn.temperature("off", { layer: 1 })), "site", "layer 1 has RoPE", "3");
});

test("rows: ranges, places from the end, ids and texts", async () => {
  const rows = (f: Parameters<typeof rowFilter>[0], p = one) =>
    Object.fromEntries(Object.entries(rowFilter(f, p, "x")).map(([k, v]) => [k, list(v)]));
  assert.deepEqual(rows({}), {});
  assert.deepEqual(rows({ pos: 2 }), { pos: [2, 3] });
  assert.deepEqual(rows({ pos: -1, t: [0, 1, 4] }), { pos: [4, 5], t: [0, 2, 4, 5] });
  assert.deepEqual(rows({ step: { gte: 3 } }), { step: [3, 0x7fffffff] });
  assert.deepEqual(rows({ pos: { gt: 0, lte: 3, ne: 2 } }), { pos: [1, 2, 3, 4] });
  assert.deepEqual(rows({ text: ["w12", "w10"] }), { ids: [10, 11, 12, 13] });
  assert.deepEqual(rows({ id: [10, 12], text: "w12" }), { ids: [12, 13] });
  // Sequences of different length: the last place of each, as rows.
  assert.deepEqual(rows({ pos: -1 }, two), { t: [2, 3, 7, 8] });
  await fault(() => rows({ text: "Paris" }), "argument", '"Paris"', "r.tokens");
  await fault(() => rows({ step: -1 }), "argument", "step -1 is negative");
});

test("pairs and ranges by brute force", () => {
  const inside = (r: Int32Array | undefined, v: number) =>
    !r || Array.from({ length: r.length / 2 }, (_, i) => v >= r[2 * i] && v < r[2 * i + 1]).some(Boolean);
  for (let mask = 0; mask < 256; mask++) {
    const set = [...Array(8).keys()].filter((i) => mask & (1 << i));
    const r = pairs(set);
    for (let v = 0; v < 9; v++) assert.equal(inside(r, v) && r.length > 0, set.includes(v));
  }
  for (const lt of [undefined, 0, 3, 6])
    for (const gte of [undefined, 2, 5])
      for (const ne of [undefined, 0, 3, 5]) {
        const m = Object.fromEntries(Object.entries({ lt, gte, ne }).filter(([, v]) => v !== undefined));
        if (Object.keys(m).length === 0) continue;
        const r = ranges(m, "pos", "x", 7);
        for (let v = 0; v < 8; v++)
          assert.equal(
            r!.length > 0 && inside(r, v),
            (lt === undefined || v < lt) && (gte === undefined || v >= gte) && v !== ne,
            JSON.stringify({ m, v }),
          );
      }
});

test("a patch takes the rows of the same place from the source, and says what the source lacks", async () => {
  const source = new Run(run);
  const choice = run.captures.get("layers.1.router.choice")!;
  assert.ok(choice);
  await fault(() => compile(at.layer(1).resid.mid.patch(source)), "capture", "layers.1.resid.mid", "capture");
  const values = Float32Array.from({ length: 12 * facts.d }, (_, i) => i);
  const captured = {
    ...run,
    captures: new Map([
      [
        "layers.1.resid.post",
        {
          site: "resid.post",
          layer: 1,
          axes: "t d",
          shape: [12, facts.d],
          data: values,
          rows: Int32Array.from({ length: 12 }, (_, i) => i),
          heads: null,
        },
      ],
    ]),
  };
  const [edit] = compile(at.layer(1).resid.post.patch(new Run(captured), { pos: [1, 2] }), two);
  assert.ok(edit.op === "site.patch");
  assert.deepEqual(
    [list(edit.patchRows), list(edit.values)?.slice(0, 1), list(edit.values)?.slice(2 * facts.d, 2 * facts.d + 1)],
    [[1, 2, 4, 5], [facts.d], [7 * facts.d]],
  );
  await fault(() => compile(at.layer(1).resid.post.patch(new Run(captured), { pos: 9 }), one), "argument", "no row");
});

test("a replay holds what the other run chose, by row, layer and slot", async () => {
  const [edit] = compile(route.replay(new Run(run), { layer: [1, 3] }));
  assert.ok(edit.op === "route.replay");
  assert.equal(edit.rowsRecorded, 12);
  const at1 = run.captures.get("layers.1.router.choice")!;
  assert.equal(edit.choice[(5 * 4 + 1) * 1], at1.data[5]);
  assert.equal(edit.choice[(5 * 4 + 2) * 1], -1);
  const other = { ...run, facts: { ...run.facts, experts: 9 } };
  await fault(() => compile(route.replay(new Run(other))), "argument", "other layers or experts");
  const bare = { ...run, captures: new Map() };
  await fault(() => compile(route.replay(new Run(bare))), "capture", "router.choice");
  await fault(
    () => compile(Edit.fromJSON(JSON.parse(JSON.stringify(route.replay(new Run(run)))))),
    "argument",
    "read from a trace",
  );
});

test("a steering vector must be as wide as the site; one head's goes to all heads", async () => {
  await fault(
    () => compile(at.layer(1).resid.post.add(Tensor.from([1, 2, 3], "d"))),
    "argument",
    "3 numbers",
    String(facts.d),
  );
  const head = Tensor.from(
    Float32Array.from({ length: facts.headDim }, (_, i) => i),
    "dh",
  );
  const [edit] = compile(at.layer(1).attn.z.add(head, 2, { head: 1 }));
  assert.ok(edit.op === "site.add" && edit.values?.length === facts.heads * facts.headDim);
  assert.deepEqual(list(edit.heads), [1]);
});

test("which decisions an edit may have changed", () => {
  const steps = Int32Array.from([-1, -1, -1, 0, 1]);
  const forced = forcedBy([route.ban(1, { layer: 2, pos: { gte: 2 } }), attn.temperature("off")], facts, one, steps);
  assert.deepEqual([forced(1, 2), forced(2, 2), forced(4, 2), forced(2, 1)], [false, true, true, false]);
  const late = forcedBy([route.force(1, { step: 1 })], facts, one, steps);
  assert.deepEqual([late(3, 1), late(4, 1)], [false, true]);
});
