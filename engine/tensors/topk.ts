import { quoted } from "../check.ts";
import { ArgumentError } from "../errors.ts";
import { axisIndex, type Layout, labelAt, sizeOf, stridesOf } from "./layout.ts";

/** The `k` largest along an axis, largest first, and their labels. Of equal ones the lower place comes first; NaN comes last. */
export function topk(
  layout: Layout,
  data: Float32Array,
  k: number,
  axis: string,
): { layout: Layout; values: Float32Array; indices: Float32Array } {
  const a = axisIndex(layout, axis, "topk");
  const n = layout.shape[a];
  if (!Number.isInteger(k) || k < 1 || k > n)
    throw new ArgumentError(`topk: k is ${quoted(k)}, but axis "${axis}" has ${n} places; give 1 to ${n}`);
  const step = stridesOf(layout.shape)[a];
  const shape = layout.shape.map((s, i) => (i === a ? k : s));
  const values = new Float32Array(sizeOf(shape));
  const indices = new Float32Array(values.length);
  const best = new Int32Array(k);
  const outer = sizeOf(layout.shape.slice(0, a));
  for (let o = 0; o < outer; o++)
    for (let j = 0; j < step; j++) {
      const from = o * n * step + j;
      let found = 0;
      for (let p = 0; p < n; p++) {
        const v = rank(data[from + p * step]);
        if (found === k && v <= rank(data[from + best[k - 1] * step])) continue;
        let q = found < k ? found++ : k - 1;
        while (q > 0 && v > rank(data[from + best[q - 1] * step])) {
          best[q] = best[q - 1];
          q--;
        }
        best[q] = p;
      }
      for (let q = 0; q < k; q++) {
        const to = o * k * step + q * step + j;
        values[to] = data[from + best[q] * step];
        indices[to] = labelAt(layout, a, best[q]);
      }
    }
  const labels = layout.labels.map((l, i) => (i === a ? null : l));
  return { layout: { axes: layout.axes, shape, labels }, values, indices };
}

const rank = (v: number): number => (Number.isNaN(v) ? -Infinity : v);
