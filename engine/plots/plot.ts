import { writeFile } from "node:fs/promises";
import { writing } from "../check.ts";
import { shows } from "../display/show.ts";
import type { MimeBundle } from "../host.ts";
import type { Figure } from "./figure.ts";
import { type PlotlyFigure, toPlotly } from "./plotly.ts";
import { picture, toPNG } from "./png.ts";
import { type Ribbon, ribbonHtml, ribbonSvg, ribbonText } from "./ribbon.ts";
import { RIBBON_MIME } from "./ribbon-data.ts";
import { toSVG } from "./svg.ts";
import { toText } from "./text.ts";

/** @internal How a plot is drawn in each form. */
export interface Drawing {
  figure(): PlotlyFigure;
  svg(): string;
  text(): string;
  /** Richer than the PNG: the plotly figure, or HTML. */
  rich(): MimeBundle;
}

/** An output larger than this is not sent whole: notebooks become slow to save and to open. */
export const MAX_BYTES = 1_000_000;

/** A picture that draws itself when it ends a cell: a plotly figure where a renderer exists, a PNG elsewhere, text in a terminal. */
export class Plot {
  readonly #drawing: Drawing;

  /** @internal */
  constructor(drawing: Drawing) {
    this.#drawing = drawing;
  }

  /** A plotly.js figure (`{ data, layout }`), to change and draw by hand. */
  toFigure(): PlotlyFigure {
    return this.#drawing.figure();
  }

  toSVG(): string {
    return this.#drawing.svg();
  }

  /** The picture as PNG bytes, at twice its size; written to `path` when one is given. */
  async toPNG(path?: string): Promise<Uint8Array> {
    const png = toPNG(this.toSVG());
    if (path !== undefined) await writing(path, "plot.toPNG", (file) => writeFile(file, png));
    return png;
  }

  static {
    // biome-ignore lint/complexity/noThisInStatic: compiled, the name of the class is not yet bound here
    shows(this, {
      text: (p: Plot) => p.#drawing.text(),
      bundle: (p: Plot) => ({ ...p.#drawing.rich(), ...picture(p.#drawing.svg()) }),
    });
  }
}

/** A plot over a figure description, which is made when first needed. */
export function figurePlot(make: () => Figure): Plot {
  // Made now, so that a wrong option throws where it was given.
  const figure = make();
  let plotly: PlotlyFigure | undefined;
  const draw = () => (plotly ??= toPlotly(figure));
  return new Plot({
    figure: draw,
    svg: () => toSVG(figure),
    text: () => toText(figure),
    rich: () => (JSON.stringify(draw()).length > MAX_BYTES ? {} : { "application/vnd.plotly.v1+json": draw() }),
  });
}

/** The token ribbon: plotly cannot set running text, so its rich form is HTML. */
export function ribbonPlot(x: Ribbon): Plot {
  return new Plot({
    figure: () => toPlotly(x.figure()),
    svg: () => ribbonSvg(x),
    text: () => ribbonText(x),
    rich: () => {
      const [html, data] = [ribbonHtml(x), x.data()];
      return {
        ...(data && JSON.stringify(data).length <= MAX_BYTES ? { [RIBBON_MIME]: data } : {}),
        ...(html.length <= MAX_BYTES ? { "text/html": html } : {}),
      };
    },
  });
}
