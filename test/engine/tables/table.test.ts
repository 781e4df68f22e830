import assert from "node:assert/strict";
import { test } from "node:test";
import { inspect } from "node:util";
import { CaptureError } from "../../../engine/errors.ts";
import { DISPLAY } from "../../../engine/host.ts";
import { booleans, coded, grid, numbers, strings } from "../../../engine/tables/column.ts";
import { random } from "../../../engine/tables/random.ts";
import { Table } from "../../../engine/tables/table.ts";

interface Row {
  t: number;
  layer: number;
  x: number;
  word: string | null;
  step: number | null;
  on: boolean;
}

const N = 500;
const next = random(3);
const WORDS = [" Paris", "a,b", 'say "hi"', null, "<b>", "日本"];
const rows: Row[] = Array.from({ length: N }, (_, i) => ({
  t: Math.floor(i / 4),
  layer: [0, 1, 3, 7][i % 4],
  x: Math.fround(next() - 0.5),
  word: WORDS[Math.floor(next() * WORDS.length)],
  step: i < 100 ? null : i,
  on: next() < 0.3,
}));
const table = new Table<Row>(
  {
    t: numbers(Int32Array.from(rows, (r) => r.t)),
    layer: grid([0, 1, 3, 7], 1, N),
    x: numbers(Float32Array.from(rows, (r) => r.x)),
    word: strings(rows.map((r) => r.word)),
    step: numbers(
      Int32Array.from(rows, (r) => r.step ?? -1),
      N,
      -1,
    ),
    on: booleans(Uint8Array.from(rows, (r) => Number(r.on))),
  },
  {
    name: "things",
    context: {
      rows: 125,
      layers: Array.from({ length: 8 }, (_, index) => ({
        index,
        kind: index % 4 === 3 ? "global" : "chunked",
        rope: index % 4 !== 3,
        moe: index % 2 === 1,
      })),
    },
  },
);

test("rows, columns and iteration tell the same", () => {
  assert.deepEqual(table.toArray(), rows);
  assert.deepEqual([...table], rows);
  assert.deepEqual(table.at(17), rows[17]);
  assert.deepEqual(table.at(-1), rows.at(-1));
  assert.deepEqual(
    Array.from(table.column("layer")),
    rows.map((r) => r.layer),
  );
  assert.deepEqual(
    table.column("word"),
    rows.map((r) => r.word),
  );
  const sum: number = table.column("x").reduce((a, b) => a + b, 0);
  assert.ok(Number.isFinite(sum));
  assert.throws(() => table.at(N), /things.at: there is no row 500; the table has 500 rows/);
  assert.throws(() => table.column("wrod" as "word"), /there is no column "wrod", did you mean "word"/);
});

test("where agrees with a filter of rows", () => {
  const same = (found: Table<Row>, keep: (r: Row) => boolean) => assert.deepEqual(found.toArray(), rows.filter(keep));
  same(table.where({ layer: 3 }), (r) => r.layer === 3);
  same(table.where({ layer: [1, 7] }), (r) => r.layer === 1 || r.layer === 7);
  same(table.where({ layer: "global" }), (r) => r.layer === 3 || r.layer === 7);
  same(table.where({ layer: "chunked" }), (r) => r.layer < 3);
  same(table.where({ layer: "moe" }), (r) => r.layer % 2 === 1);
  same(table.where({ layer: "dense" }), (r) => r.layer % 2 === 0);
  same(table.where({ layer: "*" }), () => true);
  same(table.where({ x: { lt: 0.1 } }), (r) => r.x < 0.1);
  same(table.where({ x: { gte: 0, lte: 0.25 } }), (r) => r.x >= 0 && r.x <= 0.25);
  same(table.where({ x: { gt: rows[3].x }, on: true }), (r) => r.x > rows[3].x && r.on);
  same(table.where({ t: -1 }), (r) => r.t === 124);
  same(table.where({ t: { gte: -2 } }), (r) => r.t >= 123);
  same(table.where({ word: " Paris" }), (r) => r.word === " Paris");
  same(
    table.where({ word: ["a,b", "日本"], layer: { ne: 0 } }),
    (r) => ["a,b", "日本"].includes(r.word!) && r.layer !== 0,
  );
  same(table.where({ step: { lt: 150 } }), (r) => r.step !== null && r.step < 150);
  same(table.where({ on: false }).where({ layer: 0 }), (r) => !r.on && r.layer === 0);
  same(table.where({}), () => true);
});

test("a selector that means nothing is refused with the reason", () => {
  assert.throws(
    () => table.where({ layer: "gobal" as "global" }),
    /"gobal" is not a kind of layer, did you mean "global"/,
  );
  assert.throws(
    () => table.where({ x: { less: 1 } as never }),
    /x takes a number, a list of them, or \{ lt, lte, gt, gte, ne \}/,
  );
  assert.throws(() => table.where({ x: "1" as never }), /x takes a number/);
  assert.throws(() => table.where({ word: 3 as never }), /word takes a string/);
  assert.throws(() => table.where({ on: 1 as never }), /on takes true or false/);
  assert.throws(() => table.where({ nope: 1 } as never), /there is no column "nope"/);
});

test("infinities and NaN: bounds that were not given refuse nothing but NaN", () => {
  const odd = new Table<{ x: number }>(
    { x: numbers(Float32Array.of(Infinity, -Infinity, Number.NaN, 1)) },
    { name: "odd" },
  );
  assert.deepEqual(odd.where({ x: { gt: 0 } }).toArray(), [{ x: Infinity }, { x: 1 }]);
  assert.deepEqual(odd.where({ x: { lt: 2 } }).toArray(), [{ x: -Infinity }, { x: 1 }]);
  assert.equal(odd.where({ x: { ne: 1 } }).length, 2);
});

test("sort is stable and puts nothing-values last", () => {
  const sorted = table.sort("layer", "desc").toArray();
  assert.deepEqual(
    sorted,
    rows.toSorted((a, b) => b.layer - a.layer),
  );
  const steps = table.sort("step", "desc").toArray();
  assert.equal(steps[0].step, N - 1);
  assert.equal(steps.at(-1)!.step, null);
  assert.equal(table.sort("step").at(-1).step, null);
  const words = table
    .sort("word")
    .column("word")
    .filter((w) => w !== null);
  assert.deepEqual(words, words.toSorted());
});

test("slice, head, select and sample", () => {
  assert.deepEqual(table.slice(-3).toArray(), rows.slice(-3));
  assert.deepEqual(table.slice(5, 9).toArray(), rows.slice(5, 9));
  assert.deepEqual(table.slice(9, 5).length, 0);
  assert.equal(table.head().length, 10);
  assert.deepEqual(table.select("x", "t").head(1).toArray(), [{ x: rows[0].x, t: 0 }]);
  const some = table.sample(50, { seed: 2 });
  assert.equal(some.length, 50);
  assert.deepEqual(some.toArray(), table.sample(50, { seed: 2 }).toArray());
  assert.notDeepEqual(some.toArray(), table.sample(50, { seed: 3 }).toArray());
  assert.equal(table.sample(9999).length, N);
  const seen = new Float64Array(20);
  for (let seed = 0; seed < 2000; seed++)
    for (const r of new Table<{ i: number }>(
      { i: numbers(Int32Array.from({ length: 20 }, (_, i) => i)) },
      { name: "i" },
    ).sample(5, { seed }))
      seen[r.i]++;
  assert.ok(
    seen.every((n) => Math.abs(n - 500) < 110),
    `every row is as likely: ${seen}`,
  );
});

test("columns are made when first touched, once", () => {
  let made = 0;
  const lazy = new Table<{ a: number; b: number }>(
    {
      a: numbers(Int32Array.of(1, 2)),
      b: numbers(() => {
        made++;
        return Float32Array.of(3, 4);
      }, 2),
    },
    { name: "lazy" },
  );
  const kept = lazy.where({ a: 2 });
  assert.equal(made, 0);
  assert.deepEqual(kept.toArray(), [{ a: 2, b: 4 }]);
  assert.equal(kept.at(0).b, 4);
  assert.equal(made, 1);
});

test("the view is bounded, escaped, and readable when a column cannot be had", async () => {
  const text = inspect(table);
  const lines = text.split("\n");
  assert.match(lines[0], /^things {2}500 rows/);
  assert.equal(lines.length, 13);
  assert.equal(lines.at(-1), "… 490 more rows");
  const bundle = await (table as unknown as Record<symbol, () => Promise<Record<string, string>>>)[DISPLAY]();
  assert.ok(!bundle["text/html"].includes("<b>") && !bundle["text/html"].includes("<script"));
  const broken = new Table<{ a: number; b: number }>(
    {
      a: numbers(Int32Array.of(1)),
      b: numbers(() => {
        throw new CaptureError("The margin was not captured");
      }, 1),
    },
    { name: "broken" },
  );
  assert.match(inspect(broken), /broken {2}1 row\na +b\n1 .*not captured/);
});

test("codes of -1 are null, in every form", () => {
  const c = coded(Int32Array.of(0, -1, 1), ["x", "y"]);
  const t = new Table<{ c: string | null }>({ c }, { name: "c" });
  assert.deepEqual(t.column("c"), ["x", null, "y"]);
  assert.deepEqual(Array.from(t.toArrow().getChild("c")!), ["x", null, "y"]);
});
