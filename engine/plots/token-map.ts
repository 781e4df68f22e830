import { num, token } from "../display/format.ts";
import { quantile } from "../metrics/quantile.ts";
import type { Captured } from "../run/captured.ts";
import type { Layers } from "../sites/selector.ts";
import { chooseLayers } from "../tables/choose.ts";
import { type RoutingBlock, routingBlock } from "../tables/routing-block.ts";
import { contextOf } from "../tables/tokens-of.ts";
import { EXPERT_COLORS, expertColors, NAMEABLE, type Scale, UTIL_SCALE } from "./color.ts";
import type { Figure } from "./figure.ts";
import { layerTicks, tokens, tokenTicks } from "./scope.ts";

export interface TokenMapOptions {
  color?: "expert" | "margin";
  layer?: Layers;
}

/** At most so many columns; beyond, neighbours are pooled. */
const COLUMNS = 2000;

/**
 * Every token's way through the layers: colour is the first-choice expert, or how firmly it was chosen. With more experts than hues,
 * it is the margin, or, asked for by `{ color: "expert" }`, the chosen expert's utilisation.
 */
export function tokenMap(run: Captured, o: TokenMapOptions = {}): Figure {
  const b = routingBlock(run);
  const layers = chooseLayers(o.layer, b.layers, run.facts.layers, "plot.tokenMap");
  const color = o.color ?? (b.experts <= NAMEABLE || !b.hasLogits ? "expert" : "margin");
  const pool = Math.ceil(b.rows.length / COLUMNS);
  const columns = Math.ceil(b.rows.length / pool);
  const at = cellIndex(b, layers, pool, columns);
  const marginal = color === "margin" ? marginCells(b, layers, pool, columns, at) : null;
  const chosen = expertCells(b, layers.length * columns, pool, at);
  const { z, scale } =
    marginal ?? (b.experts <= NAMEABLE ? { z: chosen, scale: named(b.experts) } : utilised(b, layers, columns, chosen));
  const height = Math.max(90, Math.min(420, layers.length * 22));
  const width = Math.max(460, Math.min(920, columns * 13 + 90));
  const rows = Array.from({ length: columns }, (_, i) => b.rows[i * pool]);
  const x = tokenTicks(run, rows, width - 90);
  const small = z.length <= 8000 && pool === 1;
  const few = z.length <= 2000;
  const margins = b.hasLogits && small ? b.rivals : null;
  return {
    title: marginal ? "How firmly each token was routed" : "Which expert each token chose",
    subtitle: `${run.facts.name}: ${tokens(b.rows.length)} × ${layers.length} MoE layers, top-${b.k} of ${b.experts}${b.k > 1 ? " (first choice)" : ""}`,
    width,
    height,
    ...(scale.kind === "ramp"
      ? { scale }
      : {
          legend: Array.from({ length: b.experts }, (_, e) => ({
            name: e === 0 ? "expert 0" : String(e),
            color: EXPERT_COLORS[e],
            form: "box" as const,
          })),
        }),
    panels: [
      {
        box: { x: [0, 1], y: [0, 1] },
        x: {
          domain: [-0.5, columns - 0.5],
          ticks: x.ticks,
          turned: x.turned,
          label: pool > 1 ? "token row t" : x.label,
        },
        y: { label: "layer", domain: [-0.5, layers.length - 0.5], ticks: layerTicks(layers, height) },
        marks: [
          {
            mark: "heatmap",
            x0: 0,
            dx: 1,
            y0: 0,
            dy: 1,
            columns,
            rows: layers.length,
            z,
            scale,
            ...(!marginal && columns <= 60
              ? {
                  text: (l: number, i: number) => (chosen[l * columns + i] >= 0 ? String(chosen[l * columns + i]) : ""),
                }
              : {}),
            ...(small
              ? {
                  hover: (l: number, i: number) => {
                    const e = entryOf(b, b.rows[i], layers[l]);
                    const firm =
                      margins && e >= 0 ? `, margin ${num(margins.margin[e], 3)} over ${margins.runnerUp[e]}` : "";
                    return `t ${b.rows[i]} “${token(few ? contextOf(run, b.rows[i], 4) : run.tokens.text[b.rows[i]], 48)}”, layer ${layers[l]}: expert ${chosen[l * columns + i]}${firm}`;
                  },
                }
              : {}),
          },
        ],
      },
    ],
    ...(noteOf(b, pool, marginal !== null) ? { note: noteOf(b, pool, marginal !== null) } : {}),
  };
}

function noteOf(b: RoutingBlock, pool: number, margins: boolean): string {
  const parts: string[] = [];
  if (pool > 1)
    parts.push(
      `Each column pools ${pool} tokens: ${margins ? "their smallest margin" : "their most frequent expert"}.`,
    );
  if (!margins && b.experts > NAMEABLE)
    parts.push(
      `${b.experts} experts are more than colours can name: colour is the chosen expert's utilisation in its layer.`,
    );
  return parts.join(" ");
}

const named = (experts: number): Scale => ({
  kind: "categories",
  colors: expertColors(experts),
  names: Array.from({ length: experts }, (_, e) => e.toString(36)),
  label: "expert id",
});

/** From an entry (t, layer) to its cell of the map; -1 outside. */
function cellIndex(
  b: RoutingBlock,
  layers: readonly number[],
  pool: number,
  columns: number,
): (entry: number) => number {
  const rowOf = new Map<number, number>();
  b.rows.forEach((t, i) => {
    rowOf.set(t, Math.floor(i / pool));
  });
  const place = Array.from(b.layers, (layer) => layers.indexOf(layer));
  return (entry) => {
    const l = place[b.layerAt[entry]];
    return l < 0 ? -1 : l * columns + rowOf.get(b.t[entry])!;
  };
}

/** The most frequent first choice of each cell; NaN where nothing was captured. */
function expertCells(b: RoutingBlock, cells: number, pool: number, at: (entry: number) => number): Float32Array {
  const z = new Float32Array(cells).fill(Number.NaN);
  if (pool === 1) {
    for (let i = 0; i < b.length; i++) if (at(i) >= 0) z[at(i)] = b.expert[i * b.k];
    return z;
  }
  const best = new Int32Array(cells);
  const votes = new Map<number, number>();
  for (let i = 0; i < b.length; i++) {
    const cell = at(i);
    if (cell < 0) continue;
    const e = b.expert[i * b.k];
    const key = cell * b.experts + e;
    const n = (votes.get(key) ?? 0) + 1;
    votes.set(key, n);
    if (n > best[cell]) {
      best[cell] = n;
      z[cell] = e;
    }
  }
  return z;
}

function marginCells(
  b: RoutingBlock,
  layers: readonly number[],
  pool: number,
  columns: number,
  at: (entry: number) => number,
) {
  const { margin } = b.rivals;
  const z = new Float32Array(layers.length * columns).fill(Number.NaN);
  for (let i = 0; i < b.length; i++) {
    const cell = at(i);
    if (cell >= 0 && !(z[cell] <= margin[i])) z[cell] = margin[i];
  }
  const top = Math.max(1e-6, quantile(Float32Array.from(margin).sort(), 0.95));
  const scale: Scale = {
    kind: "ramp",
    ramp: "cividis",
    domain: [0, top],
    label: pool > 1 ? "smallest margin (logits)" : "margin over the runner-up (logits)",
  };
  return { z, scale };
}

function utilised(
  b: RoutingBlock,
  layers: readonly number[],
  columns: number,
  chosen: Float32Array,
): { z: Float32Array; scale: Scale } {
  const count = new Float64Array(b.layers.length * b.experts);
  const perLayer = new Float64Array(b.layers.length);
  for (let i = 0; i < b.length; i++) {
    perLayer[b.layerAt[i]] += b.k;
    for (let s = 0; s < b.k; s++) count[b.layerAt[i] * b.experts + b.expert[i * b.k + s]]++;
  }
  const z = chosen.map((e, cell) => {
    const l = b.layers.indexOf(layers[Math.floor(cell / columns)]);
    return Math.log2((count[l * b.experts + e] * b.experts) / perLayer[l]);
  });
  return { z, scale: UTIL_SCALE };
}

/** The entry of (t, layer); -1 when it was not captured. */
export function entryOf(b: RoutingBlock, t: number, layer: number): number {
  const l = b.layers.indexOf(layer);
  if (b.dense) {
    const row = b.rows[t] === t ? t : b.rows.indexOf(t);
    return row < 0 || l < 0 ? -1 : row * b.layers.length + l;
  }
  for (let i = 0; i < b.length; i++) if (b.t[i] === t && b.layerAt[i] === l) return i;
  return -1;
}
