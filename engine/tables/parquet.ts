import type { ColumnData } from "./column.ts";

/** Snappy-compressed; reals as FLOAT or DOUBLE, whole numbers as INT32, text as STRING. Read by DuckDB, pyarrow, Spark. */
export async function toParquet(columns: ReadonlyMap<string, ColumnData>, path: string): Promise<void> {
  const { parquetWriteFile } = await import("hyparquet-writer");
  await parquetWriteFile({ filename: path, columnData: [...columns].map(([name, column]) => source(name, column)) });
}

function source(name: string, column: ColumnData) {
  const values = () => Array.from({ length: column.length }, (_, i) => column.at(i));
  if (column.type === "string") return { name, data: values(), type: "STRING" as const, nullable: true };
  if (column.type === "boolean") return { name, data: values(), type: "BOOLEAN" as const, nullable: false };
  const { array, none } = column;
  const type =
    array instanceof Float32Array
      ? "FLOAT"
      : array instanceof Float64Array
        ? "DOUBLE"
        : array instanceof Uint32Array
          ? "INT64"
          : "INT32";
  if (none !== null) return { name, data: values(), type, nullable: true } as const;
  const data =
    array instanceof Uint32Array
      ? BigInt64Array.from(array, BigInt)
      : array instanceof Float32Array || array instanceof Float64Array
        ? array
        : Int32Array.from(array);
  return { name, data, type, nullable: false } as const;
}
