import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import type { Browser } from "playwright-core";
import { type Jupyter, startJupyter } from "./jupyter.ts";
import { command, figures, findChromium, launch, NO_CHROMIUM, openNotebook, shoot } from "./page.ts";

/** Of the page, where the functions given to `waitForFunction` run. */
declare const document: any;
declare const getComputedStyle: any;

const chromium = findChromium();

const figure = {
  data: [
    {
      type: "heatmap",
      z: [
        [1, -2, 3],
        [0, 2, -1],
      ],
      colorscale: "RdBu",
    },
    { type: "scatter", x: [0, 1, 2], y: [0, 1, 0], mode: "lines+markers" },
  ],
  layout: {
    title: { text: "two marks" },
    height: 320,
    xaxis: { title: { text: "expert" } },
    yaxis: { title: { text: "layer" } },
  },
};

const ribbon = {
  tokens: ["The", " capital", " of", " France", " is\n", "<b>not html</b>"],
  layers: [0, 3],
  layer: 1,
  expert: [
    [0, 1, 2, 3, 0, 1],
    [3, 3, 1, 0, 2, 2],
  ],
  runnerUp: [
    [1, 0, 0, 1, 2, 2],
    [0, 1, 2, 3, 3, 1],
  ],
  score: [
    [0.5, 0.6, 0.7, 0.4, 0.9, 0.5],
    [0.1, 0.2, 0.3, 0.4, 0.5, 0.6],
  ],
  margin: [
    [0.1, 1.5, 0.3, 2.5, 0.01, 0.8],
    [0.2, 0.3, 0.4, 0.5, 1.9, 0.7],
  ],
  colors: [
    { back: "#0072B2", text: "#ffffff" },
    { back: "#E69F00", text: "#000000" },
    { back: "#009E73", text: "#ffffff" },
    { back: "#CC79A7", text: "#000000" },
  ],
  caption: "6 tokens",
};

const cell = (id: string, data: object) => ({
  cell_type: "code",
  id,
  execution_count: 1,
  metadata: {},
  source: id,
  outputs: [{ output_type: "display_data", metadata: {}, data: { "text/plain": "the text form", ...data } }],
});
const notebook = JSON.stringify({
  cells: [
    cell("figure", { "application/vnd.plotly.v1+json": figure }),
    cell("ribbon", { "text/html": "<p>the HTML form</p>", "application/vnd.moescope.ribbon.v1+json": ribbon }),
  ],
  metadata: {
    kernelspec: { name: "moescope", display_name: "Moescope (TypeScript)" },
    language_info: { name: "typescript" },
  },
  nbformat: 4,
  nbformat_minor: 5,
});

for (const app of ["lab", "notebook"] as const) {
  describe(`the plugin in ${app === "lab" ? "JupyterLab" : "Notebook 7"}`, {
    skip: chromium ? false : NO_CHROMIUM,
  }, () => {
    let jupyter: Jupyter;
    let browser: Browser;
    before(async () => {
      jupyter = await startJupyter(app, { "plugin.ipynb": notebook });
      browser = await launch(chromium!);
    });
    after(async () => {
      await browser?.close();
      await jupyter?.stop();
    });

    it("draws the figure with its marks and the ribbon with its slider", async () => {
      const page = await openNotebook(browser, jupyter, app, "plugin.ipynb", { width: 1100, height: 1100 });
      await page.waitForSelector(".moescope-figure .heatmaplayer image", { timeout: 60_000 });
      const [seen] = await figures(page);
      assert.equal(seen?.title, "two marks");
      assert.ok(seen.marks >= 3, `one image, one line and its points were expected, ${seen.marks} marks were drawn`);

      const ribbonText = (await page.locator(".moescope-ribbon").innerText()).replaceAll("\u00a0", " ");
      assert.match(ribbonText, /layer 3/);
      assert.match(ribbonText, /<b>not html<\/b>/);
      const first = page.locator(".moescope-ribbon span", { hasText: /^The$/ });
      assert.match((await first.getAttribute("title")) ?? "", /expert 3 · score 0.100 · margin 0.200 over expert 0/);
      await page.locator(".moescope-ribbon input[type=range]").fill("0");
      assert.match((await first.getAttribute("title")) ?? "", /expert 0 · score 0.500 · margin 0.100 over expert 1/);
      await shoot(page, `plugin-${app}-light`);

      await command(page, "apputils:change-theme", { theme: "JupyterLab Dark" });
      await page.waitForSelector('body[data-jp-theme-light="false"]', { state: "attached" });
      await page.waitForFunction(() => {
        const text = document.querySelector(".moescope-figure .gtitle");
        return text !== null && /rgb\((\d+)/.exec(getComputedStyle(text).fill)![1]! >= "200";
      });
      await page.locator("#jupyterlab-splash").waitFor({ state: "detached", timeout: 10_000 });
      await shoot(page, `plugin-${app}-dark`);
      await page.close();
    });
  });
}
