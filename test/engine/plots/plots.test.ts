import assert from "node:assert/strict";
import { test } from "node:test";
import { inspect } from "node:util";
import { attn } from "../../../engine/edits/attn.ts";
import { route } from "../../../engine/edits/route.ts";
import { DISPLAY } from "../../../engine/host.ts";
import { diffPlots } from "../../../engine/plots/diff-plots.ts";
import type { Plot } from "../../../engine/plots/plot.ts";
import { RIBBON_MIME, type RibbonData } from "../../../engine/plots/ribbon-data.ts";
import { modelPlots, runPlots } from "../../../engine/plots/run-plots.ts";
import { align } from "../../../engine/tables/diff.ts";
import { routingTable } from "../../../engine/tables/routing.ts";
import { Tensor } from "../../../engine/tensors/tensor.ts";
import { synthetic } from "../synthetic.ts";

type Trace = Record<string, any>;
const bundleOf = (p: Plot): Promise<Record<string, any>> =>
  (p as unknown as Record<symbol, () => Promise<Record<string, any>>>)[DISPLAY]();

/** A packed array as plotly.js reads it. */
function unpack(v: { dtype: string; bdata: string; shape?: string }): number[] | number[][] {
  const bytes = Buffer.from(v.bdata, "base64");
  const kinds: Record<string, new (b: ArrayBuffer) => ArrayLike<number>> = {
    f4: Float32Array,
    f8: Float64Array,
    i4: Int32Array,
    i2: Int16Array,
    u1: Uint8Array,
  };
  const flat = Array.from(new kinds[v.dtype](new Uint8Array(bytes).buffer));
  if (!v.shape) return flat;
  const [rows, columns] = v.shape.split(", ").map(Number);
  assert.equal(rows * columns, flat.length);
  return Array.from({ length: rows }, (_, i) => flat.slice(i * columns, (i + 1) * columns));
}

const tiny = synthetic();
const long = synthetic({ length: 900, seed: 3 });
const scout = synthetic({ layers: 48, experts: 16, length: 100, chunk: 8192, floorScale: 8192 });
const wide = synthetic({ layers: 6, experts: 128, length: 60, topk: 2 });
const groups = synthetic({
  sequences: 8,
  length: 30,
  groups: ["story", "code", "<i>", "sums", "deutsch", "日本語", "x"],
});
const other = synthetic({ seed: 2 });
const plots: [string, () => Plot][] = [
  ["load map", () => runPlots(tiny).loadMap()],
  ["load map, 48 layers", () => runPlots(scout).loadMap()],
  ["load map, 128 experts", () => runPlots(wide).loadMap()],
  ["load map by group", () => runPlots(groups).loadMap({ by: "group" })],
  ["ribbon", () => runPlots(tiny).ribbon({ layer: 6 })],
  ["ribbon of several layers", () => runPlots(tiny).ribbon({ layer: "global" })],
  ["ribbon, 128 experts", () => runPlots(wide).ribbon()],
  ["token map", () => runPlots(tiny).tokenMap()],
  ["token map of margins", () => runPlots(tiny).tokenMap({ color: "margin" })],
  ["token map, 128 experts", () => runPlots(wide).tokenMap({ color: "expert" })],
  ["token map, long", () => runPlots(long).tokenMap()],
  ["confidence", () => runPlots(tiny).confidence()],
  ["confidence by entropy", () => runPlots(tiny).confidence({ by: "entropy", layer: "chunked" })],
  ["temperature of a run", () => runPlots(tiny).attnTemperature()],
  ["temperature of a model", () => modelPlots(scout.facts).attnTemperature({ overlay: ["off", "logn", "yarn"] })],
  ["attention entropy", () => runPlots(long).attnEntropy()],
  ["attention entropy, global layers", () => runPlots(long).attnEntropy({ layer: "global" })],
  ["router", () => runPlots(tiny).router({ t: -1, layer: 6 })],
  ["router, 128 experts", () => runPlots(wide).router({ t: 3, layer: 2 })],
  ["log-probability", () => diffPlots(tiny, other, align(tiny, other)).logprob()],
  ["flips", () => diffPlots(tiny, other, align(tiny, other)).flips()],
  [
    "tensor",
    () =>
      Tensor.from(
        Float32Array.from({ length: 60 }, (_, i) => Math.sin(i)),
        "t d",
        [6, 10],
      ).plot.heatmap(),
  ],
  [
    "large tensor",
    () =>
      Tensor.from(
        new Float32Array(3 * 200 * 400).map((_, i) => i % 13),
        "layer t d",
        [3, 200, 400],
      ).plot.heatmap(),
  ],
  [
    "histogram",
    () =>
      Tensor.from(
        Float32Array.from({ length: 999 }, (_, i) => Math.cos(i)),
        "d",
      ).plot.histogram(),
  ],
];

for (const [name, make] of plots)
  test(`${name}: a figure, a picture, a text, each bounded`, async () => {
    const plot = make();
    const bundle = await bundleOf(plot);
    const ribbon = name.startsWith("ribbon");
    assert.deepEqual(
      Object.keys(bundle).sort(),
      [...(ribbon ? ["text/html", RIBBON_MIME] : ["application/vnd.plotly.v1+json"]), "image/png", "text/plain"].sort(),
    );
    assert.ok(JSON.stringify(bundle).length < 2_000_000);
    const figure = ribbon ? plot.toFigure() : bundle["application/vnd.plotly.v1+json"];
    assert.ok(JSON.stringify(figure).length < 1_000_000);
    assert.deepEqual(JSON.parse(JSON.stringify(figure)), figure, "plain JSON");
    assert.equal(typeof figure.layout.title.text, "string");
    assert.equal(figure.layout.paper_bgcolor, "rgba(0,0,0,0)");
    assert.ok(figure.data.length > 0);
    for (const trace of figure.data as Trace[]) {
      const values = [trace["x"], trace["y"], trace["z"]].filter((v) => v?.bdata);
      assert.ok(
        values.length > 0 && values.flatMap((v) => unpack(v).flat()).some(Number.isFinite),
        "a trace with numbers",
      );
    }
    for (const [key, axis] of Object.entries(figure.layout).filter(([k]) => /^[xy]axis/.test(k)) as [string, Trace][])
      assert.ok(axis["range"].every(Number.isFinite) && axis["range"][0] !== axis["range"][1], `${key} has a range`);
    const png = Buffer.from(bundle["image/png"], "base64");
    assert.equal(png.subarray(1, 4).toString(), "PNG");
    assert.ok(png.readUInt32BE(16) <= 1900 && png.readUInt32BE(20) <= 2600 && png.length > 8000);
    const lines: string[] = bundle["text/plain"].split("\n");
    assert.ok(lines.length > 2 && lines.length < 130, `${lines.length} lines`);
    const svg = plot.toSVG();
    assert.ok(!svg.includes("NaN") && !svg.includes("undefined"));
    assert.ok(!bundle["text/plain"].includes("undefined"));
  });

test("the load map shows log2 of each expert's utilisation, layer 0 at the bottom", () => {
  const figure = runPlots(tiny).loadMap().toFigure();
  const heat = figure.data.find((t) => t["type"] === "heatmap") as Trace;
  const z = unpack(heat["z"]) as number[][];
  const routing = routingTable(tiny);
  for (const layer of [0, 3, 7])
    for (let e = 0; e < 8; e++) {
      const n = routing.where({ layer, expert: e }).length;
      assert.ok(n === 0 ? z[layer][e] < -3 : Math.abs(z[layer][e] - Math.log2((n * 8) / 48)) < 1e-5);
    }
  const [low, high] = (figure.layout["yaxis"] as Trace)["range"];
  assert.ok(low < high);
  assert.deepEqual([heat["zmin"], heat["zmax"]], [-3, 3]);
});

test("the token map holds the chosen experts; a long one pools and says so", () => {
  const heat = runPlots(tiny).tokenMap().toFigure().data[0] as Trace;
  assert.deepEqual(
    (unpack(heat["z"]) as number[][])[4],
    Array.from(routingTable(tiny).where({ layer: 4 }).column("expert")),
  );
  assert.match(heat["text"][4][7], /^t 7 “.*”, layer 4: expert \d, margin/);
  const huge = runPlots(synthetic({ length: 4100, layers: 2, attention: false })).tokenMap();
  const pooled = unpack((huge.toFigure().data[0] as Trace)["z"]) as number[][];
  assert.equal(pooled[0].length, Math.ceil(4100 / 3));
  assert.match(huge.toSVG(), /Each column pools 3 tokens/);
});

test("the ribbon names every token's expert, escapes, and uses inline styles only", async () => {
  const html: string = (
    await bundleOf(runPlots(synthetic({ text: "<script>alert(1)</script> & \n x", length: 6 })).ribbon())
  )["text/html"];
  assert.ok(!html.includes("<script") && html.includes("&lt;script&gt;"));
  assert.deepEqual([...new Set(html.match(/<\/?[a-z]+/g)!.map((t) => t.replace("/", "")))].sort(), [
    "<b",
    "<br",
    "<div",
    "<small",
    "<span",
    "<sub",
  ]);
  const bundle = await bundleOf(runPlots(tiny).ribbon({ layer: 3 }));
  const ids = [...bundle["text/html"].matchAll(/<sub[^>]*>(\d+)<\/sub>/g)].map((m) => Number(m[1]));
  assert.deepEqual(ids, Array.from(routingTable(tiny).where({ layer: 3 }).column("expert")));
  const data: RibbonData = bundle[RIBBON_MIME];
  assert.equal(data.layers[data.layer], 3);
  assert.deepEqual(data.expert[3], ids);
  assert.equal(data.tokens.join(""), tiny.tokens.text.join(""));
  assert.equal(data.margin.length, 8);
  assert.ok((await bundleOf(runPlots(synthetic({ logits: false })).ribbon()))[RIBBON_MIME] === undefined);
  const many = await bundleOf(runPlots(synthetic({ length: 2500, layers: 1, attention: false })).ribbon());
  assert.match(many["text/html"], /Rows 0 … 1999 of 2500 are shown/);
});

test("the temperature law is drawn step by step to 10 million", () => {
  const line = runPlots(scout)
    .attnTemperature({ to: 1e7 })
    .toFigure()
    .data.find((t) => t["name"] === "Llama 4") as Trace;
  const [x, y] = [unpack(line["x"]) as number[], unpack(line["y"]) as number[]];
  assert.equal(x.length, 1220 + 2);
  assert.equal(line["line"].shape, "hv");
  const at = x.indexOf(8192);
  assert.equal(y[at - 1], 1);
  assert.ok(Math.abs(y[at] - (1 + 0.1 * Math.log(2))) < 1e-12);
});

test("the router plot marks the chosen expert and its rival", () => {
  const row = routingTable(tiny).where({ t: 47, layer: 6 }).at(0);
  const svg = runPlots(tiny).router({ t: -1, layer: 6 }).toSVG();
  assert.match(svg, new RegExp(`expert ${row.expert} with score`));
  assert.match(svg, new RegExp(`over expert ${row.runner_up}`));
  assert.equal(svg.match(/ chosen</g)!.length, 1);
});

test("wrong options say what there is", () => {
  const p = runPlots(tiny);
  assert.throws(() => p.router({ t: 99, layer: 2 }), /there is no token row 99; the run has 48/);
  assert.throws(() => p.router({ t: 0, layer: 77 }), /no routing was captured at layer 77/);
  assert.throws(() => p.router({ t: 0 } as never), /takes a token row and a layer/);
  assert.throws(() => p.ribbon({ layer: 12 }), /there is no layer 12/);
  assert.throws(() => p.ribbon({ t: [5, 2] }), /t takes \[from, to\]/);
  assert.throws(() => p.attnTemperature({ overlay: "yarm" }), /overlay "yarm" is not one of off, logn, yarn/);
  assert.throws(() => p.attnTemperature({ to: 0 }), /to is 0/);
  assert.throws(() => runPlots(synthetic({ attention: false })).attnEntropy(), { name: "CaptureError" });
  assert.throws(() => runPlots(synthetic({ logits: false })).confidence(), { name: "CaptureError" });
});

test("a comparison names the edits of a run, their number first", () => {
  const edits = [route.ban(1, { layer: 2 }), attn.temperature("off")];
  const name = (n: number) => {
    const edited = Object.assign(Object.create(other) as typeof other, { edits: edits.slice(0, n) });
    return inspect(diffPlots(tiny, edited, align(tiny, edited)).logprob());
  };
  assert.match(name(1), /unedited.*layer 2: expert 1 is banned/);
  assert.match(name(2), /unedited.*2 edits: layer 2: expert 1 is banned/);
});

test("odd runs: one token, one layer, one expert, no logits", () => {
  for (const run of [
    synthetic({ length: 1 }),
    synthetic({ layers: 1, length: 3 }),
    synthetic({ logits: false }),
    synthetic({ experts: 1, layers: 2, length: 5 }),
  ]) {
    const p = runPlots(run);
    const shown = [p.loadMap(), p.ribbon(), p.tokenMap(), p.attnTemperature(), p.attnEntropy()];
    for (const plot of shown) {
      assert.ok(inspect(plot).length > 20);
      assert.ok(!plot.toSVG().includes("NaN"), "coordinates are numbers");
    }
  }
});
