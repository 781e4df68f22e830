/**
 * What a picture says, apart from how it is drawn: panels with two axes each, and marks on them. `plotly.ts`, `svg.ts` and `text.ts` draw
 * the same description, so that a notebook, a PNG and a terminal show the same thing. Pixels are CSS pixels.
 */
import type { Scale } from "./color.ts";

export interface Figure {
  readonly title: string;
  /** States how many tokens, layers, … it was made from. */
  readonly subtitle?: string;
  readonly width: number;
  /** Of the panels together, without header and axes. */
  readonly height: number;
  readonly panels: readonly Panel[];
  readonly legend?: readonly LegendItem[];
  /** One colour scale, drawn at the top right. */
  readonly scale?: Scale;
  /** Below the picture: what was clipped or left out. */
  readonly note?: string;
}

export interface Panel {
  /** The part of the drawing area, in fractions from the left bottom corner. */
  readonly box: { readonly x: readonly [number, number]; readonly y: readonly [number, number] };
  readonly x: Axis;
  readonly y: Axis;
  readonly marks: readonly Mark[];
  readonly title?: string;
}

export interface Axis {
  readonly label?: string;
  readonly kind?: "linear" | "log";
  /** Of a log axis: the values themselves, above 0. May run downwards. */
  readonly domain: readonly [number, number];
  /** Round numbers are chosen when absent. */
  readonly ticks?: readonly Tick[];
  /** Tick texts stand upright, each below its place: for words. */
  readonly turned?: boolean;
  readonly grid?: boolean;
  /** Neither ticks nor labels. */
  readonly bare?: boolean;
}

export interface Tick {
  readonly at: number;
  readonly text: string;
}

export type Mark = Heatmap | Line | Band | Bars | Points | Rule | Rug | Label;

/** Cells of size `dx` by `dy`, the first one's centre at (x0, y0); row 0 first. NaN is left blank. */
export interface Heatmap {
  readonly mark: "heatmap";
  readonly x0: number;
  readonly dx: number;
  readonly y0: number;
  readonly dy: number;
  readonly columns: number;
  readonly rows: number;
  readonly z: Float32Array;
  readonly scale: Scale;
  /** Written into the cells, where they are large enough. */
  readonly text?: (row: number, column: number) => string;
  /** Shown when the pointer rests on a cell; left out of pictures with too many cells. */
  readonly hover?: (row: number, column: number) => string;
}

export interface Line {
  readonly mark: "line";
  readonly x: ArrayLike<number>;
  readonly y: ArrayLike<number>;
  readonly color: string;
  readonly width?: number;
  readonly dash?: boolean;
  /** `steps`: the value holds until the next point. */
  readonly shape?: "straight" | "steps";
  readonly name: string;
  readonly hover?: (i: number) => string;
}

export interface Band {
  readonly mark: "band";
  readonly x: ArrayLike<number>;
  readonly lo: ArrayLike<number>;
  readonly hi: ArrayLike<number>;
  readonly color: string;
  readonly opacity: number;
  readonly name: string;
}

export interface Bars {
  readonly mark: "bars";
  /** Which way a bar grows. */
  readonly along: "x" | "y";
  readonly at: ArrayLike<number>;
  readonly length: ArrayLike<number>;
  /** One colour, or one a bar. */
  readonly color: string | readonly string[];
  /** Share of the distance between bars. */
  readonly thickness?: number;
  readonly name: string;
  readonly text?: (i: number) => string;
  readonly hover?: (i: number) => string;
}

export interface Points {
  readonly mark: "points";
  readonly x: ArrayLike<number>;
  readonly y: ArrayLike<number>;
  readonly color: string | readonly string[];
  readonly size?: number;
  readonly name: string;
  readonly hover?: (i: number) => string;
}

/** A reference: the fair share, chance, zero. `axis` is the one whose value is fixed. */
export interface Rule {
  readonly mark: "rule";
  readonly axis: "x" | "y";
  readonly at: number;
  readonly label?: string;
  readonly color?: string;
}

/** Short strokes at the foot of the panel: where the data lie. */
export interface Rug {
  readonly mark: "rug";
  readonly x: ArrayLike<number>;
  readonly color: string;
  readonly name: string;
}

export interface Label {
  readonly mark: "label";
  readonly x: number;
  readonly y: number;
  readonly text: string;
  readonly color?: string;
  readonly anchor?: "start" | "middle" | "end";
}

export interface LegendItem {
  readonly name: string;
  readonly color: string;
  readonly form: "line" | "dash" | "box" | "tick" | "dot";
  readonly opacity?: number;
}
