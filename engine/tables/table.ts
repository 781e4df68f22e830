import type { Table as ArrowTable } from "apache-arrow";
import { fromEnd, options, quoted, writing } from "../check.ts";
import { ArgumentError, didYouMean } from "../errors.ts";
import type { Layers, Match } from "../sites/selector.ts";
import { aq, sql } from "./analytics.ts";
import { toArrow } from "./arrow.ts";
import { type ColumnData, take } from "./column.ts";
import { toCSV } from "./csv.ts";
import { toParquet } from "./parquet.ts";
import { sample, sortRows } from "./rows.ts";
import { showTable } from "./show.ts";
import { type SelectorContext, selectRows } from "./where.ts";

/** Which rows: a value, a list, or `{ lt, lte, gt, gte, ne }` a column; all must hold. */
export type Where<R> = { readonly [K in keyof R]?: K extends "layer" ? Layers : Match<Exclude<R[K], null>> };

/** A typed array, whichever. (A union of typed arrays has no callable `reduce`.) */
export type Numbers = Pick<
  Float64Array,
  "length" | "at" | "reduce" | "indexOf" | "includes" | "every" | "some" | "forEach" | "join"
> &
  ArrayLike<number> &
  Iterable<number>;

/** Numbers come as a typed array, in which "none" is -1 (NaN for reals); text and booleans as a list. */
export type Column<T> = [Exclude<T, null>] extends [number] ? Numbers : readonly T[];

/** @internal What a table needs besides its columns. */
export interface TableOptions {
  /** "routing": what the view and the errors call it. */
  readonly name: string;
  readonly context?: SelectorContext;
  /** One line about the whole, for the view. */
  readonly summary?: () => string;
}

/**
 * Rows over typed columns. Verbs make new tables that share them; nothing is copied before a column is touched. It is not a dataframe
 * library: `aq()` hands the same memory to Arquero, `sql()` asks DuckDB.
 *
 * ```ts
 * r.routing.where({ layer: "global", margin: { lt: 0.1 } }).sort("margin").head(5)
 * ```
 */
export class Table<R = any> implements Iterable<R> {
  readonly #columns: ReadonlyMap<string, ColumnData>;
  readonly #o: TableOptions;
  readonly length: number;

  /** @internal */
  constructor(columns: ReadonlyMap<string, ColumnData> | Readonly<Record<string, ColumnData>>, o: TableOptions) {
    this.#columns = columns instanceof Map ? columns : new Map(Object.entries(columns));
    this.#o = o;
    this.length = this.#columns.values().next().value?.length ?? 0;
  }

  /** The names, in order. */
  get columns(): readonly (keyof R & string)[] {
    return [...this.#columns.keys()] as (keyof R & string)[];
  }

  /** One row as an object; negative counts from the end. */
  at(row: number): R {
    const i = fromEnd(row, this.length);
    if (!Number.isInteger(i) || i < 0 || i >= this.length)
      throw new ArgumentError(`${this.#o.name}.at: there is no row ${quoted(row)}; the table has ${this.length} rows`);
    return this.#row(i);
  }

  column<K extends keyof R>(name: K): Column<R[K]> {
    const c = this.#column(name as string, "column");
    if (c.type === "number") return c.array as unknown as Column<R[K]>;
    return Array.from({ length: c.length }, (_, i) => c.at(i)) as unknown as Column<R[K]>;
  }

  toArray(): R[] {
    return Array.from({ length: this.length }, (_, i) => this.#row(i));
  }

  *[Symbol.iterator](): Iterator<R> {
    for (let i = 0; i < this.length; i++) yield this.#row(i);
  }

  /** The rows for which every condition holds, in order. */
  where(selector: Where<R>): Table<R> {
    for (const name of Object.keys(options(selector, `${this.#o.name}.where`))) this.#column(name, "where");
    return this.#take(
      selectRows(this.#columns, this.length, selector as Record<string, unknown>, this.#o.name, this.#o.context),
    );
  }

  select<K extends keyof R>(...columns: K[]): Table<Pick<R, K>> {
    return new Table(new Map(columns.map((name) => [name as string, this.#column(name as string, "select")])), {
      ...this.#o,
      summary: undefined,
    });
  }

  /** Stable; NaN and null come last in either order. */
  sort(by: keyof R, order: "asc" | "desc" = "asc"): Table<R> {
    return this.#take(sortRows(this.#column(by as string, "sort"), order));
  }

  /** As `Array.slice`. */
  slice(from: number, to: number = this.length): Table<R> {
    const clamp = (i: number) => {
      if (typeof i !== "number") throw new ArgumentError(`${this.#o.name}: ${quoted(i)} is not a number of rows`);
      return Math.min(this.length, Math.max(0, Math.trunc(i < 0 ? this.length + i : i) || 0));
    };
    const [a, b] = [clamp(from), clamp(to)];
    return this.#take(Int32Array.from({ length: Math.max(0, b - a) }, (_, i) => a + i));
  }

  head(n = 10): Table<R> {
    return this.slice(0, n);
  }

  /** `n` rows drawn without replacement, in table order; the same ones for the same seed. */
  sample(n: number, o: { seed?: number } = {}): Table<R> {
    return this.#take(sample(this.length, n, options(o, `${this.#o.name}.sample`).seed ?? 0));
  }

  /** An `apache-arrow` table over the same memory (text dictionary-encoded; views copy the rows they keep). */
  toArrow(): ArrowTable {
    return toArrow(this.#columns);
  }

  async toParquet(path: string): Promise<void> {
    await writing(path, `${this.#o.name}.toParquet`, (file) => toParquet(this.#columns, file));
  }

  async toCSV(path: string): Promise<void> {
    await writing(path, `${this.#o.name}.toCSV`, (file) => toCSV(this.#columns, this.length, file));
  }

  /** An Arquero table over the same memory. Needs the `arquero` package. */
  async aq(): Promise<any> {
    return aq(this.toArrow());
  }

  /** Asks DuckDB: `t.sql("select expert, count(*) n from t group by 1")`. Needs the `@duckdb/node-api` package. */
  async sql(query: string): Promise<Table> {
    return new Table(await sql(this.#columns, this.length, query), { name: "sql" });
  }

  #row(i: number): R {
    const row: Record<string, unknown> = {};
    for (const [name, column] of this.#columns) row[name] = column.at(i);
    return row as R;
  }

  #column(name: string, where: string): ColumnData {
    const column = this.#columns.get(name);
    if (column) return column;
    const known = [...this.#columns.keys()];
    throw new ArgumentError(
      `${this.#o.name}.${where}: there is no column ${quoted(name)}${didYouMean(name, known) || `; the columns are ${known.join(", ")}`}`,
    );
  }

  #take(rows: Int32Array): Table<R> {
    const columns = new Map([...this.#columns].map(([name, column]) => [name, take(column, rows)]));
    return new Table(columns, { ...this.#o, summary: undefined });
  }

  static {
    // biome-ignore lint/complexity/noThisInStatic: compiled, the name of the class is not yet bound here
    showTable(this, (t: Table) => ({ columns: t.#columns, length: t.length, options: t.#o }));
  }
}
