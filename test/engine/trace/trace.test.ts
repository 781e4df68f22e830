import assert from "node:assert/strict";
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { attn } from "../../../engine/edits/attn.ts";
import { route } from "../../../engine/edits/route.ts";
import { Model } from "../../../engine/model/model.ts";
import { Run } from "../../../engine/run/run.ts";
import { at } from "../../../engine/sites/at.ts";
import { fault } from "../fault.ts";

const home = mkdtempSync(join(tmpdir(), "moescope-trace-"));
const m = await Model.load("tiny-scout");
after(() => {
  m.dispose();
  rmSync(home, { recursive: true });
});
const path = join(home, "paris.trace");
const r = await m
  .with(route.ban(3, { layer: 2, pos: { gte: 2 } }), attn.temperature("off"))
  .generate("The capital of France is 東京", { maxTokens: 6, capture: "all" });
await r.save(path);

test("a trace is the run: tokens, tables, every capture, edits, pictures", async () => {
  const o = await Run.open(path);
  assert.deepEqual(o.tokens.toArray(), r.tokens.toArray());
  assert.deepEqual(o.routing.toArray(), r.routing.toArray());
  assert.deepEqual(o.attention.toArray(), r.attention.toArray());
  assert.deepEqual(o.next.toArray(), r.next.toArray());
  assert.deepEqual([o.text, o.reply, o.loss, o.meta], [r.text, r.reply, r.loss, r.meta]);
  assert.deepEqual(o.edits.map(String), r.edits.map(String));
  for (const [key, c] of r.captured.captures) {
    const [a, b] = [o.get(key), r.get(key)];
    assert.deepEqual([a.axes, a.shape], [b.axes, b.shape], key);
    assert.deepEqual(a.data, b.data, key);
    assert.equal(c.rows.length, o.captured.captures.get(key)!.rows.length);
  }
  assert.deepEqual(o.plot.ribbon().toString(), r.plot.ribbon().toString());
  assert.equal(o.logit(" Paris"), r.logit(" Paris"));
  assert.equal(r.compare(o).loss, 0);
  assert.deepEqual(o.input, { ids: Array.from(r.captured.tokens.ids) });
});

test("limited captures, batches and groups come back as they were", async () => {
  const b = await m.batch(["One two", "Three"], {
    capture: [
      at.layers([1, 3]).attn.pattern.only({ head: [0, 5], q: [1, 2] }),
      at.layer(2).expert.out.only({ expert: 1 }),
    ],
    group: (d) => d.slice(0, 2),
  });
  const place = join(home, "batch.trace");
  await b.save(place);
  const o = await Run.open(place);
  const site = at.layer(3).attn.pattern.only({ head: 5, q: 2 });
  assert.deepEqual(o.get(site).data, b.get(site).data);
  assert.deepEqual([...o.get(at.layer(2).expert.out).labels("t")], [...b.get(at.layer(2).expert.out).labels("t")]);
  assert.deepEqual(o.seq(1).tokens.toArray(), b.seq(1).tokens.toArray());
});

test("an earlier trace is replaced, anything else is not", async () => {
  const place = join(home, "again.trace");
  await r.save(place);
  await r.save(place);
  const other = join(home, "notes");
  mkdirSync(other);
  writeFileSync(join(other, "mine.txt"), "x");
  await fault(() => r.save(other), "trace", "not a trace");
  assert.ok(existsSync(join(other, "mine.txt")));
  await fault(() => r.save(join(path, "manifest.json", "below")), "trace", "cannot be written");
});

test("the files are Arrow files, as other programs read them", () => {
  for (const f of ["tokens", "last", "vocab", "sites/resid.post"])
    assert.equal(
      readFileSync(join(path, `${f}.arrow`))
        .subarray(0, 6)
        .toString(),
      "ARROW1",
    );
});

const edit = (folder: string, change: (manifest: any) => void): void => {
  const at = join(folder, "manifest.json");
  const manifest = JSON.parse(readFileSync(at, "utf8"));
  change(manifest);
  writeFileSync(at, JSON.stringify(manifest));
};
const broken = async (name: string, harm: (folder: string) => void): Promise<string> => {
  const place = join(home, `${name}.trace`);
  await r.save(place);
  harm(place);
  return place;
};

test("a trace that is not whole says which file", async () => {
  await fault(() => Run.open(join(home, "none.trace")), "trace", "no such folder");
  const cases: [string, (f: string) => void, string][] = [
    ["no-manifest", (f) => rmSync(join(f, "manifest.json")), "no manifest.json"],
    ["bad-manifest", (f) => writeFileSync(join(f, "manifest.json"), "{"), "not JSON"],
    [
      "other-version",
      (f) => writeFileSync(join(f, "manifest.json"), '{"format":"moescope-trace","version":99}'),
      "version",
    ],
    ["no-tokens", (f) => rmSync(join(f, "tokens.arrow")), "tokens.arrow"],
    ["cut", (f) => truncateSync(join(f, "sites", "resid.post.arrow"), 3000), "resid.post.arrow"],
    ["empty", (f) => truncateSync(join(f, "vocab.arrow"), 0), "vocab.arrow"],
    [
      "other-shape",
      (f) => edit(f, (m) => m.sites.find((x: any) => x.site === "resid.post").layers[2].shape.push(2)),
      "resid.post.arrow",
    ],
    ["other-count", (f) => edit(f, (m) => m.tokens++), "tokens.arrow"],
    ["swapped", (f) => copyFileSync(join(f, "last.arrow"), join(f, "tokens.arrow")), "tokens.arrow"],
    ["noise", (f) => writeFileSync(join(f, "last.arrow"), Buffer.alloc(500, 7)), "last.arrow"],
  ];
  for (const [name, harm, word] of cases) {
    const place = await broken(name, harm);
    await fault(() => Run.open(place), "trace", word);
  }
});
