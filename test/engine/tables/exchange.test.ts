import assert from "node:assert/strict";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { tableFromIPC, tableToIPC } from "apache-arrow";
import { asyncBufferFromFile, parquetReadObjects } from "hyparquet";
import { peer } from "../../../engine/tables/analytics.ts";
import { booleans, numbers, strings } from "../../../engine/tables/column.ts";
import { Table } from "../../../engine/tables/table.ts";

interface Row {
  id: number;
  x: number;
  n: number;
  word: string | null;
  step: number | null;
  on: boolean;
}
const N = 5000;
const x = Float32Array.from({ length: N }, (_, i) => Math.sin(i));
const table = new Table<Row>(
  {
    id: numbers(Int32Array.from({ length: N }, (_, i) => i)),
    x: numbers(x),
    n: numbers(Float64Array.from({ length: N }, (_, i) => i * 1e10)),
    word: strings(Array.from({ length: N }, (_, i) => [null, "a,b", 'say "hi"\n', "日本 "][i % 4])),
    step: numbers(
      Int32Array.from({ length: N }, (_, i) => (i % 3 === 0 ? -1 : i)),
      N,
      -1,
    ),
    on: booleans(Uint8Array.from({ length: N }, (_, i) => i % 2)),
  },
  { name: "things" },
);
const rows = table.toArray();

let folder = "";
before(async () => {
  folder = await mkdtemp(join(tmpdir(), "moescope-"));
});
after(() => rm(folder, { recursive: true }));

test("Arrow shares number columns and survives a round trip", () => {
  const arrow = table.toArrow();
  assert.equal(arrow.getChild("x")!.toArray().buffer, x.buffer);
  const back = tableFromIPC(tableToIPC(arrow, "stream"));
  assert.equal(back.numRows, N);
  for (const i of [0, 1, 2, 3, 4999]) {
    const row = back.get(i)!.toJSON() as unknown as Row;
    assert.deepEqual({ ...row }, rows[i]);
  }
  const part = table.where({ word: "a,b" }).toArrow();
  assert.equal(part.numRows, N / 4);
  assert.equal(part.getChild("word")!.get(7), "a,b");
});

test("Parquet keeps values, nulls and types", async () => {
  const path = join(folder, "t.parquet");
  await table.toParquet(path);
  const back = (await parquetReadObjects({ file: await asyncBufferFromFile(path) })) as unknown as Row[];
  assert.equal(back.length, N);
  for (const i of [0, 1, 2, 3, 777, 4999]) assert.deepEqual(back[i], rows[i]);
});

test("CSV quotes what must be quoted", async () => {
  const path = join(folder, "t.csv");
  await table.head(4).toCSV(path);
  assert.equal(
    await readFile(path, "utf8"),
    `id,x,n,word,step,on\n0,0,0,,,false\n1,${x[1]},10000000000,"a,b",1,true\n2,${x[2]},20000000000,"say ""hi""\n",2,false\n3,${x[3]},30000000000,"日本 ",,true\n`,
  );
});

test("Arquero computes on the same table", async () => {
  const aq = await table.aq();
  const sums = aq.filter((d: Row) => d.on).rollup({ top: "d => op.max(d.id)" });
  assert.equal(sums.get("top", 0), N - 1);
  assert.equal(aq.numRows(), N);
  assert.equal(aq.get("id", 17), 17);
  assert.equal(aq.get("word", 1), "a,b");
});

test("DuckDB answers a query about the table", async () => {
  const answer = await table.sql(
    'select word, count(*) as n, sum(x) as s, bool_and("on") as every, max(step) as last from t group by word order by word nulls last',
  );
  assert.deepEqual(answer.columns, ["word", "n", "s", "every", "last"]);
  assert.equal(answer.length, 4);
  const expected = rows.filter((r) => r.word === "a,b");
  const got = answer.toArray()[0];
  assert.equal(got.word, "a,b");
  assert.equal(got.n, expected.length);
  assert.equal(
    got.every,
    expected.every((r) => r.on),
  );
  assert.equal(got.last, Math.max(...expected.map((r) => r.step ?? -1)));
  assert.ok(Math.abs(got.s - expected.reduce((a, r) => a + r.x, 0)) < 1e-3);
  assert.equal(answer.at(3).word, null);
  await assert.rejects(
    table.sql("select nope from t"),
    /sql: .*nope[\s\S]*The table is called t; its columns are id, x/,
  );
});

test("an optional package that is absent is asked for by name, with the command", async () => {
  await assert.rejects(peer("@moescope/no-such-package", "Install it with: npm install x", "sql()"), {
    name: "PackageError",
    code: "package",
    message:
      "sql() needs the package @moescope/no-such-package, which is not installed. Install it with: npm install x.",
  });
});
