import { writeFile } from "node:fs/promises";
import { shows } from "../display/show.ts";
import type { Figure } from "./figure.ts";
import { type PlotlyFigure, toPlotly } from "./plotly.ts";
import { toPNG } from "./png.ts";
import { toSVG } from "./svg.ts";
import { toText } from "./text.ts";

/** A picture that draws itself when it ends a cell: a plotly figure where a renderer exists, a PNG elsewhere, text in a terminal. */
export class Plot {
  readonly #make: () => Figure;
  #figure: Figure | null = null;

  /** @internal */
  constructor(make: () => Figure) {
    this.#make = make;
  }

  /** A plotly.js figure (`{ data, layout }`), to change and draw by hand. */
  toFigure(): PlotlyFigure {
    return toPlotly(this.#describe());
  }

  toSVG(): string {
    return toSVG(this.#describe());
  }

  /** The picture as PNG bytes, at twice its size; written to `path` when one is given. */
  async toPNG(path?: string): Promise<Uint8Array> {
    const png = await toPNG(this.toSVG());
    if (path !== undefined) await writeFile(path, png);
    return png;
  }

  toString(): string {
    return toText(this.#describe());
  }

  #describe(): Figure {
    return (this.#figure ??= this.#make());
  }

  static {
    shows(Plot, {
      text: (p) => p.toString(),
      bundle: async (p) => ({
        "application/vnd.plotly.v1+json": p.toFigure(),
        "image/png": Buffer.from(await p.toPNG()).toString("base64"),
      }),
    });
  }
}
