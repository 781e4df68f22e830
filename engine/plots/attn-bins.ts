import { quantile } from "../metrics/quantile.ts";
import type { Captured, SiteCapture } from "../run/captured.ts";
import { SUMMARY } from "../run/captured.ts";
import { alive } from "../tables/alive.ts";

/** One head of one layer in a captured attention summary. */
export interface Head {
  readonly capture: SiteCapture;
  readonly layer: number;
  /** Its number in the model, and its place in the capture. */
  readonly head: number;
  readonly at: number;
}

export const headsOf = (captures: readonly SiteCapture[], keep: (head: number) => boolean): Head[] =>
  captures
    .flatMap((capture) =>
      Array.from({ length: capture.shape[1] }, (_, at) => ({
        capture,
        layer: capture.layer,
        head: capture.heads?.[at] ?? at,
        at,
      })),
    )
    .filter((h) => keep(h.head));

/** Along positions: the mean position of each bin, and quantiles of exp(entropy) over its rows and heads. */
export interface Series {
  readonly x: Float64Array;
  readonly q05: Float64Array;
  readonly q25: Float64Array;
  readonly median: Float64Array;
  readonly q75: Float64Array;
  readonly q95: Float64Array;
  /** Values in a bin, on average. */
  readonly size: number;
}

/** Where everything is seen, a bin of a long text holds at least 16 positions: what a head finds in one place is no trend. The teeth of
 * chunks need all bins. */
const binsOf = (last: number, chunk: number): number => Math.min(last, 160, chunk > 0 ? 160 : Math.max(40, last >> 4));

/** Bins are even in the position, or in its logarithm. */
export function binned(
  run: Captured,
  heads: readonly Head[],
  stat: (typeof SUMMARY)[number],
  { last, log, chunk }: { readonly last: number; readonly log: boolean; readonly chunk: number },
): Series {
  const s = SUMMARY.indexOf(stat);
  const n = binsOf(last, chunk);
  const binOf = log
    ? (p: number) => Math.min(n - 1, Math.floor((Math.log(p + 1) / Math.log(last + 1)) * n))
    : (p: number) => Math.min(n - 1, Math.floor((p / last) * n));
  const [sum, size] = [new Float64Array(n), new Int32Array(n)];
  for (const { capture } of heads)
    for (const t of capture.rows) {
      const bin = binOf(run.tokens.pos[t]);
      sum[bin] += run.tokens.pos[t];
      size[bin]++;
    }
  const values = Array.from(size, (count) => new Float32Array(count));
  const filled = new Int32Array(n);
  for (const { capture, at } of heads) {
    const data = alive(capture);
    const [count, width] = [capture.shape[1], capture.shape[2] ?? SUMMARY.length];
    for (let row = 0; row < capture.rows.length; row++) {
      const bin = binOf(run.tokens.pos[capture.rows[row]]);
      values[bin][filled[bin]++] = data[(row * count + at) * width + s];
    }
  }
  const bins = values.flatMap((v, i) => (v.length > 0 ? [i] : []));
  const sorted = bins.map((i) => values[i].sort());
  const q = (share: number) => Float64Array.from(sorted, (v) => Math.exp(quantile(v, share)));
  const x = Float64Array.from(bins, (i) => sum[i] / size[i] + (log ? 1 : 0));
  const mean = sorted.reduce((total, v) => total + v.length, 0) / (sorted.length || 1);
  return { x, q05: q(0.05), q25: q(0.25), median: q(0.5), q75: q(0.75), q95: q(0.95), size: mean };
}
