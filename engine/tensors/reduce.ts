import { ArgumentError } from "../errors.ts";
import { axisIndex, dropAxis, type Layout, labelAt } from "./layout.ts";

/** What to do with a line of `n` numbers, `step` apart. Sums run in f64. */
export type Fold = (x: Float32Array, from: number, n: number, step: number) => number;

export const sum: Fold = (x, from, n, step) => {
  let s = 0;
  for (let j = 0, i = from; j < n; j++, i += step) s += x[i];
  return s;
};

export const mean: Fold = (x, from, n, step) => sum(x, from, n, step) / n;

/** NaN when one of them is. */
export const max: Fold = (x, from, n, step) => {
  let m = -Infinity;
  for (let j = 0, i = from; j < n; j++, i += step) {
    const v = x[i];
    if (v > m) m = v;
    else if (Number.isNaN(v)) return Number.NaN;
  }
  return m;
};

/** The first of equal ones. A NaN counts as the largest, as in numpy. */
export const argmax: Fold = (x, from, n, step) => {
  let m = -Infinity;
  let at = 0;
  for (let j = 0, i = from; j < n; j++, i += step) {
    const v = x[i];
    if (v > m) {
      m = v;
      at = j;
    } else if (Number.isNaN(v)) return j;
  }
  return at;
};

/** Euclidean. */
export const norm: Fold = (x, from, n, step) => {
  let s = 0;
  for (let j = 0, i = from; j < n; j++, i += step) s += x[i] * x[i];
  return Math.sqrt(s);
};

/** Of an empty line only the sum and the norm are defined. */
function refuseEmpty(n: number, fold: Fold, where: string): void {
  if (n === 0 && fold !== sum && fold !== norm)
    throw new ArgumentError(`${where}: nothing to reduce, the axis is empty`);
}

export function reduceAll(data: Float32Array, fold: Fold, where: string): number {
  refuseEmpty(data.length, fold, where);
  return fold(data, 0, data.length, 1);
}

export function reduceAxis(
  layout: Layout,
  data: Float32Array,
  axis: string,
  fold: Fold,
  where: string,
): { layout: Layout; data: Float32Array } {
  const i = axisIndex(layout, axis, where);
  const n = layout.shape[i];
  refuseEmpty(n, fold, where);
  const inner = layout.shape.slice(i + 1).reduce((a, b) => a * b, 1);
  const outer = layout.shape.slice(0, i).reduce((a, b) => a * b, 1);
  const out = new Float32Array(outer * inner);
  for (let o = 0; o < outer; o++)
    for (let j = 0; j < inner; j++) out[o * inner + j] = fold(data, o * n * inner + j, n, inner);
  if (fold === argmax && layout.labels[i]) for (let j = 0; j < out.length; j++) out[j] = labelAt(layout, i, out[j]);
  return { layout: dropAxis(layout, i), data: out };
}
