import assert from "node:assert/strict";
import { test } from "node:test";
import type { LayerFacts, ModelFacts } from "../../../engine/run/captured.ts";
import { at } from "../../../engine/sites/at.ts";
import { CAPTURE_SETS, planCaptures } from "../../../engine/sites/capture.ts";
import { SITE_NAMES } from "../../../engine/sites/names.ts";
import { parseSite } from "../../../engine/sites/parse.ts";
import { layersOf, matcher, places } from "../../../engine/sites/selector.ts";
import type { Site } from "../../../engine/sites/site.ts";
import { fault } from "../fault.ts";
import { synthetic } from "../synthetic.ts";

/** Layers 0, 1, 2 chunked, 3 global; 1 and 3 MoE. */
const facts: ModelFacts = {
  ...synthetic({ layers: 4, experts: 4, heads: 4 }).facts,
  layers: [0, 1, 2, 3].map(
    (index): LayerFacts => ({
      index,
      kind: index === 3 ? "global" : "chunked",
      rope: index !== 3,
      moe: index % 2 === 1,
    }),
  ),
};
const extent = { rows: 10, more: 0, keys: 10 };
const plan = (...what: Parameters<typeof planCaptures>[0][]) => planCaptures(what.flat() as never, facts, extent);

test("every site has a builder whose path is read back as the same site", () => {
  const built: Site<any>[] = [at.embed, at.final.norm, at.logits];
  for (const group of Object.values(at.layer(3)) as Record<string, Site<any>>[])
    for (const s of Object.values(group)) built.push(s as Site<any>);
  assert.equal(built.length, SITE_NAMES.length);
  for (const s of built) {
    const again = parseSite(s.path);
    assert.deepEqual([again.path, again.axes, again.constructor], [s.path, s.axes, s.constructor]);
  }
});

test("paths of several layers", () => {
  for (const [layers, path] of [
    ["*", "*"],
    ["global", "global"],
    [[1, 3], "{1,3}"],
    [{ gte: 2 }, "{gte=2}"],
    [{ lt: 3, ne: 1 }, "{lt=3,ne=1}"],
  ] as const) {
    const s = at.layers(layers as never).router.logits;
    assert.equal(s.path, `layers.${path}.router.logits`);
    assert.equal(s.axes, "layer t expert");
    assert.equal(parseSite(s.path).path, s.path);
  }
});

test("the compiler refuses wrong names and verbs", () => {
  // @ts-expect-error no such group
  assert.equal(at.layer(3).rezid, undefined);
  // @ts-expect-error no such site
  assert.equal(at.layer(3).resid.past, undefined);
  // @ts-expect-error the router's choice is changed with route, not written to
  assert.equal(at.layer(3).router.choice.zero, undefined);
  // @ts-expect-error no such kind of layer
  void at.layers("sparse");
  const axes: "layer t expert" = at.layers("moe").router.logits.axes;
  assert.equal(axes, "layer t expert");
});

test("wrong paths are answered with the nearest names", async () => {
  await fault(() => parseSite("layers.3.resid.pots"), "site", '"resid.post"');
  await fault(() => parseSite("logit"), "site", '"logits"');
  await fault(() => parseSite("resid.post"), "site", "in every layer", "layers.3.resid.post");
  await fault(() => parseSite("layers.2.logits"), "site", "belongs to no layer");
  await fault(() => parseSite("layers.globl.resid.post"), "site", '"globl"', '"global"');
  await fault(() => at.layer(-1), "argument", "-1");
  await fault(() => at.layer(1.5), "argument", "1.5");
});

test("selectors: kinds, lists, comparisons, and places from the end", async () => {
  const index = (m: Parameters<typeof layersOf>[0]) => layersOf(m, facts.layers, "x").map((l) => l.index);
  assert.deepEqual(
    [index("*"), index("global"), index("chunked"), index("moe"), index("dense")],
    [[0, 1, 2, 3], [3], [0, 1, 2], [1, 3], [0, 2]],
  );
  assert.deepEqual(
    [index(2), index([0, 3]), index({ gte: 1, lt: 3 }), index({ ne: 2 })],
    [[2], [0, 3], [1, 2], [0, 1, 3]],
  );
  assert.deepEqual(places([-1, 0], 5, "t", "x"), [0, 4]);
  assert.deepEqual(places({ gte: -2 }, 5, "t", "x"), [3, 4]);
  await fault(() => index(4), "site", "no layer 4", "0 to 3");
  await fault(() => index("global " as never), "site", "not a kind");
  await fault(() => places(7, 5, "head", "x"), "site", "no head 7");
  await fault(() => matcher({ under: 3 } as never, "t", "x"), "argument", '"under"');
  await fault(() => matcher(1.5, "t", "x"), "argument", "1.5");
});

test("nothing asked captures the routing of MoE layers; a list includes it; an empty list captures nothing", () => {
  const keys = (c: ReturnType<typeof plan>) => c.map((p) => `${p.spec.layer} ${p.spec.site}`).sort();
  const routing = [1, 3].flatMap((l) => ["choice", "logits", "score"].map((s) => `${l} router.${s}`));
  assert.deepEqual(keys(planCaptures(undefined, facts, extent)), routing);
  assert.deepEqual(keys(plan("routing")), routing);
  assert.deepEqual(keys(planCaptures([], facts, extent)), []);
  assert.deepEqual(keys(plan(at.logits)), ["-1 logits", ...routing].sort());
  for (const name of Object.keys(CAPTURE_SETS)) assert.ok(plan(name).length >= routing.length, name);
  assert.equal(plan("all").filter((p) => p.spec.site === "mlp.out").length, 2);
});

test("bytes are counted before anything is captured", () => {
  const bytes = (s: Site<any>, e = extent) =>
    planCaptures(s, facts, e).find((p) => p.spec.site === parseSite(s.path).path.replace(/^layers\.\d+\./, ""))!.bytes;
  assert.equal(bytes(at.layer(1).router.logits), 10 * 4 * 4);
  assert.equal(bytes(at.layer(0).resid.post), 10 * facts.d * 4);
  assert.equal(bytes(at.layer(0).resid.post.only({ t: [0, -1] })), 2 * facts.d * 4);
  assert.equal(bytes(at.layer(3).attn.pattern), 4 * 10 * 10 * 4);
  assert.equal(bytes(at.layer(3).attn.pattern.only({ head: [0, 1], q: -1 })), 2 * 1 * 10 * 4);
  assert.equal(bytes(at.logits, { rows: 10, more: 5, keys: 15 }), 15 * facts.vocab * 4);
});

test("only() becomes rows, heads and experts; the same site asked twice is captured once, with all of it", () => {
  const spec = plan(at.layer(3).attn.z.only({ head: 1, t: -1 })).find((p) => p.spec.site === "attn.z")!.spec;
  assert.deepEqual([spec.rows && [...spec.rows], spec.heads && [...spec.heads], spec.decode], [[9], [1], false]);
  const both = plan(at.layer(3).attn.z.only({ head: 1 }), at.layer(3).attn.z.only({ head: 3 })).filter(
    (p) => p.spec.site === "attn.z",
  );
  assert.deepEqual([both.length, [...both[0].spec.heads!]], [1, [1, 3]]);
  const all = plan(at.layer(3).attn.z.only({ head: 1 }), at.layer(3).attn.z).find((p) => p.spec.site === "attn.z")!;
  assert.equal(all.spec.heads, null);
  const expert = plan(at.layer(1).expert.out.only({ expert: 2 })).find((p) => p.spec.site === "expert.out")!;
  assert.deepEqual([...expert.spec.experts!], [2]);
});

test("rows made while generating are kept where no row is named, or all of them match", () => {
  const decode = (t: Parameters<typeof at.logits.only>[0]["t"]) =>
    planCaptures(at.logits.only({ t }), facts, { rows: 10, more: 5, keys: 15 }).find((p) => p.spec.site === "logits")!
      .spec.decode;
  assert.deepEqual(
    [decode("*"), decode({ gte: 4 }), decode({ gte: 12 }), decode({ lt: 15 }), decode(3), decode(-1)],
    [true, true, false, true, false, false],
  );
});

test("captures that make no sense are refused before the run", async () => {
  await fault(() => plan("routng"), "argument", '"routng"', '"routing"');
  await fault(() => plan(at.layer(0).router.logits), "site", "layer 0 is dense", "1, 3");
  await fault(() => plan(at.layer(1).mlp.out), "site", "layer 1 is a MoE layer", "0, 2");
  await fault(() => plan(at.layer(9).resid.post), "site", "no layer 9");
  await fault(() => plan(at.layer(1).router.logits.only({ head: 0 })), "argument", "has no heads");
  await fault(() => plan(at.layer(1).resid.post.only({ expert: 0 })), "argument", "one expert");
  await fault(() => plan(at.layer(1).expert.out.only({ expert: 4 })), "site", "no expert 4");
  await fault(() => plan(at.layer(1).attn.z.only({ head: 4 })), "site", "no head 4");
  await fault(() => plan(at.layer(1).resid.post.only({ t: 10 })), "site", "no t 10");
  await fault(() => plan(7 as never), "argument", "not a site");
});
