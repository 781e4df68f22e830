import {
  Bool,
  Dictionary,
  type Float64,
  Int32,
  makeData,
  makeVector,
  Table,
  Utf8,
  Vector,
  vectorFromArray,
} from "apache-arrow";
import type { ColumnData, NumberColumn } from "./column.ts";

/** Numbers share their memory with the columns; text is dictionary-encoded over the columns' own codes. */
export function toArrow(columns: ReadonlyMap<string, ColumnData>): Table {
  const vectors: Record<string, Vector> = {};
  for (const [name, column] of columns) vectors[name] = vector(column);
  return new Table(vectors);
}

function vector(column: ColumnData): Vector {
  if (column.type === "number") return numberVector(column);
  if (column.type === "boolean") {
    const data = bits(column.array, (v) => v !== 0);
    return new Vector([makeData({ type: new Bool(), length: column.length, nullCount: 0, data })]);
  }
  const type = new Dictionary(new Utf8(), new Int32());
  const dictionary = vectorFromArray(column.dictionary as string[], new Utf8());
  const valid = validity(column.codes, -1);
  return new Vector([makeData({ type, length: column.length, data: column.codes, dictionary, ...valid })]);
}

function numberVector(column: NumberColumn): Vector {
  const plain = makeVector(column.array as Float64Array) as Vector<Float64>;
  if (column.none === null) return plain;
  const valid = validity(column.array, column.none);
  if (!valid.nullBitmap) return plain;
  return new Vector([
    makeData({ type: plain.type, length: column.length, data: column.array as Float64Array, ...valid }),
  ]);
}

/** Arrow's validity bitmap; nothing when no value is missing. */
function validity(array: ArrayLike<number>, none: number): { nullCount: number; nullBitmap?: Uint8Array } {
  let nullCount = 0;
  for (let i = 0; i < array.length; i++) if (array[i] === none) nullCount++;
  return nullCount === 0 ? { nullCount } : { nullCount, nullBitmap: bits(array, (v) => v !== none) };
}

function bits(array: ArrayLike<number>, set: (v: number) => boolean): Uint8Array {
  const out = new Uint8Array(Math.ceil(array.length / 64) * 8);
  for (let i = 0; i < array.length; i++) if (set(array[i])) out[i >> 3] |= 1 << (i & 7);
  return out;
}
