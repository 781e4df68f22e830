/** What all benchmarks print and keep. */
import { mkdirSync, writeFileSync } from "node:fs";
import { cpus, totalmem } from "node:os";
import { join, resolve } from "node:path";

/** A line of the report: the figure, what is asked of it, and whether it is met. */
export interface Line {
  what: string;
  figure: string;
  limit?: string;
  met?: boolean;
}

export const median = (values: readonly number[]): number => {
  const sorted = [...values].sort((a, b) => a - b);
  const half = sorted.length >> 1;
  return sorted.length % 2 ? sorted[half] : (sorted[half - 1] + sorted[half]) / 2;
};

/** Columns aligned by their widest cell; the first to the left, the rest to the right. */
export function table(rows: readonly (readonly string[])[]): string {
  const widths = rows[0].map((_, i) => Math.max(...rows.map((row) => row[i].length)));
  return rows
    .map((row) => row.map((cell, i) => (i === 0 ? cell.padEnd(widths[i]) : cell.padStart(widths[i]))).join("  "))
    .join("\n");
}

export const verdict = (lines: readonly Line[]): string =>
  table([
    ["asked", "figure", "limit", ""],
    ...lines.map((l) => [l.what, l.figure, l.limit ?? "", l.met === undefined ? "" : l.met ? "met" : "NOT MET"]),
  ]);

export const machine = () => ({
  cpu: cpus()[0].model.trim(),
  cores: cpus().length,
  memoryGiB: Math.round(totalmem() / 2 ** 30),
  node: process.version,
  platform: `${process.platform}-${process.arch}`,
});

/** Keeps a result with date and machine under test/bench/results/. */
export function keep(name: string, result: object): string {
  const folder = resolve("test/bench/results");
  mkdirSync(folder, { recursive: true });
  const date = new Date().toISOString().slice(0, 10);
  const path = join(folder, `${date}-${name}.json`);
  writeFileSync(path, `${JSON.stringify({ date, machine: machine(), ...result }, null, 2)}\n`);
  return path;
}
