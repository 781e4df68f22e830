import { ArgumentError } from "../errors.ts";
import { axisIndex, type Layout, sizeOf, stridesOf } from "./layout.ts";

export type Unary = (x: number) => number;
export type Binary = (a: number, b: number) => number;

export const add: Binary = (a, b) => a + b;
export const sub: Binary = (a, b) => a - b;
export const mul: Binary = (a, b) => a * b;
export const div: Binary = (a, b) => a / b;
export const sigmoid: Unary = (x) => (x >= 0 ? 1 / (1 + Math.exp(-x)) : Math.exp(x) / (1 + Math.exp(x)));
export const silu: Unary = (x) => x * sigmoid(x);

export function unary(data: Float32Array, fn: Unary): Float32Array {
  const out = new Float32Array(data.length);
  for (let i = 0; i < out.length; i++) out[i] = fn(data[i]);
  return out;
}

/** Axes whose labels name a thing. Two tensors that differ there hold different things and must not be combined place by
 * place; along `t`, `pos` and the like, that is often what one wants (two slices, two runs). */
const IDENTITY = new Set(["layer", "head", "expert", "vocab"]);

/** The common block of two: the left one's axes, then those that only the right one has. */
export function broadcastLayout(a: Layout, b: Layout, where: string): Layout {
  const extra: number[] = [];
  b.axes.forEach((name, j) => {
    const i = a.axes.indexOf(name);
    if (i < 0) {
      extra.push(j);
      return;
    }
    if (a.shape[i] !== b.shape[j])
      throw new ArgumentError(
        `${where}: axis "${name}" is ${a.shape[i]} on the left and ${b.shape[j]} on the right; slice one, or rename it`,
      );
    const [la, lb] = [a.labels[i], b.labels[j]];
    if (IDENTITY.has(name) && !sameLabels(la, lb))
      throw new ArgumentError(
        `${where}: axis "${name}" stands for different ${name}s on the two sides; take the same ones, or rename it`,
      );
  });
  return {
    axes: [...a.axes, ...extra.map((j) => b.axes[j])],
    shape: [...a.shape, ...extra.map((j) => b.shape[j])],
    labels: [...a.labels, ...extra.map((j) => b.labels[j])],
  };
}

function sameLabels(a: Int32Array | null, b: Int32Array | null): boolean {
  if (a === b) return true;
  const [x, y] = [a ?? b!, a ? b : null];
  return x.every((v, i) => v === (y ? y[i] : i));
}

/** Strides of `part` as seen from `whole`: 0 along the axes that it lacks. */
export function stridesWithin(whole: Layout, part: Layout): number[] {
  const strides = stridesOf(part.shape);
  return whole.axes.map((name) => {
    const i = part.axes.indexOf(name);
    return i < 0 ? 0 : strides[i];
  });
}

export function binary(
  a: { layout: Layout; data: Float32Array },
  b: { layout: Layout; data: Float32Array } | number,
  fn: Binary,
  where: string,
): { layout: Layout; data: Float32Array } {
  if (typeof b === "number") return { layout: a.layout, data: unary(a.data, (x) => fn(x, b)) };
  const layout = broadcastLayout(a.layout, b.layout, where);
  const out = new Float32Array(sizeOf(layout.shape));
  const [x, y] = [a.data, b.data];
  if (
    layout.axes.length === b.layout.axes.length &&
    layout.axes.every((name, i) => name === b.layout.axes[i] && name === a.layout.axes[i])
  ) {
    for (let i = 0; i < out.length; i++) out[i] = fn(x[i], y[i]);
    return { layout, data: out };
  }
  const sx = stridesWithin(layout, a.layout);
  const sy = stridesWithin(layout, b.layout);
  walk(layout.shape, sx, sy, (o, n, i, di, j, dj) => {
    for (let k = 0; k < n; k++, i += di, j += dj) out[o + k] = fn(x[i], y[j]);
  });
  return { layout, data: out };
}

/** Visits the lines along the last axis of a block that two sources are laid over. */
export function walk(
  shape: readonly number[],
  sx: readonly number[],
  sy: readonly number[],
  line: (o: number, n: number, i: number, di: number, j: number, dj: number) => void,
): void {
  const rank = shape.length;
  const total = sizeOf(shape);
  if (total === 0) return;
  if (rank === 0) {
    line(0, 1, 0, 0, 0, 0);
    return;
  }
  const n = shape[rank - 1];
  const counter = new Array<number>(rank).fill(0);
  let [i, j] = [0, 0];
  for (let o = 0; o < total; o += n) {
    line(o, n, i, sx[rank - 1], j, sy[rank - 1]);
    for (let r = rank - 2; r >= 0; r--) {
      i += sx[r];
      j += sy[r];
      if (++counter[r] < shape[r]) break;
      i -= sx[r] * shape[r];
      j -= sy[r] * shape[r];
      counter[r] = 0;
    }
  }
}

/** Along one axis; the largest is taken off first, so that nothing overflows. */
export function softmax(layout: Layout, data: Float32Array, axis: string): Float32Array {
  const i = axisIndex(layout, axis, "softmax");
  const n = layout.shape[i];
  const step = stridesOf(layout.shape)[i];
  const out = new Float32Array(data.length);
  const block = n * step;
  for (let base = 0; base < data.length; base += block)
    for (let j = 0; j < step; j++) {
      const from = base + j;
      let top = -Infinity;
      for (let k = 0, p = from; k < n; k++, p += step) if (data[p] > top) top = data[p];
      let z = 0;
      for (let k = 0, p = from; k < n; k++, p += step) z += Math.exp(data[p] - top);
      for (let k = 0, p = from; k < n; k++, p += step) out[p] = Math.exp(data[p] - top) / z;
    }
  return out;
}
