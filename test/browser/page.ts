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
export async function shoot(page: Page, name: string): Promise<string> {
  const folder = join(root, "test/browser/screenshots");
  mkdirSync(folder, { recursive: true });
  const path = join(folder, `${name}.png`);
  await page.screenshot({ path });
  return path;
}

/** The height that shows a whole notebook; JupyterLab renders only the cells in view. */
export async function fitHeight(page: Page): Promise<void> {
  const height = await page.evaluate(() => {
    const notebook = document.querySelector(".jp-WindowedPanel-outer, .jp-Notebook");
    return notebook ? Math.min(notebook.scrollHeight + 200, 16_000) : 1600;
  });
  await page.setViewportSize({ width: page.viewportSize()!.width, height });
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
