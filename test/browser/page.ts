import { accessSync, constants, mkdirSync } from "node:fs";
import { delimiter, join } from "node:path";
import { type Browser, chromium, type Page } from "playwright-core";
import { type Jupyter, root } from "./jupyter.ts";

/** Of the page, where the functions given to `evaluate` run. */
declare const document: any;

/** A Chromium of the machine, or null. */
export function findChromium(): string | null {
  const names = ["chromium", "chromium-browser", "google-chrome", "google-chrome-stable"];
  for (const folder of (process.env["PATH"] ?? "").split(delimiter)) {
    for (const name of names) {
      try {
        accessSync(join(folder, name), constants.X_OK);
        return join(folder, name);
      } catch {}
    }
  }
  return null;
}

export const NO_CHROMIUM = "no Chromium here; on Debian or Ubuntu: sudo apt install chromium";

export const launch = (executablePath: string): Promise<Browser> =>
  chromium.launch({
    executablePath,
    args: [
      "--no-sandbox",
      "--disable-gpu",
      "--disable-quic",
      "--no-first-run",
      "--disable-background-networking",
      "--disable-component-update",
      "--disable-sync",
    ],
  });

/** Opens a notebook of the server in a window tall enough that every cell is rendered. */
export async function openNotebook(
  browser: Browser,
  jupyter: Jupyter,
  app: "lab" | "notebook",
  name: string,
  size = { width: 1280, height: 1600 },
): Promise<Page> {
  const page = await browser.newPage({ viewport: size });
  const path = app === "lab" ? `/lab/tree/${name}` : `/notebooks/${name}`;
  await page.goto(`${jupyter.url}${path}?token=${jupyter.token}`);
  await page.waitForSelector(".jp-Notebook .jp-Cell", { timeout: 60_000 });
  return page;
}

/** JupyterLab's command registry is the steady way to press its buttons. */
export const command = (page: Page, id: string, args: object = {}): Promise<unknown> =>
  page.evaluate(([id, args]) => (globalThis as any).jupyterapp.commands.execute(id, args), [id, args] as const);

/** Screenshots are for people: kept, not compared. */
export async function shoot(
  page: Page,
  name: string,
  clip?: { x: number; y: number; width: number; height: number },
): Promise<string> {
  const folder = join(root, "test/browser/screenshots");
  mkdirSync(folder, { recursive: true });
  const path = join(folder, `${name}.png`);
  await page.screenshot({ path, ...(clip && { clip }) });
  return path;
}

/** Pictures of a whole notebook, top to bottom, each as tall as a reader's screen or two. */
export async function shootAll(page: Page, name: string, step = 1500): Promise<string[]> {
  const { height, width } = page.viewportSize()!;
  const hidden = await page.evaluate(() => {
    const panel = document.querySelector(".jp-WindowedPanel-outer");
    return Math.max(0, panel.scrollHeight - panel.clientHeight);
  });
  const whole = height + hidden;
  await page.setViewportSize({ width, height: whole });
  await page.waitForTimeout(1500);
  await page.evaluate(() => {
    document.querySelector(".jp-WindowedPanel-outer").scrollTop = 0;
  });
  await page.waitForTimeout(500);
  const paths: string[] = [];
  for (let y = 0; y < whole; y += step) {
    const path = await shoot(page, `${name}-${paths.length + 1}`, {
      x: 0,
      y,
      width,
      height: Math.min(step, whole - y),
    });
    paths.push(path);
  }
  await page.setViewportSize({ width, height });
  return paths;
}

export interface FigureSeen {
  /** SVG marks (paths, bars, texts) and raster marks (heat maps) that plotly drew. */
  marks: number;
  title: string;
}

/** What plotly figures are on the page, and how many marks each shows. */
export const figures = (page: Page): Promise<FigureSeen[]> =>
  page.evaluate(() =>
    [...document.querySelectorAll(".moescope-figure")].map((node: any) => ({
      marks: node.querySelectorAll(".scatterlayer path, .barlayer path, .heatmaplayer image, .shapelayer path, .point")
        .length,
      title: node.querySelector(".gtitle")?.textContent ?? "",
    })),
  );
