import type { Table as ArrowTable } from "apache-arrow";
import { options, quoted, writing } from "../check.ts";
import { ArgumentError } from "../errors.ts";
import { heatmapPicture, type TensorPlots, tensorPlots } from "../plots/tensor.ts";
import { toArrow } from "./arrow.ts";
import type { AxisOf, Broadcast, Out, Place, Renamed, Without, WithoutOne } from "./axes.ts";
import { cosine, dot } from "./contract.ts";
import * as each from "./elementwise.ts";
import { axisIndex, type Layout, parseAxes, sizeOf, trimLabels } from "./layout.ts";
import { readNpy, writeNpy } from "./npy.ts";
import * as fold from "./reduce.ts";
import { at, type Part, slice } from "./select.ts";
import { showTensor } from "./show.ts";
import { Storage } from "./storage.ts";
import { topk } from "./topk.ts";

/** Numbers, or lists of them, nested once for each axis. */
export type Nested = ArrayLike<number> | readonly Nested[];

/**
 * A dense block of f32 numbers whose axes have names, in the type as at run time: `Tensor<"t d">`. Verbs take axis names, combine by
 * axis name, keep the order of axes, and sum in f64. `at`, `slice` over the first axis and `rename` share memory; every other verb makes a
 * new tensor. Reducing the last axis that is left gives a number.
 *
 * ```ts
 * const x = Tensor.from([[1, 2, 3], [4, 5, 6]], "t d");
 * x.mean("t").sub(x.at({ t: 0 })).norm();   // 2.598…
 * ```
 */
export class Tensor<A extends string = string> implements Disposable {
  readonly #layout: Layout;
  readonly #storage: Storage;
  readonly #from: number;
  #view: Float32Array | null = null;

  /** @internal Use `Tensor.from`. */
  constructor(layout: Layout, storage: Storage, from = 0) {
    this.#layout = layout;
    this.#storage = storage;
    this.#from = from;
  }

  /**
   * A tensor over `data` (row-major). A Float32Array is not copied; other numbers are converted, nested lists flattened.
   * `shape` may be left out for one axis and for nested lists.
   */
  static from<const A extends string>(data: Nested, axes: A, shape?: readonly number[]): Tensor<A> {
    const names = parseAxes(axes, "Tensor.from");
    if (shape !== undefined && !(Array.isArray(shape) && shape.every((n) => Number.isInteger(n) && n >= 0)))
      throw new ArgumentError(`Tensor.from: ${quoted(shape)} is not a shape; give a list of sizes`);
    const sizes = shape ?? shapeOf(data, names.length);
    if (sizes.length !== names.length)
      throw new ArgumentError(
        `Tensor.from: "${axes}" has ${names.length} axes, but the shape is [${sizes.join(", ")}]`,
      );
    const flat = data instanceof Float32Array ? data : flatten(data, sizeOf(sizes));
    if (flat.length !== sizeOf(sizes))
      throw new ArgumentError(`Tensor.from: ${flat.length} numbers do not fill the shape [${sizes.join(", ")}]`);
    return makeTensor(axes, sizes, flat);
  }

  /** Reads a `.npy` file (any number type; converted to f32). Its axes are called `i j k …` unless named here. */
  static async open<const A extends string = string>(path: string, axes?: A): Promise<Tensor<A>> {
    const { data, shape } = await readNpy(path);
    const names = axes ?? ["i", "j", "k", "l", "m", "n", "o", "p"].slice(0, shape.length).join(" ");
    if (parseAxes(names, "Tensor.open").length !== shape.length)
      throw new ArgumentError(
        `Tensor.open: ${path} has ${shape.length} axes, [${shape.join(", ")}], but "${names}" names another number`,
      );
    return makeTensor(names as A, shape, data);
  }

  /** The names, in order: `"t d"`. */
  get axes(): A {
    return this.#layout.axes.join(" ") as A;
  }

  get shape(): readonly number[] {
    return this.#layout.shape;
  }

  /** Row-major, f32; the very array that the tensor was made from. */
  get data(): Float32Array {
    const all = this.#storage.data;
    const n = sizeOf(this.#layout.shape);
    if (this.#from === 0 && all.length === n) return all;
    return (this.#view ??= all.subarray(this.#from, this.#from + n));
  }

  /** What each place along the axis stands for: layers, token rows; 0, 1, 2 … where nothing else is known. */
  labels(axis: AxisOf<A>): Int32Array {
    const i = axisIndex(this.#layout, axis, "labels");
    return this.#layout.labels[i] ?? Int32Array.from({ length: this.#layout.shape[i] }, (_, j) => j);
  }

  /** By label: `at({ layer: 7 })` is layer 7 even when only 3 and 7 were captured. Negative counts from the end. */
  at<K extends AxisOf<A>>(where: Place<A> & { readonly [P in K]: number }): Out<Without<A, K>> {
    return this.#part(at(this.#layout, this.data, where as Record<string, number>));
  }

  /** Keeps the labels from the first up to, not including, the second; negative counts from the end. */
  slice(where: { readonly [K in AxisOf<A>]?: readonly [from: number, to: number] }): Tensor<A> {
    return this.#part(slice(this.#layout, this.data, where as Record<string, readonly [number, number]>));
  }

  /** The same numbers under other axis names: `rename({ t: "q" })`. */
  rename<const M extends { readonly [K in AxisOf<A>]?: string }>(names: M): Tensor<Renamed<A, M>> {
    options(names, "tensor.rename");
    const renamed = this.#layout.axes.map((name) => (names as Record<string, string | undefined>)[name] ?? name);
    for (const name of Object.keys(names)) if (!this.#layout.axes.includes(name)) this.labels(name as AxisOf<A>);
    const axes = parseAxes(renamed.join(" "), "rename");
    return new Tensor({ ...this.#layout, axes }, this.#storage, this.#from);
  }

  /** Over one axis, or over everything. */
  mean(): number;
  mean<B extends AxisOf<A>>(axis: B): Out<WithoutOne<A, B>>;
  mean(axis?: string): any {
    return this.#fold(fold.mean, "mean", axis);
  }

  /** Over one axis, or over everything. */
  sum(): number;
  sum<B extends AxisOf<A>>(axis: B): Out<WithoutOne<A, B>>;
  sum(axis?: string): any {
    return this.#fold(fold.sum, "sum", axis);
  }

  /** NaN where one of the numbers is. */
  max(): number;
  max<B extends AxisOf<A>>(axis: B): Out<WithoutOne<A, B>>;
  max(axis?: string): any {
    return this.#fold(fold.max, "max", axis);
  }

  /** The label of the largest (the first of equal ones); without an axis, its place in `data`. */
  argmax(): number;
  argmax<B extends AxisOf<A>>(axis: B): Out<WithoutOne<A, B>>;
  argmax(axis?: string): any {
    return this.#fold(fold.argmax, "argmax", axis);
  }

  /** Euclidean length. */
  norm(): number;
  norm<B extends AxisOf<A>>(axis: B): Out<WithoutOne<A, B>>;
  norm(axis?: string): any {
    return this.#fold(fold.norm, "norm", axis);
  }

  /** Number by number, matched by axis name; along an axis that only one side has, the other is repeated. */
  add<O extends string = string>(other: Tensor<O> | number): Tensor<Broadcast<A, O>> {
    return this.#binary(other, each.add, "add");
  }

  /** As `add`. */
  sub<O extends string = string>(other: Tensor<O> | number): Tensor<Broadcast<A, O>> {
    return this.#binary(other, each.sub, "sub");
  }

  /** As `add`. */
  mul<O extends string = string>(other: Tensor<O> | number): Tensor<Broadcast<A, O>> {
    return this.#binary(other, each.mul, "mul");
  }

  /** As `add`. */
  div<O extends string = string>(other: Tensor<O> | number): Tensor<Broadcast<A, O>> {
    return this.#binary(other, each.div, "div");
  }

  /** Sums products over the axis. Other axes that both have are aligned; those that only one has remain. */
  dot<O extends string, B extends AxisOf<A> & AxisOf<O>>(
    other: Tensor<O>,
    axis: B,
  ): Out<Broadcast<Without<A, B>, Without<O, B>>> {
    return this.#result(dot(this.#block(), this.#other(other, "dot"), axis));
  }

  /** The cosine of the angle between lines along the axis; axes combine as in `dot`. 0 where a line is all zero. */
  cosine<O extends string, B extends AxisOf<A> & AxisOf<O>>(
    other: Tensor<O>,
    axis: B,
  ): Out<Broadcast<Without<A, B>, Without<O, B>>> {
    return this.#result(cosine(this.#block(), this.#other(other, "cosine"), axis));
  }

  /** Along one axis; the last one unless named. */
  softmax(axis?: AxisOf<A>): Tensor<A> {
    return this.#same(each.softmax(this.#layout, this.data, axis ?? this.#last("softmax")));
  }

  sigmoid(): Tensor<A> {
    return this.map(each.sigmoid);
  }

  /** `x · sigmoid(x)`. */
  silu(): Tensor<A> {
    return this.map(each.silu);
  }

  exp(): Tensor<A> {
    return this.map(Math.exp);
  }

  /** Natural. */
  log(): Tensor<A> {
    return this.map(Math.log);
  }

  abs(): Tensor<A> {
    return this.map(Math.abs);
  }

  map(fn: (x: number) => number): Tensor<A> {
    if (typeof fn !== "function") throw new ArgumentError(`map: ${quoted(fn)} is not a function`);
    return this.#same(each.unary(this.data, fn));
  }

  /** The `k` largest along an axis (the last unless named), largest first, with their labels. */
  topk(k: number, axis?: AxisOf<A>): { values: Tensor<A>; indices: Tensor<A> } {
    const found = topk(this.#layout, this.data, k, axis ?? this.#last("topk"));
    return {
      values: new Tensor(found.layout, new Storage(found.values)),
      indices: new Tensor(found.layout, new Storage(found.indices)),
    };
  }

  /**
   * Whether no number differs by more than `tolerance` times the largest magnitude of the other (1 when that is all zero).
   * NaN is close to NaN only.
   */
  close(other: Tensor<any> | number, tolerance = 1e-5): boolean {
    if (typeof other !== "number" && !(other instanceof Tensor))
      throw new ArgumentError(`close: ${quoted(other)} is neither a tensor nor a number`);
    const expected = typeof other === "number" ? Float32Array.of(other) : other.data;
    const shape = typeof other === "number" ? this.shape : other.shape;
    if (shape.length !== this.shape.length || shape.some((n, i) => n !== this.shape[i])) return false;
    let scale = 0;
    for (let i = 0; i < expected.length; i++) if (Math.abs(expected[i]) > scale) scale = Math.abs(expected[i]);
    const bound = tolerance * (scale || 1);
    return this.data.every((v, i) => {
      const w = expected[typeof other === "number" ? 0 : i];
      return Math.abs(v - w) <= bound || Object.is(v, w);
    });
  }

  /** A column of labels for every axis but the last, then `value`: the last axis as fixed-size lists over the same memory. */
  toArrow(): ArrowTable {
    return toArrow(this.#layout, this.data);
  }

  /** Little-endian f32, C order, as `numpy.load` reads it. Axis names are not stored. */
  async toNpy(path: string): Promise<void> {
    await writing(path, "tensor.toNpy", (file) => writeNpy(file, this.shape, this.data));
  }

  get plot(): TensorPlots {
    return tensorPlots(this);
  }

  /** Frees the memory now, for this tensor and all that share it. Touching it afterwards throws `ReleasedError`. */
  dispose(): void {
    this.#view = null;
    this.#storage.dispose();
  }

  [Symbol.dispose](): void {
    this.dispose();
  }

  #block() {
    return { layout: this.#layout, data: this.data };
  }

  #same(data: Float32Array): Tensor<A> {
    return new Tensor(this.#layout, new Storage(data));
  }

  #result(block: { layout: Layout; data: Float32Array }): any {
    return block.layout.axes.length === 0 ? block.data[0] : new Tensor(block.layout, new Storage(block.data));
  }

  #part(part: Part): any {
    if (part.layout.axes.length === 0) return part.data ? part.data[0] : this.data[part.from];
    if (part.data) return new Tensor(part.layout, new Storage(part.data));
    return new Tensor(part.layout, this.#storage, this.#from + part.from);
  }

  #fold(fn: fold.Fold, name: string, axis?: string): any {
    if (axis === undefined) return fold.reduceAll(this.data, fn, name);
    return this.#result(fold.reduceAxis(this.#layout, this.data, axis, fn, name));
  }

  #binary(other: Tensor<any> | number, fn: each.Binary, name: string): Tensor<any> {
    const block = each.binary(this.#block(), typeof other === "number" ? other : this.#other(other, name), fn, name);
    return new Tensor(block.layout, new Storage(block.data));
  }

  #other(other: Tensor<any>, where: string) {
    if (other instanceof Tensor) return other.#block();
    throw new ArgumentError(`${where}: ${quoted(other)} is not a tensor`);
  }

  #last(where: string): string {
    const name = this.#layout.axes.at(-1);
    if (name === undefined) throw new ArgumentError(`${where}: a tensor without axes has none to work along`);
    return name;
  }

  static {
    // biome-ignore lint/complexity/noThisInStatic: compiled, the name of the class is not yet bound here
    showTensor(this, (x: Tensor) => ({
      layout: x.#layout,
      storage: x.#storage,
      data: () => x.data,
      picture: () => heatmapPicture(x),
    }));
  }
}

/** For the engine: any labels, lazily read numbers, memory that must be given back. */
export function makeTensor<A extends string>(
  axes: A,
  shape: readonly number[],
  source: Float32Array | (() => Float32Array),
  o: { labels?: { readonly [axis: string]: ArrayLike<number> | undefined }; release?: () => void } = {},
): Tensor<A> {
  const names = parseAxes(axes, "makeTensor");
  const labels = names.map((name) => trimLabels(o.labels?.[name] && Int32Array.from(o.labels[name]!)));
  return new Tensor<A>({ axes: names, shape, labels }, new Storage(source, o.release));
}

function shapeOf(data: Nested, rank: number): number[] {
  const shape: number[] = [];
  let inner: Nested | number = data;
  while (typeof inner === "object" && inner !== null) {
    shape.push(inner.length);
    inner = inner[0] as Nested | number;
  }
  if (shape.length === rank) return shape;
  throw new ArgumentError(
    `Tensor.from: lists are nested ${shape.length} deep, but ${rank} axes are named; give a shape`,
  );
}

function flatten(data: Nested, n: number): Float32Array {
  if (!Array.isArray(data) && !ArrayBuffer.isView(data))
    throw new ArgumentError(`Tensor.from: ${quoted(data)} is not a list of numbers`);
  if (data.length === 0 || typeof data[0] === "number") return Float32Array.from(data as ArrayLike<number>);
  const out = new Float32Array(n);
  let at = 0;
  for (const part of data as readonly Nested[]) {
    const flat = flatten(part, n / data.length);
    if (flat.length !== n / data.length)
      throw new ArgumentError("Tensor.from: the nested lists are not all of the same length");
    out.set(flat, at);
    at += flat.length;
  }
  return out;
}
