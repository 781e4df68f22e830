import { bytes, num, padStart } from "../display/format.ts";
import { shows } from "../display/show.ts";
import type { MimeBundle } from "../host.ts";
import { type Layout, labelAt, sizeOf } from "./layout.ts";
import { edges, rangeOf } from "./range.ts";
import type { Storage } from "./storage.ts";

/** @internal What showing a tensor needs of it. */
export interface TensorView {
  readonly layout: Layout;
  readonly storage: Storage;
  readonly data: () => Float32Array;
  readonly picture: () => MimeBundle;
}

/** Weights that were not read yet are not read for a view, unless they are small. */
const READ_FOR_VIEW = 4_000_000;

export function showTensor<T>(cls: abstract new (...args: never[]) => T, view: (x: T) => TensorView): void {
  shows(cls, {
    text: (x) => tensorText(view(x)),
    bundle: (x) => {
      const v = view(x);
      return readable(v) && sizeOf(v.layout.shape) > 0 ? v.picture() : {};
    },
  });
}

const readable = (v: TensorView): boolean =>
  !v.storage.disposed && (v.storage.ready || sizeOf(v.layout.shape) <= READ_FOR_VIEW);

/** Shape, range, and the first two dimensions of numbers, shaded; at most some twenty lines. */
export function tensorText(v: TensorView): string {
  const { axes, shape } = v.layout;
  const n = sizeOf(shape);
  const head = `Tensor "${axes.join(" ")}"  [${shape.join(", ")}]  f32, ${bytes(n * 4)}`;
  if (v.storage.disposed) return `${head}  ·  disposed`;
  if (!readable(v)) return `${head}  ·  not read yet`;
  if (n === 0) return `${head}  ·  empty`;
  const data = v.data();
  const r = rangeOf(data);
  const facts = [`${num(r.min)} to ${num(r.max)}`, `mean ${num(r.mean, 3)}`, `sd ${num(r.sd, 3)}`];
  if (r.bad > 0) facts.push(`${r.bad} not finite`);
  const lines = [`${head}  ·  ${facts.join(", ")}`];
  const labels = axes.flatMap((axis, i) => (v.layout.labels[i] ? [`${axis}: ${list(v.layout, i)}`] : []));
  if (labels.length > 0) lines.push(labels.join("  ·  "));
  return [...lines, ...(n <= 8 ? [Array.from(data, (x) => num(x, 5)).join("  ")] : grid(v, data, r))].join("\n");
}

function list(layout: Layout, i: number): string {
  const { places } = edges(layout.shape[i], 9);
  return places.map((p) => (p < 0 ? "…" : String(labelAt(layout, i, p)))).join(", ");
}

const ROWS = 14;
const COLUMNS = 64;
const POSITIVE = ["·", "░", "▒", "▓", "█"];
const NEGATIVE = ["·", "-", "=", "≡", "≣"];

/** The last axis across, the one before it down; of further axes the first place. */
function grid(v: TensorView, data: Float32Array, r: ReturnType<typeof rangeOf>): string[] {
  const { axes, shape } = v.layout;
  const columns = shape.at(-1) ?? 1;
  const rows = shape.length > 1 ? shape.at(-2)! : 1;
  const [down, across] = [edges(rows, ROWS), edges(columns, COLUMNS)];
  const i = shape.length - 2;
  const margin = Math.max(...down.places.map((p) => (p < 0 || i < 0 ? 1 : String(labelAt(v.layout, i, p)).length)));
  const lines = down.places.map((row) => {
    if (row < 0) return `${padStart("⋮", margin)}`;
    const label = i < 0 ? "" : String(labelAt(v.layout, i, row));
    return `${padStart(label, margin)} ${across.places.map((col) => (col < 0 ? " … " : glyph(data[row * columns + col], r))).join("")}`;
  });
  const [lo, hi] = r.domain;
  const key = r.diverging
    ? `${num(lo, 3)} ${[...NEGATIVE].reverse().join("")}${POSITIVE.slice(1).join("")} ${num(hi, 3)}`
    : `${num(lo, 3)} ${POSITIVE.join("")} ${num(hi, 3)}`;
  const first = axes.slice(0, -2).map((axis, j) => `${axis} ${labelAt(v.layout, j, 0)}`);
  const where = [
    axes.length > 1 ? `${axes.at(-2)} down, ${axes.at(-1)} across` : `${axes[0]} across`,
    ...(first.length ? [`at ${first.join(", ")}`] : []),
  ].join(", ");
  return [...lines, `${" ".repeat(margin)} ${where};  ${key}${r.clipped > 0 ? `  (${r.clipped} beyond: ! )` : ""}`];
}

function glyph(x: number, r: ReturnType<typeof rangeOf>): string {
  if (Number.isNaN(x)) return "×";
  const [lo, hi] = r.domain;
  if (x < lo || x > hi) return "!";
  if (!r.diverging) return POSITIVE[Math.min(4, Math.floor(((x - lo) / (hi - lo || 1)) * 5))];
  const level = Math.min(4, Math.round((Math.abs(x) / hi) * 4));
  return x < 0 ? NEGATIVE[level] : POSITIVE[level];
}
