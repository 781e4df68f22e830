/** The tour as a reader would run it: real JupyterLab, our kernel and plugin, every cell, every figure. */
import assert from "node:assert/strict";
import { readFileSync, symlinkSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import type { Browser, Page } from "playwright-core";
import { type Jupyter, root, startJupyter } from "./jupyter.ts";
import { command, figures, findChromium, launch, NO_CHROMIUM, openNotebook, shootAll } from "./page.ts";

/** Of the page, where the functions given to `evaluate` run. */
declare const document: any;

const chromium = findChromium();
const NAME = "00-first-contact.ipynb";
const RUN_LIMIT_MS = 240_000;

interface Output {
  output_type: string;
  name?: string;
  ename?: string;
  evalue?: string;
  text?: string | string[];
  data?: Record<string, unknown>;
}
interface Cell {
  cell_type: string;
  source: string | string[];
  execution_count: number | null;
  outputs: Output[];
}

/** The notebook without its stored outputs, so that nothing old can pass for new. */
function bare(): { text: string; cells: Cell[] } {
  const notebook = JSON.parse(readFileSync(join(root, "notebooks", NAME), "utf8"));
  for (const cell of notebook.cells) {
    if (cell.cell_type !== "code") continue;
    cell.outputs = [];
    cell.execution_count = null;
  }
  return { text: JSON.stringify(notebook), cells: notebook.cells };
}

/** The notebook as JupyterLab has it in memory. */
const model = (page: Page): Promise<{ cells: Cell[] }> =>
  page.evaluate(() => (globalThis as any).jupyterapp.shell.currentWidget.content.model.toJSON());

async function runAll(page: Page): Promise<void> {
  // The kernel must be there: JupyterLab throws away what is asked of one that still connects.
  await page.waitForFunction(
    () => (globalThis as any).jupyterapp.shell.currentWidget?.sessionContext?.session?.kernel?.status === "idle",
    null,
    { timeout: 60_000 },
  );
  await command(page, "notebook:run-all-cells");
  await page.waitForFunction(
    () => {
      const cells = (globalThis as any).jupyterapp.shell.currentWidget.content.model
        .toJSON()
        .cells.filter((cell: any) => cell.cell_type === "code");
      return cells.every((cell: any) => cell.execution_count !== null);
    },
    null,
    { timeout: RUN_LIMIT_MS, polling: 250 },
  );
  await page.waitForFunction(
    () => (globalThis as any).jupyterapp.shell.currentWidget.sessionContext.session.kernel.status === "idle",
    null,
    { timeout: RUN_LIMIT_MS },
  );
}

describe("the first notebook in JupyterLab", { skip: chromium ? false : NO_CHROMIUM }, () => {
  const { text, cells } = bare();
  let jupyter: Jupyter;
  let browser: Browser;
  before(async () => {
    jupyter = await startJupyter("lab", { [NAME]: text });
    symlinkSync(join(root, "notebooks/models"), join(jupyter.folder, "models"));
    browser = await launch(chromium!);
  });
  after(async () => {
    await browser?.close();
    await jupyter?.stop();
  });

  it("runs every cell without an error or a type warning, and every figure has marks", async () => {
    const page = await openNotebook(browser, jupyter, "lab", NAME, { width: 1180, height: 1200 });
    await runAll(page);

    const after = (await model(page)).cells.filter((cell) => cell.cell_type === "code");
    assert.equal(after.length, cells.filter((cell) => cell.cell_type === "code").length);
    for (const cell of after) {
      for (const output of cell.outputs) {
        const said = `${output.ename ?? ""} ${output.evalue ?? ""} ${[output.text ?? ""].flat().join("")}`;
        assert.notEqual(output.output_type, "error", `${cell.source}\n${said}`);
        assert.notEqual(output.name, "stderr", `${cell.source}\n${said}`);
      }
    }
    const wanted = after
      .flatMap((cell) => cell.outputs)
      .filter((output) => output.data?.["application/vnd.plotly.v1+json"]).length;
    assert.ok(wanted >= 7, `the notebook shows ${wanted} plotly figures`);

    await page.waitForFunction((n) => document.querySelectorAll(".moescope-figure .main-svg").length >= n, wanted, {
      timeout: 60_000,
    });
    const seen = await figures(page);
    assert.equal(seen.length, wanted);
    for (const figure of seen) assert.ok(figure.marks > 0, `"${figure.title}" is empty`);
    assert.ok((await page.locator(".moescope-ribbon span[title]").count()) > 40, "the ribbon shows its tokens");
    await shootAll(page, "first-contact-light");

    await command(page, "apputils:change-theme", { theme: "JupyterLab Dark" });
    await page.waitForSelector('body[data-jp-theme-light="false"]', { state: "attached" });
    await page.locator("#jupyterlab-splash").waitFor({ state: "detached", timeout: 10_000 });
    await page.waitForTimeout(1500);
    await shootAll(page, "first-contact-dark");
    await page.close();
  });
});
