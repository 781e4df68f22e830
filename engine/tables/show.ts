import { clip, count, escapeHtml, num, padEnd, padStart, token, widthOf } from "../display/format.ts";
import { shows } from "../display/show.ts";
import { CaptureError, ReleasedError } from "../errors.ts";
import type { ColumnData } from "./column.ts";
import type { TableOptions } from "./table.ts";

interface View {
  columns: ReadonlyMap<string, ColumnData>;
  length: number;
  options: TableOptions;
}

const ROWS = 10;
const COLUMNS = 16;

/** Bounded: the head line, a summary, and the first rows. Computed columns that were not touched are made for these rows' sake. */
export function showTable<T>(cls: abstract new (...args: never[]) => T, view: (t: T) => View): void {
  shows(cls, { text: (t) => tableText(view(t)), bundle: (t) => ({ "text/html": tableHtml(view(t)) }) });
}

interface Cells {
  names: string[];
  right: boolean[];
  rows: string[][];
  title: string;
  more: string;
}

function cells({ columns, length, options }: View): Cells {
  const shown = [...columns].slice(0, COLUMNS);
  const n = length <= ROWS + 2 ? length : ROWS;
  const rows = Array.from({ length: n }, (_, i) => shown.map(([, c]) => cell(c, i)));
  const hidden = columns.size - shown.length;
  const summary = attempt(() => options.summary?.());
  return {
    names: shown.map(([name]) => name),
    right: shown.map(([, c]) => c.type === "number"),
    rows,
    title: `${options.name}  ${count(length)} ${length === 1 ? "row" : "rows"}${summary ? `  ·  ${summary}` : ""}`,
    more: [length > n ? `… ${count(length - n)} more rows` : "", hidden > 0 ? `${hidden} more columns` : ""]
      .filter(Boolean)
      .join(", "),
  };
}

/** What cannot be had (not captured, disposed) shows as such; the rest stays readable. */
function attempt(make: () => string | undefined): string {
  try {
    return make() ?? "";
  } catch (e) {
    return e instanceof CaptureError ? "not captured" : e instanceof ReleasedError ? "disposed" : "error";
  }
}

function cell(column: ColumnData, row: number): string {
  return attempt(() => {
    if (column.type === "number" && column.costly?.()) return "…";
    const v = column.at(row);
    if (v === null) return "–";
    if (typeof v === "number") return Number.isNaN(v) ? "–" : num(v);
    return typeof v === "boolean" ? (v ? "yes" : "no") : token(v, 32);
  });
}

export function tableText(view: View): string {
  const { names, right, rows, title, more } = cells(view);
  const widths = names.map((name, i) => Math.max(widthOf(name), ...rows.map((row) => widthOf(row[i]))));
  const line = (row: string[]) =>
    row
      .map((s, i) => (right[i] ? padStart(s, widths[i]) : padEnd(s, widths[i])))
      .join("  ")
      .trimEnd();
  return [title, line(names), ...rows.map(line), more].filter((s) => s !== "").join("\n");
}

export function tableHtml(view: View): string {
  const { names, right, rows, title, more } = cells(view);
  const align = (i: number) => ` style="text-align:${right[i] ? "right" : "left"}"`;
  const head = names.map((name, i) => `<th${align(i)}>${escapeHtml(name)}</th>`).join("");
  const body = rows
    .map((row) => `<tr>${row.map((s, i) => `<td${align(i)}>${escapeHtml(clip(s, 32))}</td>`).join("")}</tr>`)
    .join("");
  const foot = more ? `<div><small>${escapeHtml(more)}</small></div>` : "";
  return `<div><small>${escapeHtml(title)}</small></div><table><thead><tr>${head}</tr></thead><tbody>${body}</tbody></table>${foot}`;
}
