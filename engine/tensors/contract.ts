import { ArgumentError } from "../errors.ts";
import { broadcastLayout, stridesWithin, walk } from "./elementwise.ts";
import { axisIndex, dropAxis, type Layout, sizeOf } from "./layout.ts";
import { permute } from "./select.ts";

interface Block {
  layout: Layout;
  data: Float32Array;
}

/**
 * Sums products over the named axis (f64 accumulation). Other axes that both have are aligned, those that one has remain:
 * `"t d" · "vocab d"` over `d` is `"t vocab"`, `"t d" · "t d"` is `"t"`.
 */
export function dot(a: Block, b: Block, axis: string): Block {
  const [x, y] = [axisLast(a, axis, "dot"), axisLast(b, axis, "dot")];
  const n = lengthOf(x, y, axis, "dot");
  return pairs(x, y, "dot", (i, j) => inner(x.data, i * n, y.data, j * n, n));
}

/** `dot` of the two, each divided by its own norm; 0 where one of them is all zero. */
export function cosine(a: Block, b: Block, axis: string): Block {
  const [x, y] = [axisLast(a, axis, "cosine"), axisLast(b, axis, "cosine")];
  const n = lengthOf(x, y, axis, "cosine");
  const [nx, ny] = [norms(x.data, n), norms(y.data, n)];
  return pairs(x, y, "cosine", (i, j) => {
    const scale = nx[i] * ny[j];
    return scale === 0 ? 0 : inner(x.data, i * n, y.data, j * n, n) / scale;
  });
}

function axisLast(block: Block, axis: string, where: string): Block {
  const i = axisIndex(block.layout, axis, where);
  const order = block.layout.axes.map((_, j) => j).filter((j) => j !== i);
  return permute(block.layout, block.data, [...order, i]);
}

function lengthOf(x: Block, y: Block, axis: string, where: string): number {
  const [n, m] = [x.layout.shape.at(-1)!, y.layout.shape.at(-1)!];
  if (n !== m) throw new ArgumentError(`${where}: axis "${axis}" is ${n} on the left and ${m} on the right`);
  return n;
}

/** Calls `fn` with the line of `x` and the line of `y` that belong to each cell of the result. */
function pairs(x: Block, y: Block, where: string, fn: (i: number, j: number) => number): Block {
  const lx = dropAxis(x.layout, x.layout.axes.length - 1);
  const ly = dropAxis(y.layout, y.layout.axes.length - 1);
  const layout = broadcastLayout(lx, ly, where);
  const out = new Float32Array(sizeOf(layout.shape));
  walk(layout.shape, stridesWithin(layout, lx), stridesWithin(layout, ly), (o, n, i, di, j, dj) => {
    for (let k = 0; k < n; k++, i += di, j += dj) out[o + k] = fn(i, j);
  });
  return { layout, data: out };
}

function inner(x: Float32Array, i: number, y: Float32Array, j: number, n: number): number {
  let [a, b] = [0, 0];
  let k = 0;
  for (; k + 1 < n; k += 2) {
    a += x[i + k] * y[j + k];
    b += x[i + k + 1] * y[j + k + 1];
  }
  if (k < n) a += x[i + k] * y[j + k];
  return a + b;
}

function norms(x: Float32Array, n: number): Float64Array {
  const out = new Float64Array(n === 0 ? 0 : x.length / n);
  for (let i = 0; i < out.length; i++) out[i] = Math.sqrt(inner(x, i * n, x, i * n, n));
  return out;
}
