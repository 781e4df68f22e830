import { open } from "node:fs/promises";
import type { ColumnData } from "./column.ts";

const CHUNK = 20_000;

/** RFC 4180, UTF-8, LF; none and NaN are empty cells. */
export async function toCSV(columns: ReadonlyMap<string, ColumnData>, length: number, path: string): Promise<void> {
  const list = [...columns.values()];
  const file = await open(path, "w");
  try {
    await file.write(`${[...columns.keys()].map(quote).join(",")}\n`);
    for (let from = 0; from < length; from += CHUNK) {
      let text = "";
      for (let i = from; i < Math.min(length, from + CHUNK); i++)
        text += `${list.map((c) => cell(c.at(i))).join(",")}\n`;
      await file.write(text);
    }
  } finally {
    await file.close();
  }
}

const cell = (v: string | number | boolean | null): string =>
  v === null || Number.isNaN(v) ? "" : typeof v === "string" ? quote(v) : String(v);
const quote = (s: string): string => (/[",\n\r]|^\s|\s$/.test(s) ? `"${s.replaceAll('"', '""')}"` : s);
