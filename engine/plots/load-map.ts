import { num } from "../display/format.ts";
import { maxVio } from "../metrics/max-vio.ts";
import type { LoadCounts } from "../tables/expert-load.ts";
import { GREY, SERIES, UTIL_SCALE } from "./color.ts";
import type { Figure, Panel } from "./figure.ts";
import { expertTicks, layerTicks, tokens } from "./scope.ts";

/**
 * How the load of every layer is shared among its experts: log2 of utilisation (1 = the fair share), with the largest violation of each
 * layer at the right and each expert's mean over layers on top. Several groups stand side by side on one scale.
 */
export function loadMap(c: LoadCounts, what: string): Figure {
  return c.groups.length === 1 ? single(c, what) : multiples(c, what);
}

const MAX_GROUPS = 6;

function utilOf(c: LoadCounts, g: number): Float32Array {
  const [L, E] = [c.layers.length, c.experts];
  const out = new Float32Array(L * E);
  for (let i = 0; i < out.length; i++) {
    const cell = g * L * E + i;
    out[i] = (c.count[cell] * E) / (c.tokens[Math.floor(cell / E)] * c.k);
  }
  return out;
}

/** An unused expert lies below every scale: shown at its lower end. */
const log2 = (u: Float32Array): Float32Array => u.map((v) => (v === 0 ? -10 : Math.log2(v)));

function heat(c: LoadCounts, g: number, util: Float32Array): Panel["marks"][number] {
  const [L, E] = [c.layers.length, c.experts];
  return {
    mark: "heatmap",
    x0: 0,
    dx: 1,
    y0: 0,
    dy: 1,
    columns: E,
    rows: L,
    z: log2(util),
    scale: UTIL_SCALE,
    ...(E <= 16 && c.groups.length === 1
      ? {
          text: (l: number, e: number) =>
            util[l * E + e] === 0 ? "0" : util[l * E + e].toFixed(util[l * E + e] < 9.95 ? 1 : 0),
        }
      : {}),
    hover: (l, e) =>
      `layer ${c.layers[l]}, expert ${e}: utilisation ${num(util[l * E + e], 3)} (${num(c.count[(g * L + l) * E + e])} of ${num(c.tokens[g * L + l] * c.k)})`,
  };
}

function single(c: LoadCounts, what: string): Figure {
  const [L, E] = [c.layers.length, c.experts];
  const util = utilOf(c, 0);
  const cell = Math.max(7, Math.min(26, 420 / L));
  const height = Math.max(150, L * cell) + 66;
  const split = 1 - 66 / height;
  const width = Math.min(860, Math.max(560, E * 30 + 230));
  const violation = Float32Array.from({ length: L }, (_, l) => maxVio(c.count.subarray(l * E, (l + 1) * E)));
  const mean = Float32Array.from({ length: E }, (_, e) => {
    let sum = 0;
    for (let l = 0; l < L; l++) sum += util[l * E + e];
    return sum / L;
  });
  const x = [-0.5, E - 0.5] as const;
  const y = [-0.5, L - 0.5] as const;
  const wide = 0.81;
  const meanTop = Math.max(1.5, Math.max(...mean) * 1.12);
  const vioTop = Math.max(1, Math.max(...violation.filter(Number.isFinite)) * 1.25);
  const yTicks = layerTicks(c.layers, split * height);
  return {
    title: `Expert load of ${what}`,
    subtitle: `${tokens(c.tokens[0])}, ${L} MoE layers, top-${c.k} of ${E} experts; the fair share is ${num((c.tokens[0] * c.k) / E, 3)} tokens an expert`,
    width,
    height,
    scale: UTIL_SCALE,
    panels: [
      {
        box: { x: [0, wide], y: [0, split] },
        x: { label: "expert", domain: x, ticks: expertTicks(E, width * 0.6) },
        y: { label: "layer", domain: y, ticks: yTicks },
        marks: [heat(c, 0, util)],
      },
      {
        box: { x: [0, wide], y: [split + 8 / height, 1] },
        title: "mean utilisation of each expert",
        x: { domain: x, bare: true },
        y: {
          domain: [0, meanTop],
          ticks: [
            { at: 0, text: "0" },
            { at: 1, text: "1" },
          ],
        },
        marks: [
          {
            mark: "bars",
            along: "y",
            at: range(E),
            length: mean,
            color: GREY,
            name: "mean utilisation",
            hover: (e) => `expert ${e}: mean utilisation ${num(mean[e], 3)}`,
          },
          { mark: "rule", axis: "y", at: 1 },
        ],
      },
      {
        box: { x: [wide + 0.025, 1], y: [0, split] },
        title: "MaxVio",
        x: { domain: [0, vioTop], bare: cell >= 12 },
        y: { domain: y, bare: true },
        marks: [
          {
            mark: "bars",
            along: "x",
            at: range(L),
            length: violation,
            color: SERIES.second,
            name: "MaxVio",
            thickness: 0.7,
            text: (l) => (cell >= 12 ? violation[l].toFixed(1) : ""),
            hover: (l) => `layer ${c.layers[l]}: MaxVio ${num(violation[l], 3)}`,
          },
        ],
      },
    ],
    note: "MaxVio: how far the busiest expert of a layer is above its fair share (0 = even).",
  };
}

function multiples(c: LoadCounts, what: string): Figure {
  const [L, E] = [c.layers.length, c.experts];
  const order = c.groups.map((_, g) => g).sort((a, b) => c.tokens[b * L] - c.tokens[a * L]);
  const shown = order.slice(0, MAX_GROUPS);
  const columns = shown.length === 4 ? 2 : Math.min(3, shown.length);
  const rows = Math.ceil(shown.length / columns);
  const each = Math.max(110, Math.min(300, L * 12));
  const height = rows * each + (rows - 1) * 46;
  const gap = 0.035;
  const w = (1 - gap * (columns - 1)) / columns;
  const panels = shown.map((g, i): Panel => {
    const [row, col] = [Math.floor(i / columns), i % columns];
    const top = 1 - (row * (each + 46)) / height;
    return {
      box: {
        x: [col * (w + gap), col === columns - 1 ? 1 : col * (w + gap) + w],
        y: [Math.max(0, top - each / height), top],
      },
      title: `${c.groups[g]}  (${tokens(c.tokens[g * L])})`,
      x: {
        domain: [-0.5, E - 0.5],
        ticks: expertTicks(E, 200),
        ...(i + columns >= shown.length ? { label: "expert" } : {}),
      },
      y: {
        domain: [-0.5, L - 0.5],
        ticks: col === 0 ? layerTicks(c.layers, each) : [],
        ...(col === 0 ? { label: "layer" } : {}),
      },
      marks: [heat(c, g, utilOf(c, g))],
    };
  });
  const hidden = c.groups.length - shown.length;
  return {
    title: `Expert load of ${what}, by group`,
    subtitle: `${c.groups.length} groups, ${L} MoE layers, top-${c.k} of ${E} experts`,
    width: columns === 1 ? 520 : columns === 2 ? 720 : 860,
    height,
    scale: UTIL_SCALE,
    panels,
    ...(hidden > 0 ? { note: `The ${MAX_GROUPS} largest of ${c.groups.length} groups are shown.` } : {}),
  };
}

export const range = (n: number): Float32Array => Float32Array.from({ length: n }, (_, i) => i);
