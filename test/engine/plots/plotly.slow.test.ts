/** plotly.js itself, in a real browser: every figure validates, draws marks, and keeps its titles within the picture. */
import assert from "node:assert/strict";
import { createRequire } from "node:module";
import { after, before, describe, it } from "node:test";
import type { Browser, Page } from "playwright-core";
import { diffPlots } from "../../../engine/plots/diff-plots.ts";
import type { Plot } from "../../../engine/plots/plot.ts";
import { modelPlots, runPlots } from "../../../engine/plots/run-plots.ts";
import { align } from "../../../engine/tables/diff.ts";
import { Tensor } from "../../../engine/tensors/tensor.ts";
import { findChromium, launch, NO_CHROMIUM } from "../../browser/page.ts";
import { synthetic } from "../synthetic.ts";

/** Of the page. */
declare const document: any;
declare const Plotly: any;

const tiny = synthetic();
const wide = synthetic({ layers: 6, experts: 128, length: 60, topk: 2 });
const other = synthetic({ seed: 2 });
const plots: Record<string, () => Plot> = {
  "load map": () => runPlots(tiny).loadMap(),
  "load map, 128 experts": () => runPlots(wide).loadMap(),
  "load map by group": () =>
    runPlots(synthetic({ sequences: 6, length: 20, groups: ["a", "b", "<b>c</b>"] })).loadMap({ by: "group" }),
  "token map": () => runPlots(tiny).tokenMap(),
  "token map of margins": () => runPlots(tiny).tokenMap({ color: "margin" }),
  confidence: () => runPlots(tiny).confidence(),
  temperature: () => modelPlots(tiny.facts).attnTemperature({ overlay: ["off", "logn", "yarn"] }),
  "attention entropy": () => runPlots(synthetic({ length: 300 })).attnEntropy(),
  router: () => runPlots(tiny).router({ t: -1, layer: 6 }),
  "log-probability": () => diffPlots(tiny, other, align(tiny, other)).logprob(),
  flips: () => diffPlots(tiny, other, align(tiny, other)).flips(),
  tensor: () =>
    Tensor.from(
      Float32Array.from({ length: 60 }, (_, i) => Math.sin(i)),
      "t d",
      [6, 10],
    ).plot.heatmap(),
  histogram: () =>
    Tensor.from(
      Float32Array.from({ length: 999 }, (_, i) => Math.cos(i)),
      "d",
    ).plot.histogram(),
};

const chromium = findChromium();

describe("plotly.js", { skip: chromium ? false : NO_CHROMIUM }, () => {
  let browser: Browser;
  let page: Page;
  before(async () => {
    browser = await launch(chromium!);
    page = await browser.newPage({ viewport: { width: 1000, height: 900 } });
    await page.setContent('<div id="plot"></div>');
    await page.addScriptTag({ path: createRequire(import.meta.url).resolve("plotly.js-dist-min/plotly.min.js") });
  });
  after(() => browser?.close());

  for (const [name, make] of Object.entries(plots))
    it(`draws ${name}`, async () => {
      const figure = make().toFigure();
      const seen = await page.evaluate(async (f) => {
        const kinds: Record<string, any> = {
          f4: Float32Array,
          f8: Float64Array,
          i4: Int32Array,
          i2: Int16Array,
          u1: Uint8Array,
        };
        // `validate` knows plain arrays only.
        const plain = (v: any) => {
          if (!v?.bdata) return v;
          const flat = Array.from(new kinds[v.dtype](Uint8Array.from(atob(v.bdata), (c) => c.charCodeAt(0)).buffer));
          if (!v.shape) return flat;
          const [rows, columns] = v.shape.split(",").map(Number);
          return Array.from({ length: rows }, (_, i) => flat.slice(i * columns, (i + 1) * columns));
        };
        const data = f.data.map((trace: any) =>
          Object.fromEntries(Object.entries(trace).map(([k, v]) => [k, plain(v)])),
        );
        const faults = (Plotly.validate(data, f.layout) ?? []).map((e: any) => e.msg);
        await Plotly.newPlot("plot", f.data, f.layout, f.config);
        const root = document.querySelector("#plot");
        const frame = root.querySelector(".svg-container").getBoundingClientRect();
        const texts = [...root.querySelectorAll("text")].filter((t: any) => t.textContent.trim() !== "");
        const outside = texts.filter((t: any) => {
          const r = t.getBoundingClientRect();
          return (
            r.width > 0 &&
            (r.left < frame.left - 1 ||
              r.right > frame.right + 1 ||
              r.top < frame.top - 1 ||
              r.bottom > frame.bottom + 1)
          );
        });
        return {
          faults,
          marks: root.querySelectorAll(".trace path, .hm image, .bars path, .heatmaplayer image, .point").length,
          title: root.querySelector(".gtitle")?.textContent,
          outside: outside.map((t: any) => t.textContent),
        };
      }, figure as any);
      assert.deepEqual(seen.faults, []);
      assert.ok(seen.marks > 0, "marks");
      assert.equal(
        seen.title,
        (figure.layout["title"] as { text: string }).text.replaceAll("&lt;", "<").replaceAll("&gt;", ">"),
      );
      assert.deepEqual(seen.outside, [], "texts outside the picture");
    });
});
