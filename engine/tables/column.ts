import { gone } from "./alive.ts";

/** The typed columns that tables are made of. A column is anything with `length` and `at`; numbers lie in typed arrays. */
export type NumberArray =
  | Float64Array
  | Float32Array
  | Int32Array
  | Uint32Array
  | Int16Array
  | Uint16Array
  | Uint8Array;

interface Base<T> {
  readonly length: number;
  at(row: number): T;
}

/** `array` may be made when first touched; it is then kept. */
export interface NumberColumn extends Base<number | null> {
  readonly type: "number";
  readonly array: NumberArray;
  /** The number that stands for "none"; rows show `null`. */
  readonly none: number | null;
  /** Takes a pass over large data: a view leaves it out until it was asked for. */
  readonly costly?: () => boolean;
}

/** Dictionary-encoded. A code of -1 is `null`. */
export interface StringColumn extends Base<string | null> {
  readonly type: "string";
  readonly codes: Int32Array;
  readonly dictionary: readonly string[];
}

export interface BooleanColumn extends Base<boolean> {
  readonly type: "boolean";
  /** One byte a row. */
  readonly array: Uint8Array;
}

export type ColumnData = NumberColumn | StringColumn | BooleanColumn;

/** Ways past making the whole array. */
interface Shortcut {
  /** One row's value alone: a view of ten rows must not compute ten million. */
  readonly one?: (row: number) => number;
  readonly costly?: boolean;
}

/** Something made once, when first asked for. */
export function once<T>(make: () => T): () => T {
  let value: T | undefined;
  return () => (value ??= make());
}

export function numbers(
  source: NumberArray | (() => NumberArray),
  length?: number,
  none: number | null = null,
  o: Shortcut = {},
): NumberColumn {
  let made = typeof source !== "function";
  const make = typeof source === "function" ? once(source) : () => source;
  const rows = length ?? make().length;
  const array = () => {
    const all = make();
    if (all.length < rows) throw gone();
    made = true;
    return all;
  };
  return {
    type: "number",
    length: rows,
    none,
    get array() {
      return array();
    },
    at(row) {
      const v = !made && o.one ? o.one(row) : array()[row];
      return v === none ? null : v;
    },
    ...(o.costly ? { costly: () => !made } : {}),
  };
}

/** A number computed from the row, as f32 or i32. */
export function computed(
  type: "f32" | "i32",
  length: number,
  of: (row: number) => number,
  none: number | null = null,
): NumberColumn {
  const fill = () => {
    const out = type === "f32" ? new Float32Array(length) : new Int32Array(length);
    for (let row = 0; row < length; row++) out[row] = of(row);
    return out;
  };
  return numbers(fill, length, none, { one: type === "f32" ? (row) => Math.fround(of(row)) : of });
}

/** Values that repeat with the row number, as along an axis of a dense block: `labels[(row / step) % labels.length]`. */
export function grid(labels: ArrayLike<number>, step: number, length: number): NumberColumn {
  const n = labels.length;
  const array = once(() => {
    const out = new Int32Array(length);
    for (let row = 0, place = 0, left = step; row < length; row++) {
      out[row] = labels[place];
      if (--left === 0) {
        left = step;
        if (++place === n) place = 0;
      }
    }
    return out;
  });
  return {
    type: "number",
    length,
    none: null,
    get array() {
      return array();
    },
    at: (row) => labels[Math.floor(row / step) % n],
  };
}

export function coded(
  codes: Int32Array | (() => Int32Array),
  dictionary: readonly string[],
  length?: number,
): StringColumn {
  const array = typeof codes === "function" ? once(codes) : () => codes;
  return {
    type: "string",
    length: length ?? array().length,
    dictionary,
    get codes() {
      return array();
    },
    at(row) {
      const code = array()[row];
      return code < 0 ? null : dictionary[code];
    },
  };
}

export function strings(values: readonly (string | null)[]): StringColumn {
  const codes = new Int32Array(values.length);
  const dictionary: string[] = [];
  const known = new Map<string, number>();
  values.forEach((value, i) => {
    if (value === null) {
      codes[i] = -1;
      return;
    }
    let code = known.get(value);
    if (code === undefined) {
      code = dictionary.push(value) - 1;
      known.set(value, code);
    }
    codes[i] = code;
  });
  return coded(codes, dictionary);
}

export function booleans(source: Uint8Array | (() => Uint8Array), length?: number): BooleanColumn {
  const array = typeof source === "function" ? once(source) : () => source;
  return {
    type: "boolean",
    length: length ?? array().length,
    get array() {
      return array();
    },
    at: (row) => array()[row] !== 0,
  };
}

/** The rows of a column, in the order given. Made when first touched. */
export function take(column: ColumnData, rows: Int32Array): ColumnData {
  switch (column.type) {
    case "number":
      return numbers(() => pick(column.array, rows), rows.length, column.none, {
        one: (row) => column.at(rows[row]) ?? column.none!,
        costly: column.costly?.() === true,
      });
    case "string":
      return coded(() => pick(column.codes, rows), column.dictionary, rows.length);
    case "boolean":
      return booleans(() => pick(column.array, rows), rows.length);
  }
}

function pick<T extends NumberArray>(from: T, rows: Int32Array): T {
  const out = new (from.constructor as new (n: number) => T)(rows.length);
  for (let i = 0; i < out.length; i++) out[i] = from[rows[i]];
  return out;
}
