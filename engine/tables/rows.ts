import { quoted } from "../check.ts";
import { ArgumentError } from "../errors.ts";
import type { ColumnData } from "./column.ts";
import { random } from "./random.ts";

/** Row numbers in the column's order. Stable; NaN and null come last in either order. */
export function sortRows(column: ColumnData, order: "asc" | "desc"): Int32Array {
  const rows = Int32Array.from({ length: column.length }, (_, i) => i);
  const keys = sortKeys(column);
  const sign = order === "desc" ? -1 : 1;
  return rows.sort((a, b) => {
    const [x, y] = [keys[a], keys[b]];
    if (x === y) return a - b;
    const [noX, noY] = [Number.isNaN(x), Number.isNaN(y)];
    if (noX || noY) return noX && noY ? a - b : noX ? 1 : -1;
    return x < y ? -sign : sign;
  });
}

/** Numbers that order as the values do; NaN for none. */
function sortKeys(column: ColumnData): ArrayLike<number> {
  if (column.type === "boolean") return column.array;
  if (column.type === "number") {
    if (column.none === null) return column.array;
    return Float64Array.from(column.array, (v) => (v === column.none ? Number.NaN : v));
  }
  const order = column.dictionary.map((_, i) => i).sort((a, b) => compare(column.dictionary[a], column.dictionary[b]));
  const rank = new Float64Array(order.length);
  order.forEach((code, i) => {
    rank[code] = i;
  });
  return Float64Array.from(column.codes, (code) => (code < 0 ? Number.NaN : rank[code]));
}

const compare = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0);

/** `n` of `length` row numbers without replacement, ascending (Knuth's selection sampling). */
export function sample(length: number, n: number, seed: number): Int32Array {
  if (!Number.isInteger(n) || n < 0) throw new ArgumentError(`sample: ${quoted(n)} is not a number of rows`);
  const want = Math.min(n, length);
  const rows = new Int32Array(want);
  const next = random(seed);
  for (let i = 0, taken = 0; taken < want; i++) if (next() * (length - i) < want - taken) rows[taken++] = i;
  return rows;
}
