import type { Axis, Figure, Panel, Tick } from "./figure.ts";
import { drawable, face } from "./font.ts";

/** Sizes in CSS pixels that the SVG and the plotly figure share. */
export const TEXT = { title: 15, subtitle: 11.5, axis: 11.5, tick: 10.5, legend: 11 } as const;
export const PAD = 14;

export interface Layout {
  readonly width: number;
  readonly height: number;
  /** The drawing area. */
  readonly left: number;
  readonly top: number;
  readonly right: number;
  readonly bottom: number;
  /** Baselines. */
  readonly titleY: number;
  readonly subtitleY: readonly number[];
  readonly subtitle: readonly string[];
  /** Middle of the row that holds the legend and the colour scale. */
  readonly keyY: number | null;
  readonly note: readonly string[];
}

export function layout(figure: Figure): Layout {
  const edge = (side: "left" | "right" | "bottom") =>
    Math.max(8, ...figure.panels.filter((p) => touches(p, side)).map((p) => need(p, side)));
  const left = PAD + edge("left");
  const right = PAD + edge("right");
  const subtitle = figure.subtitle ? wrap(figure.subtitle, figure.width - 2 * PAD, TEXT.subtitle) : [];
  const titleY = PAD + TEXT.title;
  const subtitleY = subtitle.map((_, i) => titleY + 6 + (i + 1) * (TEXT.subtitle + 3));
  let y = subtitleY.at(-1) ?? titleY;
  let keyY: number | null = null;
  if (figure.legend?.length || figure.scale) {
    const rows = legendRows(figure, figure.width - 2 * PAD).length;
    keyY = y + 19;
    y = Math.max(figure.scale ? keyY + 16 : keyY + 4, keyY + (rows - 1) * 17 + 4);
  }
  const titled = figure.panels.some((p) => p.title && p.box.y[1] > 0.999);
  const top = y + (titled ? 28 : 14);
  const note = figure.note ? wrap(figure.note, figure.width - 2 * PAD, TEXT.tick) : [];
  const bottom = edge("bottom");
  const height = Math.ceil(top + figure.height + bottom + (note.length ? 8 + note.length * 14 : 0) + PAD);
  return {
    width: figure.width,
    height,
    left,
    top,
    right: figure.width - right,
    bottom: top + figure.height,
    titleY,
    subtitleY,
    subtitle,
    keyY,
    note,
  };
}

/** How far tick texts reach below the axis. */
export const tickDepth = (a: Axis): number =>
  a.turned
    ? Math.max(TEXT.tick, ...(a.ticks ?? []).map((t) => face("regular").width(drawable(t.text)) * TEXT.tick))
    : TEXT.tick;

const touches = (p: Panel, side: "left" | "right" | "bottom"): boolean =>
  side === "left" ? p.box.x[0] < 0.001 : side === "right" ? p.box.x[1] > 0.999 : p.box.y[0] < 0.001;

/** Room for ticks and labels at a side of a panel. */
function need(p: Panel, side: "left" | "right" | "bottom"): number {
  if (side === "bottom") return p.x.bare ? 4 : 8 + tickDepth(p.x) + (p.x.label ? TEXT.axis + 9 : 0);
  if (side === "right") {
    const last = p.x.bare || p.x.turned ? undefined : ticksOf(p.x, 5).at(-1);
    return last ? Math.max(4, (face("regular").width(last.text) * TEXT.tick) / 2 - 4) : 4;
  }
  if (p.y.bare) return 4;
  const widest = Math.max(0, ...ticksOf(p.y, 6).map((t) => face("regular").width(t.text) * TEXT.tick));
  return widest + 9 + (p.y.label ? TEXT.axis + 9 : 0);
}

export interface Place {
  readonly x: readonly [number, number];
  /** Top, bottom. */
  readonly y: readonly [number, number];
}

export function placeOf(l: Layout, p: Panel): Place {
  const [w, h] = [l.right - l.left, l.bottom - l.top];
  return {
    x: [l.left + p.box.x[0] * w, l.left + p.box.x[1] * w],
    y: [l.top + (1 - p.box.y[1]) * h, l.top + (1 - p.box.y[0]) * h],
  };
}

/** From values to pixels. */
export function project(axis: Axis, from: number, to: number): (v: number) => number {
  const f = axis.kind === "log" ? Math.log10 : (v: number) => v;
  const [a, b] = [f(axis.domain[0]), f(axis.domain[1])];
  return (v) => from + ((f(v) - a) / (b - a || 1)) * (to - from);
}

/** The axis' own ticks, or about `want` round ones. */
export function ticksOf(axis: Axis, want: number): readonly Tick[] {
  if (axis.ticks) return axis.ticks;
  const [lo, hi] = [Math.min(...axis.domain), Math.max(...axis.domain)];
  if (axis.kind === "log") return logTicks(lo, hi);
  const step = roundStep((hi - lo) / want);
  const ticks: Tick[] = [];
  const digits = Math.max(0, -Math.floor(Math.log10(step) + 1e-9));
  for (let i = Math.ceil(lo / step - 1e-9); i * step <= hi + step * 1e-9; i++) {
    // Not -0, which JSON does not keep.
    const at = i * step + 0;
    ticks.push({ at, text: short(at, digits) });
  }
  return ticks;
}

function roundStep(raw: number): number {
  if (!(raw > 0)) return 1;
  const power = 10 ** Math.floor(Math.log10(raw));
  const m = raw / power;
  return power * (m <= 1 ? 1 : m <= 2 ? 2 : m <= 5 ? 5 : 10);
}

function logTicks(lo: number, hi: number): Tick[] {
  const ticks: Tick[] = [];
  const wide = Math.log10(hi / lo) > 2.2;
  for (let e = Math.floor(Math.log10(lo)); e <= Math.ceil(Math.log10(hi)); e++)
    for (const m of wide ? [1] : [1, 2, 5]) {
      const at = m * 10 ** e;
      if (at >= lo * 0.999 && at <= hi * 1.001)
        ticks.push({ at, text: at >= 1000 && at < 1e4 ? `${at / 1000}k` : short(at, Math.max(0, -e)) });
    }
  return ticks;
}

/** `10k`, `2M`, `-0.5` with a true minus. */
export function short(v: number, digits = 0): string {
  const size = Math.abs(v);
  const text = size >= 1e6 ? `${trim(size / 1e6)}M` : size >= 1e4 ? `${trim(size / 1e3)}k` : size.toFixed(digits);
  return v < 0 && Number(size.toFixed(digits)) !== 0 ? `−${text}` : text;
}

const trim = (v: number): string => String(Number(v.toPrecision(3)));

/** Breaks between words so that each line fits. */
export function wrap(text: string, width: number, size: number): string[] {
  const f = face("regular");
  const lines: string[] = [];
  let line = "";
  for (const word of text.split(" ")) {
    const longer = line === "" ? word : `${line} ${word}`;
    if (line !== "" && f.width(longer) * size > width) {
      lines.push(line);
      line = word;
    } else line = longer;
  }
  return line === "" ? lines : [...lines, line];
}

export const SCALE_WIDTH = 190;
/** Room that the colour scale takes of the legend's row, its label at its left included. */
export const scaleRoom = (label: string): number => SCALE_WIDTH + 12 + face("regular").width(label) * TEXT.tick;
export const LEGEND_GAP = 16;
export const SWATCH = 20;

/** Legend items by row, with their left edges; the colour scale keeps its place at the right. */
export function legendRows(
  figure: Figure,
  width: number,
): { x: number; item: NonNullable<Figure["legend"]>[number] }[][] {
  const room = width - (figure.scale ? scaleRoom(figure.scale.label) + 12 : 0);
  const rows: { x: number; item: NonNullable<Figure["legend"]>[number] }[][] = [[]];
  let x = 0;
  for (const item of figure.legend ?? []) {
    const w = SWATCH + face("regular").width(item.name) * TEXT.legend + LEGEND_GAP;
    if (x > 0 && x + w - LEGEND_GAP > room) {
      rows.push([]);
      x = 0;
    }
    rows.at(-1)!.push({ x, item });
    x += w;
  }
  return rows;
}
