import { num } from "../display/format.ts";
import type { LayerFacts } from "../run/captured.ts";
import { coded, numbers } from "../tables/column.ts";
import type { LoadCounts } from "../tables/expert-load.ts";
import { Table } from "../tables/table.ts";
import { DRAWS, draw, middle95, poisson } from "./chance.ts";
import { Metric } from "./metric.ts";

/** A number that a layer's counts give, and how to speak of it. */
export interface LoadMeasure {
  readonly name: string;
  readonly of: (counts: Float64Array) => number;
  readonly formula: string;
  readonly source: string;
  /** With perfectly even load over `experts`. */
  readonly even: (experts: number) => number;
}

/** One row a group and layer. */
export interface LayerValue {
  group: string;
  layer: number;
  value: number;
  /** What a router that deals tokens out at random shows with as many tokens. */
  chance: number;
  tokens: number;
}

const MEANINGFUL = 20;

/** The measure by group and layer, its mean, the interval of the mean over resampled loads, and what chance gives. */
export function loadMetric(
  c: LoadCounts,
  measure: LoadMeasure,
  layers: readonly LayerFacts[],
  chosen: readonly number[],
): Metric {
  const E = c.experts;
  const cells = cellsOf(c, chosen);
  const counts = cells.map(({ cell }) => c.count.slice(cell * E, (cell + 1) * E));
  const value = Float64Array.from(counts, (x) => measure.of(x));
  const one = poisson(1);
  const chance = new Float64Array(cells.length);
  const again = new Float64Array(DRAWS);
  const row = new Float64Array(E);
  for (let d = 0; d < DRAWS; d++) {
    cells.forEach(({ cell }, i) => {
      const fair = (c.tokens[cell] * c.k) / E;
      chance[i] += measure.of(draw(row.fill(fair), one)) / DRAWS;
      again[d] += measure.of(draw(counts[i], one)) / cells.length;
    });
  }
  const tokens = Math.min(...cells.map(({ cell }) => c.tokens[cell]));
  const fair = (tokens * c.k) / E;
  return new Metric({
    name: measure.name,
    what: `mean over ${cells.length} ${c.groups.length > 1 ? "groups and layers" : cells.length === 1 ? "layer" : "layers"}`,
    value: mean(value),
    interval: centred(again, mean(value)),
    baseline: { uniform: measure.even(E), shuffled: mean(chance) },
    formula: measure.formula,
    source: measure.source,
    tokens: Math.max(...cells.map(({ cell }) => c.tokens[cell])),
    ...(fair < MEANINGFUL
      ? {
          warning: `an expert's fair share is ${num(fair, 3)} tokens, too few to tell imbalance from chance; use more text`,
        }
      : {}),
    table: new Table<LayerValue>(
      {
        group: coded(
          Int32Array.from(cells, (x) => x.group),
          c.groups,
        ),
        layer: numbers(Int32Array.from(cells, (x) => x.layer)),
        value: numbers(Float32Array.from(value)),
        chance: numbers(Float32Array.from(chance)),
        tokens: numbers(Float64Array.from(cells, ({ cell }) => c.tokens[cell])),
      },
      { name: measure.name, context: { layers } },
    ),
  });
}

/** The middle 95 % of the resampled values, moved to where the value is: counting noise lifts measures such as MaxVio in every resample. */
function centred(again: Float64Array, value: number): [number, number] {
  const shift = value - mean(again);
  const [low, high] = middle95(again);
  return [low + shift, high + shift];
}

/** The (group, layer) pairs asked for that have tokens. */
export function cellsOf(c: LoadCounts, chosen: readonly number[]): { group: number; layer: number; cell: number }[] {
  const out: { group: number; layer: number; cell: number }[] = [];
  const L = c.layers.length;
  for (let group = 0; group < c.groups.length; group++)
    for (let l = 0; l < L; l++) {
      const cell = group * L + l;
      if (chosen.includes(c.layers[l]) && c.tokens[cell] > 0) out.push({ group, layer: c.layers[l], cell });
    }
  return out;
}

export function mean(values: ArrayLike<number>): number {
  let sum = 0;
  for (let i = 0; i < values.length; i++) sum += values[i];
  return sum / values.length;
}
