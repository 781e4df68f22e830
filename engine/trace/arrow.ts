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
  vectorFromArray,
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
  const type = typeof column[0] === "string" || column.length === 0 ? new Utf8() : new Binary();
  return (
    vectorFromArray(column as readonly any[], type).data[0] ??
    makeData({ type: new Utf8(), length: 0, nullCount: 0, valueOffsets: new Int32Array(1), data: new Uint8Array(0) })
  );
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
