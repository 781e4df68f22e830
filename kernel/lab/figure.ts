import type { MimeModel, RendererOptions, WidgetClass } from "./lumino.ts";
import { onThemeChange, theme } from "./theme.ts";

interface Plotly {
  react(node: HTMLElement, data: unknown[], layout: object, config: object): Promise<void>;
  purge(node: HTMLElement): void;
  Plots: { resize(node: HTMLElement): void };
}

interface Figure {
  data?: unknown[];
  layout?: Record<string, unknown>;
  config?: object;
}

const DEFAULT_HEIGHT = 420;

let loading: Promise<Plotly> | undefined;

/** plotly is 4.8 MB: it is fetched when the first figure is shown, once a page. */
function plotly(base: URL): Promise<Plotly> {
  loading ??= new Promise((resolve, reject) => {
    const script = document.createElement("script");
    script.src = new URL("plotly.min.js", base).href;
    script.onload = () => resolve((globalThis as unknown as { Plotly: Plotly }).Plotly);
    script.onerror = () => {
      loading = undefined;
      reject(new Error(`could not load ${script.src}`));
    };
    document.head.append(script);
  });
  return loading;
}

/** The figure in the colours of the page: text and grids of every axis that does not choose its own. */
function themed(layout: Record<string, unknown>): Record<string, unknown> {
  const { text, grid } = theme();
  const out: Record<string, unknown> = {
    ...layout,
    autosize: true,
    paper_bgcolor: "rgba(0,0,0,0)",
    plot_bgcolor: "rgba(0,0,0,0)",
    font: { ...(layout["font"] as object), color: text },
  };
  delete out["width"];
  for (const [key, axis] of Object.entries(layout)) {
    if (/^[xy]axis\d*$/.test(key)) out[key] = { ...(axis as object), gridcolor: grid, zerolinecolor: grid };
  }
  return out;
}

/** The renderer of `application/vnd.plotly.v1+json`. */
export function figureClass(Widget: WidgetClass, base: URL) {
  return class FigureWidget extends Widget {
    readonly #mimeType: string;
    readonly #stopTheme: () => void;
    readonly #observer: ResizeObserver;
    #figure: Figure | undefined;
    #drawn = false;

    constructor(options: RendererOptions) {
      super();
      this.#mimeType = options.mimeType;
      this.addClass("moescope-figure");
      this.#stopTheme = onThemeChange(() => void this.#draw());
      this.#observer = new ResizeObserver(() => {
        if (this.#drawn && this.node.clientWidth > 0)
          (globalThis as unknown as { Plotly: Plotly }).Plotly.Plots.resize(this.node);
      });
      this.#observer.observe(this.node);
    }

    async renderModel(model: MimeModel): Promise<void> {
      this.#figure = model.data[this.#mimeType] as Figure;
      await this.#draw();
    }

    async #draw(): Promise<void> {
      if (!this.#figure || this.isDisposed) return;
      const layout = this.#figure.layout ?? {};
      this.node.style.height = `${Number(layout["height"]) || DEFAULT_HEIGHT}px`;
      try {
        const library = await plotly(base);
        if (this.isDisposed) return;
        await library.react(this.node, this.#figure.data ?? [], themed(layout), {
          displaylogo: false,
          responsive: false,
          ...this.#figure.config,
        });
        this.#drawn = true;
      } catch (error) {
        this.node.textContent = `This figure could not be drawn: ${error instanceof Error ? error.message : error}`;
      }
    }

    override dispose(): void {
      if (this.isDisposed) return;
      this.#stopTheme();
      this.#observer.disconnect();
      if (this.#drawn) (globalThis as unknown as { Plotly: Plotly }).Plotly.purge(this.node);
      super.dispose();
    }
  };
}
