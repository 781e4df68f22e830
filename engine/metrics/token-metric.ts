import type { Captured } from "../run/captured.ts";
import { numbers } from "../tables/column.ts";
import { byLayer, routingBlock } from "../tables/routing-block.ts";
import { Table } from "../tables/table.ts";
import { mean } from "./load-metric.ts";
import { Metric } from "./metric.ts";
import { quantile } from "./quantile.ts";

/** One row a layer: quantiles over tokens. */
export interface LayerQuantiles {
  layer: number;
  mean: number;
  q05: number;
  q25: number;
  median: number;
  q75: number;
  q95: number;
}

export interface TokenMeasure {
  readonly name: string;
  readonly unit: string;
  readonly formula: string;
  readonly source: string;
  readonly uniform: number;
  /** `value`: the mean of the layers' medians, or of their means. */
  readonly by: "median" | "mean";
  readonly note?: string;
}

/** A number that each decision has, summed up by layer. The interval is that of the mean over layers, tokens taken as independent. */
export function tokenMetric(
  run: Captured,
  values: Float32Array,
  measure: TokenMeasure,
  chosen: readonly number[],
): Metric {
  const b = routingBlock(run);
  const all = byLayer(b, values);
  const rows = chosen.map((layer) => {
    const sorted = all[b.layers.indexOf(layer)].sort();
    const q = (p: number) => quantile(sorted, p);
    const average = mean(sorted);
    const sd = Math.sqrt(mean(Float64Array.from(sorted, (v) => (v - average) ** 2)));
    // A median's standard error is 1.2533 (√(π/2)) times a mean's for near-normal values.
    const error = ((measure.by === "median" ? 1.2533 : 1) * sd) / Math.sqrt(sorted.length);
    return { layer, mean: average, q05: q(0.05), q25: q(0.25), median: q(0.5), q75: q(0.75), q95: q(0.95), error };
  });
  const value = mean(rows.map((r) => r[measure.by]));
  const error = Math.sqrt(rows.reduce((sum, r) => sum + r.error ** 2, 0)) / rows.length;
  const column = (name: keyof LayerQuantiles) => numbers(Float32Array.from(rows, (r) => r[name]));
  return new Metric({
    name: measure.name,
    unit: measure.unit,
    what: `mean of the ${measure.by}s of ${rows.length} ${rows.length === 1 ? "layer" : "layers"}${measure.note ? `; ${measure.note}` : ""}`,
    value,
    interval: [value - 1.96 * error, value + 1.96 * error],
    baseline: { uniform: measure.uniform, shuffled: Number.NaN },
    formula: measure.formula,
    source: measure.source,
    tokens: b.rows.length,
    table: new Table<LayerQuantiles>(
      {
        layer: numbers(Int32Array.from(rows, (r) => r.layer)),
        mean: column("mean"),
        q05: column("q05"),
        q25: column("q25"),
        median: column("median"),
        q75: column("q75"),
        q95: column("q95"),
      },
      { name: measure.name, context: { layers: run.facts.layers } },
    ),
  });
}
