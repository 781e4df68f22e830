import { quoted } from "../check.ts";
import { ArgumentError } from "../errors.ts";

/** Names, sizes and labels of a row-major block of numbers. A label says what a place stands for (layer 3, token row 17). */
export interface Layout {
  readonly axes: readonly string[];
  readonly shape: readonly number[];
  /** One entry an axis; `null` means that the label is the place itself. */
  readonly labels: readonly (Int32Array | null)[];
}

export const sizeOf = (shape: readonly number[]): number => shape.reduce((a, b) => a * b, 1);

/** Elements between neighbours along each axis. */
export function stridesOf(shape: readonly number[]): number[] {
  const strides = new Array<number>(shape.length);
  let step = 1;
  for (let i = shape.length - 1; i >= 0; i--) {
    strides[i] = step;
    step *= shape[i];
  }
  return strides;
}

const NAME = /^[A-Za-z_][A-Za-z0-9_]*$/;

export function parseAxes(axes: string, where: string): string[] {
  if (typeof axes !== "string")
    throw new ArgumentError(`${where}: ${quoted(axes)} is not a list of axis names; write for example "t d"`);
  const names = axes === "" ? [] : axes.split(" ");
  names.forEach((name, i) => {
    if (!NAME.test(name))
      throw new ArgumentError(`${where}: "${axes}" is not a list of axis names; write for example "t d"`);
    if (names.indexOf(name) !== i)
      throw new ArgumentError(`${where}: axis "${name}" is named twice in "${axes}"; rename one`);
  });
  return names;
}

export function axisIndex(layout: Layout, name: string, where: string): number {
  const i = layout.axes.indexOf(name);
  if (i < 0)
    throw new ArgumentError(`${where}: there is no axis ${quoted(name)} here; the axes are "${layout.axes.join(" ")}"`);
  return i;
}

/** Where along axis `i` the label stands. Negative counts from the end. */
export function placeOf(layout: Layout, i: number, label: number, where: string): number {
  const n = layout.shape[i];
  const labels = layout.labels[i];
  let place = label;
  if (!Number.isInteger(label)) place = -1;
  else if (label < 0) place = n + label;
  else if (labels) place = labels.indexOf(label);
  if (place >= 0 && place < n) return place;
  throw new ArgumentError(`${where}: axis "${layout.axes[i]}" has no ${quoted(label)}; ${describeLabels(layout, i)}`);
}

/** `it holds 0 … 63` or `it holds 3, 7`. */
export function describeLabels(layout: Layout, i: number): string {
  const n = layout.shape[i];
  const labels = layout.labels[i];
  if (n === 0) return "it is empty";
  if (!labels) return n === 1 ? "it holds only 0" : `it holds 0 … ${n - 1}`;
  const shown = Array.from(labels.subarray(0, 8)).join(", ");
  return n > 8 ? `it holds ${shown}, … ${labels[n - 1]} (${n} in all)` : `it holds ${shown}`;
}

/** Labels 0, 1, 2, … say nothing that the place does not. */
export function trimLabels(labels: Int32Array | null | undefined): Int32Array | null {
  if (!labels) return null;
  return labels.every((v, i) => v === i) ? null : labels;
}

export const labelAt = (layout: Layout, i: number, place: number): number => layout.labels[i]?.[place] ?? place;

/** Leaves axis `i` out. */
export function dropAxis(layout: Layout, i: number): Layout {
  const keep = (_: unknown, j: number) => j !== i;
  return { axes: layout.axes.filter(keep), shape: layout.shape.filter(keep), labels: layout.labels.filter(keep) };
}
