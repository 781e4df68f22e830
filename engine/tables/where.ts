import { quoted } from "../check.ts";
import { ArgumentError } from "../errors.ts";
import type { LayerFacts } from "../run/captured.ts";
import { type Compare, type Layers, layersOf } from "../sites/selector.ts";
import type { ColumnData, NumberColumn } from "./column.ts";

/** What the meaning of a selector hangs on, besides the column. */
export interface SelectorContext {
  /** For `layer: "global"` and the like. */
  readonly layers?: readonly LayerFacts[];
  /** Rows of the run, from whose end a negative `t` counts. */
  readonly rows?: number;
  /** For a negative `pos`: the sequence and the place in it of every token row, and how long each sequence is. */
  readonly seq?: Int32Array;
  readonly lengths?: Int32Array;
}

/** Index columns, in which a negative number counts from the end. */
const FROM_END = new Set(["t", "pos", "q", "k"]);
const OPERATORS = new Set(["lt", "lte", "gt", "gte", "ne"]);

/** The rows for which every condition of the selector holds. */
export function selectRows(
  columns: ReadonlyMap<string, ColumnData>,
  length: number,
  selector: Readonly<Record<string, unknown>>,
  table: string,
  context: SelectorContext = {},
): Int32Array {
  const keep = new Uint8Array(length).fill(1);
  for (const [name, condition] of Object.entries(selector)) {
    if (condition === undefined || condition === "*") continue;
    const column = columns.get(name)!;
    const where = `${table}.where`;
    if (column.type === "string") keepStrings(keep, column, asStringTest(condition, name, where));
    else if (column.type === "boolean") keepBooleans(keep, column.array, condition, name, where);
    else if (name === "pos" && context.seq && context.lengths && columns.has("t")) {
      keepPositions(
        keep,
        column,
        columns.get("t") as NumberColumn,
        condition,
        context as Required<SelectorContext>,
        where,
      );
    } else keepNumbers(keep, column, numberTest(resolve(condition, name, column, context, where), name, where));
  }
  let n = 0;
  for (let i = 0; i < length; i++) n += keep[i];
  const rows = new Int32Array(n);
  for (let i = 0, j = 0; i < length; i++) if (keep[i]) rows[j++] = i;
  return rows;
}

/** Turns names of layer kinds and indices from the end into plain numbers. */
function resolve(
  condition: unknown,
  name: string,
  column: NumberColumn,
  context: SelectorContext,
  where: string,
): unknown {
  if (name === "layer" && typeof condition === "string") {
    if (context.layers) return layersOf(condition as Layers, context.layers, where).map((l) => l.index);
    throw new ArgumentError(`${where}: kinds of layers mean nothing in this table; give layer numbers`);
  }
  if (!FROM_END.has(name)) return condition;
  const end = name === "t" && context.rows !== undefined ? context.rows : largest(column) + 1;
  return mapNumbers(condition, (v) => (v < 0 ? end + v : v));
}

function largest(column: NumberColumn): number {
  let m = -1;
  for (const v of column.array) if (v > m) m = v;
  return m;
}

function mapNumbers(condition: unknown, fn: (v: number) => number): unknown {
  if (typeof condition === "number") return fn(condition);
  if (Array.isArray(condition)) return condition.map((v) => (typeof v === "number" ? fn(v) : v));
  if (typeof condition === "object" && condition !== null)
    return Object.fromEntries(Object.entries(condition).map(([op, v]) => [op, typeof v === "number" ? fn(v) : v]));
  return condition;
}

/** A negative place counts from the end of its own sequence. */
function keepPositions(
  keep: Uint8Array,
  pos: NumberColumn,
  t: NumberColumn,
  condition: unknown,
  context: Required<SelectorContext>,
  where: string,
): void {
  const tests = new Map<number, (v: number) => boolean>();
  const [rows, places] = [t.array, pos.array];
  for (let i = 0; i < keep.length; i++) {
    if (!keep[i]) continue;
    const length = context.lengths[context.seq[rows[i]]];
    let test = tests.get(length);
    if (!test)
      tests.set(
        length,
        (test = numberTest(
          mapNumbers(condition, (v) => (v < 0 ? length + v : v)),
          "pos",
          where,
        )),
      );
    if (!test(places[i])) keep[i] = 0;
  }
}

function keepNumbers(keep: Uint8Array, column: NumberColumn, test: (v: number) => boolean): void {
  const { array, none } = column;
  for (let i = 0; i < keep.length; i++) if (keep[i] && (!test(array[i]) || array[i] === none)) keep[i] = 0;
}

function numberTest(condition: unknown, name: string, where: string): (v: number) => boolean {
  if (typeof condition === "number") return (v) => v === condition;
  if (Array.isArray(condition) && condition.every((v) => typeof v === "number")) {
    const set = new Set<number>(condition);
    return (v) => set.has(v);
  }
  const {
    lt = Infinity,
    lte = Infinity,
    gt = -Infinity,
    gte = -Infinity,
    ne,
  } = comparison<number>(condition, "number", name, where);
  // Bounds that were not given must not refuse infinities.
  const [noLt, noGt] = [lt === Infinity, gt === -Infinity];
  return (v) => (noLt || v < lt) && v <= lte && (noGt || v > gt) && v >= gte && v !== ne;
}

function asStringTest(condition: unknown, name: string, where: string): (v: string) => boolean {
  if (typeof condition === "string") return (v) => v === condition;
  if (Array.isArray(condition) && condition.every((v) => typeof v === "string")) return (v) => condition.includes(v);
  const { lt, lte, gt, gte, ne } = comparison<string>(condition, "string", name, where);
  return (v) =>
    (lt === undefined || v < lt) &&
    (lte === undefined || v <= lte) &&
    (gt === undefined || v > gt) &&
    (gte === undefined || v >= gte) &&
    v !== ne;
}

function keepStrings(keep: Uint8Array, column: ColumnData & { type: "string" }, test: (v: string) => boolean): void {
  const passes = column.dictionary.map((v) => test(v));
  const codes = column.codes;
  for (let i = 0; i < keep.length; i++) if (keep[i] && (codes[i] < 0 || !passes[codes[i]])) keep[i] = 0;
}

function keepBooleans(keep: Uint8Array, array: Uint8Array, condition: unknown, name: string, where: string): void {
  if (typeof condition !== "boolean")
    throw new ArgumentError(`${where}: ${name} takes true or false, not ${quoted(condition)}`);
  for (let i = 0; i < keep.length; i++) if ((array[i] !== 0) !== condition) keep[i] = 0;
}

function comparison<T>(condition: unknown, type: "number" | "string", name: string, where: string): Compare<T> {
  const entries =
    typeof condition === "object" && condition !== null && !Array.isArray(condition) ? Object.entries(condition) : [];
  if (entries.length > 0 && entries.every(([op, v]) => OPERATORS.has(op) && (typeof v === type || v === undefined)))
    return condition as Compare<T>;
  throw new ArgumentError(
    `${where}: ${name} takes a ${type}, a list of them, or { lt, lte, gt, gte, ne }, not ${quoted(condition)}`,
  );
}
