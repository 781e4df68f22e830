import {
  Binary,
  type Data,
  Field,
  FixedSizeList,
  Float32,
  Int32,
  makeData,
  RecordBatch,
  Schema,
  Struct,
  Table,
  tableToIPC,
  Utf8,
} from "apache-arrow";

/** A column: typed arrays are not copied. */
export type Column =
  | Int32Array
  | Float32Array
  | readonly string[]
  | readonly Uint8Array[]
  | { readonly width: number; readonly values: Float32Array };

function dataOf(column: Column): Data {
  if (column instanceof Int32Array)
    return makeData({ type: new Int32(), length: column.length, nullCount: 0, data: column });
  if (column instanceof Float32Array)
    return makeData({ type: new Float32(), length: column.length, nullCount: 0, data: column });
  if ("width" in column) {
    const { width, values } = column;
    const child = makeData({ type: new Float32(), length: values.length, nullCount: 0, data: values });
    return makeData({ type: listOf(width), length: width === 0 ? 0 : values.length / width, nullCount: 0, child });
  }
  if (column.every((v) => typeof v === "string"))
    return bytesData(
      new Utf8(),
      (column as readonly string[]).map((v) => encoder.encode(v)),
    );
  return bytesData(new Binary(), column as readonly Uint8Array[]);
}

const encoder = new TextEncoder();

function bytesData(type: Utf8 | Binary, values: readonly Uint8Array[]): Data {
  const valueOffsets = new Int32Array(values.length + 1);
  values.forEach((v, i) => {
    valueOffsets[i + 1] = valueOffsets[i] + v.length;
  });
  const data = new Uint8Array(valueOffsets[values.length]);
  values.forEach((v, i) => {
    data.set(v, valueOffsets[i]);
  });
  return makeData({ type: type as Binary, length: values.length, nullCount: 0, valueOffsets, data });
}

const listOf = (width: number): FixedSizeList => new FixedSizeList(width, new Field("item", new Float32(), false));

/** An Arrow IPC file of one or more batches with the same columns. */
export function arrowFile(batches: readonly Readonly<Record<string, Column>>[]): Uint8Array {
  const made = batches.map((columns) => {
    const children = Object.values(columns).map(dataOf);
    const fields = Object.keys(columns).map((name, i) => new Field(name, children[i].type, false));
    return { fields, data: makeData({ type: new Struct(fields), length: children[0].length, nullCount: 0, children }) };
  });
  const schema = new Schema(made[0].fields);
  return tableToIPC(
    new Table(
      schema,
      made.map(({ data }) => new RecordBatch(schema, data)),
    ),
    "file",
  );
}
