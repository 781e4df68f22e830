import { num } from "../display/format.ts";
import type { LayerFacts } from "../run/captured.ts";
import { coded, numbers } from "../tables/column.ts";
import type { LoadCounts } from "../tables/expert-load.ts";
import { Table } from "../tables/table.ts";
import { wilson } from "./chance.ts";
import { cellsOf } from "./load-metric.ts";
import { Metric } from "./metric.ts";

/**
 * How much likelier a group's tokens are to choose an expert than tokens at large: `log2( P(e | group) / P(e) )`. 0: no difference; 1: twice
 * as likely. The interval is Wilson's of the share, over P(e) taken as known. Tokens of one text are not independent, so it is too narrow
 * where there are few texts.
 * Source: after OLMoE's domain specialisation, 2409.02060, section 5.2 (which compares with the fair share k/E instead).
 */
export const lift = (hits: number, tokens: number, overall: number): number => Math.log2(hits / tokens / overall);

/** One row a group, layer and expert. */
export interface Lift {
  group: string;
  layer: number;
  expert: number;
  count: number;
  /** Of the group's tokens; and of all tokens. */
  share: number;
  overall: number;
  lift: number;
  low: number;
  high: number;
}

/** Fewer expected tokens than this say nothing. */
const EXPECTED = 5;

export function liftMetric(
  c: LoadCounts,
  layers: readonly LayerFacts[],
  chosen: readonly number[],
  by: string,
): Metric {
  const [L, E] = [c.layers.length, c.experts];
  const cells = cellsOf(c, chosen);
  const n = cells.length * E;
  const out = {
    group: new Int32Array(n),
    layer: new Int32Array(n),
    expert: new Int32Array(n),
    count: new Float64Array(n),
    share: new Float32Array(n),
    overall: new Float32Array(n),
    lift: new Float32Array(n),
    low: new Float32Array(n),
    high: new Float32Array(n),
  };
  let best = -1;
  let few = 0;
  cells.forEach(({ group, layer, cell }, i) => {
    const l = cell % L;
    for (let e = 0; e < E; e++) {
      let [hits, all] = [0, 0];
      for (let g = 0; g < c.groups.length; g++) {
        hits += c.count[(g * L + l) * E + e];
        all += c.tokens[g * L + l];
      }
      const at = i * E + e;
      const overall = hits / all;
      const tokens = c.tokens[cell];
      const count = c.count[cell * E + e];
      const [low, high] = wilson(count, tokens).map((p) => Math.log2(p / overall));
      out.group[at] = group;
      out.layer[at] = layer;
      out.expert[at] = e;
      out.count[at] = count;
      out.share[at] = count / tokens;
      out.overall[at] = overall;
      out.lift[at] = overall === 0 ? Number.NaN : lift(count, tokens, overall);
      out.low[at] = overall === 0 ? Number.NaN : low;
      out.high[at] = overall === 0 ? Number.NaN : high;
      if (overall * tokens < EXPECTED) few++;
      else if (best < 0 || out.low[at] > out.low[best]) best = at;
    }
  });
  const table = new Table<Lift>(
    {
      group: coded(out.group, c.groups),
      layer: numbers(out.layer),
      expert: numbers(out.expert),
      count: numbers(out.count),
      share: numbers(out.share),
      overall: numbers(out.overall),
      lift: numbers(out.lift),
      low: numbers(out.low),
      high: numbers(out.high),
    },
    { name: "lift", context: { layers } },
  );
  const where =
    best < 0
      ? `by ${by}`
      : `${by} ${c.groups[out.group[best]]} → layer ${out.layer[best]}, expert ${out.expert[best]}; the surest of ${n}`;
  return new Metric({
    name: "lift",
    unit: "log2",
    what: where,
    value: best < 0 ? Number.NaN : out.lift[best],
    interval: best < 0 ? [Number.NaN, Number.NaN] : [out.low[best], out.high[best]],
    baseline: { uniform: 0, shuffled: Number.NaN },
    formula: "log2( P(e | group) / P(e) ), Wilson's interval",
    source: "after OLMoE, 2409.02060",
    table,
    tokens: cells.reduce((sum, { cell, layer }) => (layer === cells[0].layer ? sum + c.tokens[cell] : sum), 0),
    warning: `the surest of ${n} comparisons is large by chance alone; mutualInformation({ by: "${by}" }) tests them together${few > 0 ? `. In ${num(few)} of them fewer than ${EXPECTED} tokens were expected` : ""}`,
  });
}
