import { num } from "../display/format.ts";
import type { MimeBundle } from "../host.ts";
import { quantile } from "../metrics/quantile.ts";
import { edges, type Range, rangeOf } from "../tensors/range.ts";
import type { Tensor } from "../tensors/tensor.ts";
import { type Scale, SERIES } from "./color.ts";
import type { Figure, Panel, Tick } from "./figure.ts";
import { figurePlot, type Plot } from "./plot.ts";
import { picture } from "./png.ts";
import { toSVG } from "./svg.ts";

export interface TensorPlots {
  /** The last axis across, the one before it upwards, others as panels. */
  heatmap(): Plot;
  histogram(): Plot;
}

export function tensorPlots(x: Tensor<any>): TensorPlots {
  return { heatmap: () => figurePlot(() => heatmap(x)), histogram: () => figurePlot(() => histogram(x)) };
}

export const heatmapPicture = (x: Tensor<any>): MimeBundle => picture(toSVG(heatmap(x)));

const MAX_COLUMNS = 320;
const MAX_ROWS = 160;
const MAX_PANELS = 4;

const scaleTicks = ([lo, hi]: readonly [number, number]): Tick[] =>
  [lo, (lo + hi) / 2, hi].map((at) => ({ at, text: num(at, 3) }));

function heatmap(x: Tensor<any>): Figure {
  const { data, shape } = x;
  const axes = x.axes === "" ? [] : (x.axes as string).split(" ");
  const columns = shape.at(-1) ?? 1;
  const rows = shape.at(-2) ?? 1;
  const planes = data.length / (rows * columns || 1);
  const range = rangeOf(data);
  const scale: Scale = {
    kind: "ramp",
    ramp: range.diverging ? "balance" : "viridis",
    domain: range.domain,
    label: "value",
    ticks: scaleTicks(range.domain),
  };
  const across = edges(columns, MAX_COLUMNS);
  const up = edges(rows, MAX_ROWS);
  const shown = Math.min(MAX_PANELS, planes);
  const integers = data.length <= 2000 && data.every((v) => Number.isInteger(v) && Math.abs(v) < 1000);
  const small = up.places.length * across.places.length <= 400;
  const labels = axes.map((axis) => x.labels(axis));
  const each = Math.max(40, Math.min(300, up.places.length * (small ? 24 : 9)));
  const height = shown * each + (shown - 1) * 34;
  const panels = Array.from({ length: shown }, (_, p): Panel => {
    const z = new Float32Array(up.places.length * across.places.length).fill(Number.NaN);
    up.places.forEach((row, i) => {
      across.places.forEach((col, j) => {
        if (row >= 0 && col >= 0) z[i * across.places.length + j] = data[(p * rows + row) * columns + col];
      });
    });
    const top = 1 - (p * (each + 34)) / height;
    return {
      box: { x: [0, 1], y: [Math.max(0, top - each / height), top] },
      ...(planes > 1 ? { title: planeName(axes, shape, labels, p) } : {}),
      x: {
        domain: [-0.5, across.places.length - 0.5],
        ...(p === shown - 1
          ? { ticks: ticks(across.places, labels.at(-1), 14), label: axes.at(-1) ?? "" }
          : { ticks: [] }),
      },
      y: {
        domain: [up.places.length - 0.5, -0.5],
        ticks: axes.length > 1 ? ticks(up.places, labels.at(-2), Math.max(2, Math.floor(each / 16))) : [],
        ...(axes.length > 1 ? { label: axes.at(-2)! } : {}),
      },
      marks: [
        {
          mark: "heatmap",
          x0: 0,
          dx: 1,
          y0: 0,
          dy: 1,
          columns: across.places.length,
          rows: up.places.length,
          z,
          scale,
          text: (i, j) => mark(z[i * across.places.length + j], range, integers, small && across.places.length <= 24),
          hover: (i, j) =>
            `${where(axes, labels, up.places[i], across.places[j])}${num(z[i * across.places.length + j], 5)}`,
        },
      ],
    };
  });
  const notes: string[] = [];
  if (range.clipped > 0)
    notes.push(
      `${range.clipped} of ${data.length} numbers lie beyond the colours${small ? " (+ above, − below)" : ""}.`,
    );
  if (range.bad > 0) notes.push(`${range.bad} are not finite (left blank).`);
  if (planes > shown) notes.push(`The first ${shown} of ${planes} panels are shown.`);
  if (across.cut || up.cut) notes.push("The middle of long axes is left out.");
  return {
    title: `Tensor ${x.axes}`,
    subtitle: `[${shape.join(", ")}]  from ${num(range.min, 4)} to ${num(range.max, 4)}`,
    width: Math.max(440, Math.min(820, across.places.length * (small ? 34 : 9) + 120)),
    height,
    scale,
    panels,
    ...(notes.length ? { note: notes.join(" ") } : {}),
  };
}

function mark(v: number, range: Range, integers: boolean, digits: boolean): string {
  if (!Number.isFinite(v)) return "";
  if (integers) return String(v);
  if (digits) return Math.abs(v) < 0.095 ? v.toFixed(2).replace(/^-?0\.00$/, "0") : num(v, 2);
  const [lo, hi] = range.domain;
  return v > hi ? "+" : v < lo ? "−" : "";
}

function ticks(places: readonly number[], labels: Int32Array | undefined, want: number): Tick[] {
  const every = [1, 2, 5, 10, 20, 50, 100, 200].find((step) => places.length / step <= want) ?? 500;
  return places.flatMap((p, i) => (p >= 0 && p % every === 0 ? [{ at: i, text: String(labels?.[p] ?? p) }] : []));
}

function where(axes: readonly string[], labels: readonly Int32Array[], row: number, col: number): string {
  const parts: string[] = [];
  if (axes.length > 1) parts.push(`${axes.at(-2)} ${labels.at(-2)?.[row]}`);
  if (axes.length > 0) parts.push(`${axes.at(-1)} ${labels.at(-1)?.[col]}`);
  return `${parts.join(", ")}: `;
}

function planeName(
  axes: readonly string[],
  shape: readonly number[],
  labels: readonly Int32Array[],
  plane: number,
): string {
  const parts: string[] = [];
  let rest = plane;
  for (let i = axes.length - 3; i >= 0; i--) {
    parts.unshift(`${axes[i]} ${labels[i][rest % shape[i]]}`);
    rest = Math.floor(rest / shape[i]);
  }
  return parts.join(", ");
}

function histogram(x: Tensor<any>): Figure {
  const finite = x.data.filter(Number.isFinite);
  const sorted = Float32Array.from(finite).sort();
  const [lo, hi] = sorted.length ? [sorted[0], sorted.at(-1)!] : [0, 1];
  const bins = Math.max(1, Math.min(60, Math.ceil(2 * Math.cbrt(sorted.length))));
  const step = (hi - lo || 1) / bins;
  const counts = new Float64Array(bins);
  for (const v of sorted) counts[Math.min(bins - 1, Math.floor((v - lo) / step))]++;
  const at = Float64Array.from(counts, (_, i) => lo + (i + 0.5) * step);
  const bad = x.data.length - finite.length;
  return {
    title: `Values of tensor ${x.axes}`,
    subtitle: `${num(x.data.length)} numbers, median ${num(quantile(sorted, 0.5), 3)}, from ${num(lo)} to ${num(hi)}${bad ? `; ${bad} not finite` : ""}`,
    width: 520,
    height: 200,
    panels: [
      {
        box: { x: [0, 1], y: [0, 1] },
        x: { label: "value", domain: [lo - step / 2, lo + (bins + 0.5) * step] },
        y: { label: "numbers", domain: [0, Math.max(1, ...counts) * 1.06], grid: true },
        marks: [
          {
            mark: "bars",
            along: "y",
            at,
            length: counts,
            color: SERIES.first,
            thickness: 0.96,
            name: "numbers",
            hover: (i) => `${num(at[i] - step / 2)} to ${num(at[i] + step / 2)}: ${num(counts[i])}`,
          },
        ],
      },
    ],
  };
}
