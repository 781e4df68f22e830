import type { Table as ArrowTable } from "apache-arrow";
import { ArgumentError, notInstalled } from "../errors.ts";
import { booleans, type ColumnData, numbers, strings } from "./column.ts";

/** Optional packages: asked for when used, with the command that installs them when absent. */
export async function peer<T>(name: string, install: string, what: string): Promise<T> {
  try {
    return (await import(name)) as T;
  } catch (cause) {
    throw notInstalled(name, what, install, cause);
  }
}

export async function aq(table: ArrowTable): Promise<any> {
  const arquero = await peer<typeof import("arquero")>(
    "arquero",
    'Install it with: npm install arquero@8.0.3 (where its dependency @uwdata/flechette fails to install, add "overrides": { "@uwdata/flechette": "2.3.0" } to package.json)',
    "aq()",
  );
  return arquero.fromArrow(table as never);
}

type DuckDB = typeof import("@duckdb/node-api");
const CHUNK = 2048;

/** Puts the columns into an in-memory DuckDB as table `t` and runs the query. */
export async function sql(
  columns: ReadonlyMap<string, ColumnData>,
  length: number,
  query: string,
): Promise<Map<string, ColumnData>> {
  const duck = await peer<DuckDB>(
    "@duckdb/node-api",
    "Install it with: npm install @duckdb/node-api@1.5.6-r.1",
    "sql()",
  );
  const db = await duck.DuckDBInstance.create(":memory:");
  const connection = await db.connect();
  try {
    await fill(duck, connection, columns, length);
    const answer = await connection.runAndReadAll(query).catch((cause: Error) => {
      throw new ArgumentError({
        what: cause.message,
        where: "sql",
        fix: `The table is called t; its columns are ${[...columns.keys()].join(", ")}`,
        cause,
      });
    });
    const values = answer.getColumnsJS();
    return new Map(answer.columnNames().map((name, i) => [name, wrap(values[i])]));
  } finally {
    connection.closeSync();
    db.closeSync();
  }
}

async function fill(
  duck: DuckDB,
  connection: Awaited<ReturnType<InstanceType<DuckDB["DuckDBInstance"]>["connect"]>>,
  columns: ReadonlyMap<string, ColumnData>,
  length: number,
): Promise<void> {
  const list = [...columns.values()];
  const types = list.map((c) => {
    if (c.type === "string") return duck.VARCHAR;
    if (c.type === "boolean") return duck.BOOLEAN;
    if (c.array instanceof Float32Array) return duck.FLOAT;
    if (c.array instanceof Float64Array) return duck.DOUBLE;
    return c.array instanceof Uint32Array ? duck.UINTEGER : duck.INTEGER;
  });
  const quoted = [...columns.keys()].map((name) => `"${name.replaceAll('"', '""')}"`);
  await connection.run(`create table t (${quoted.map((name, i) => `${name} ${types[i]}`).join(", ")})`);
  const appender = await connection.createAppender("t");
  for (let from = 0; from < length; from += CHUNK) {
    const n = Math.min(CHUNK, length - from);
    const chunk = duck.DuckDBDataChunk.create(types, n);
    list.forEach((column, i) => {
      chunk.setColumnValues(
        i,
        Array.from({ length: n }, (_, j) => column.at(from + j)),
      );
    });
    appender.appendDataChunk(chunk);
  }
  appender.closeSync();
}

/** Big integers become numbers; dates, lists and the like their text. */
function wrap(values: readonly unknown[]): ColumnData {
  const known = values.filter((v) => v !== null && v !== undefined);
  if (known.length > 0 && known.every((v) => typeof v === "boolean") && known.length === values.length)
    return booleans(Uint8Array.from(values, (v) => (v ? 1 : 0)));
  if (known.length > 0 && known.every((v) => typeof v === "number" || typeof v === "bigint")) {
    const data = Float64Array.from(values, (v) => (v === null || v === undefined ? Number.NaN : Number(v)));
    return numbers(data);
  }
  return strings(values.map((v) => (v === null || v === undefined ? null : typeof v === "string" ? v : String(v))));
}
