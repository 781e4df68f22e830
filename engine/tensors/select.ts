import { options } from "../check.ts";
import { ArgumentError } from "../errors.ts";
import { axisIndex, type Layout, labelAt, placeOf, sizeOf, stridesOf, trimLabels } from "./layout.ts";

/** A part of a block: a view (`from`, contiguous in the source) or a copy (`data`). */
export interface Part {
  readonly layout: Layout;
  readonly from: number;
  readonly data: Float32Array | null;
}

/** Fixes some axes at a label each; they leave the shape. A view when the fixed axes are the leading ones. */
export function at(layout: Layout, data: Float32Array, where: Readonly<Record<string, number | undefined>>): Part {
  const fixed = new Map<number, number>();
  for (const [name, label] of Object.entries(options(where, "tensor.at"))) {
    if (label === undefined) continue;
    const i = axisIndex(layout, name, "at");
    fixed.set(i, placeOf(layout, i, label, "at"));
  }
  const left = layout.axes.map((_, i) => i).filter((i) => !fixed.has(i));
  const strides = stridesOf(layout.shape);
  const part = pickAxes(layout, left);
  let from = 0;
  for (const [i, place] of fixed) from += place * strides[i];
  if (left.every((axis, j) => axis === layout.axes.length - left.length + j)) return { layout: part, from, data: null };
  return {
    layout: part,
    from: 0,
    data: gather(
      data,
      from,
      part.shape,
      left.map((i) => strides[i]),
    ),
  };
}

/** Keeps the labels in `[from, to)` of each named axis. A view when only the first axis is cut. */
export function slice(
  layout: Layout,
  data: Float32Array,
  where: Readonly<Record<string, readonly [from: number, to: number] | undefined>>,
): Part {
  const start = layout.shape.map(() => 0);
  const shape = [...layout.shape];
  for (const [name, range] of Object.entries(options(where, "tensor.slice"))) {
    if (range === undefined) continue;
    if (!Array.isArray(range) || range.length !== 2)
      throw new ArgumentError(`slice: "${name}" takes [from, to], for example { ${name}: [0, 8] }`);
    const i = axisIndex(layout, name, "slice");
    const [a, b] = [edge(layout, i, range[0]), edge(layout, i, range[1])];
    start[i] = a;
    shape[i] = Math.max(0, b - a);
  }
  const strides = stridesOf(layout.shape);
  const labels = layout.axes.map((_, i) =>
    start[i] === 0 && !layout.labels[i]
      ? null
      : trimLabels(Int32Array.from({ length: shape[i] }, (_, j) => labelAt(layout, i, start[i] + j))),
  );
  const part: Layout = { axes: layout.axes, shape, labels };
  const from = start.reduce((sum, s, i) => sum + s * strides[i], 0);
  if (shape.every((n, i) => i === 0 || n === layout.shape[i])) return { layout: part, from, data: null };
  return { layout: part, from: 0, data: gather(data, from, shape, strides) };
}

/** The first place whose label is not below `bound`. */
function edge(layout: Layout, i: number, bound: number): number {
  const n = layout.shape[i];
  if (!Number.isInteger(bound) && Math.abs(bound) !== Infinity)
    throw new ArgumentError(`slice: ${bound} is not a whole number (axis "${layout.axes[i]}")`);
  if (bound < 0) return Math.max(0, n + bound);
  const labels = layout.labels[i];
  if (!labels) return Math.min(n, bound);
  const place = labels.findIndex((v) => v >= bound);
  return place < 0 ? n : place;
}

function pickAxes(layout: Layout, keep: readonly number[]): Layout {
  return {
    axes: keep.map((i) => layout.axes[i]),
    shape: keep.map((i) => layout.shape[i]),
    labels: keep.map((i) => layout.labels[i]),
  };
}

/** Copies a strided block into a dense one. */
export function gather(
  data: Float32Array,
  from: number,
  shape: readonly number[],
  strides: readonly number[],
): Float32Array {
  const out = new Float32Array(sizeOf(shape));
  if (out.length === 0) return out;
  const rank = shape.length;
  if (rank === 0) {
    out[0] = data[from];
    return out;
  }
  const inner = shape[rank - 1];
  const step = strides[rank - 1];
  const counter = new Array<number>(rank - 1).fill(0);
  let source = from;
  for (let o = 0; o < out.length; o += inner) {
    if (step === 1) out.set(data.subarray(source, source + inner), o);
    else for (let j = 0, s = source; j < inner; j++, s += step) out[o + j] = data[s];
    for (let i = rank - 2; i >= 0; i--) {
      source += strides[i];
      if (++counter[i] < shape[i]) break;
      source -= strides[i] * shape[i];
      counter[i] = 0;
    }
  }
  return out;
}

/** The same block with its axes in the order given. */
export function permute(
  layout: Layout,
  data: Float32Array,
  order: readonly number[],
): { layout: Layout; data: Float32Array } {
  if (order.every((axis, i) => axis === i)) return { layout, data };
  const strides = stridesOf(layout.shape);
  const part = pickAxes(layout, order);
  return {
    layout: part,
    data: gather(
      data,
      0,
      part.shape,
      order.map((i) => strides[i]),
    ),
  };
}
