import { count, num, padEnd, padStart, widthOf } from "../display/format.ts";
import type { Bars, Figure, Heatmap, Mark, Panel, Tick } from "./figure.ts";
import { project, ticksOf } from "./layout.ts";

const WIDTH = 72;
const CHART_ROWS = 12;
const MAP_ROWS = 48;

/** The figure for a terminal: maps as shaded cells, lines in Braille dots, bars as blocks. At most some 80 columns wide. */
export function toText(figure: Figure): string {
  const out = [figure.title];
  if (figure.subtitle) out.push(figure.subtitle);
  const maps = figure.panels.filter((p) => p.marks.some((m) => m.mark === "heatmap")).length;
  for (const panel of figure.panels)
    out.push("", ...panelText(panel, Math.max(8, Math.floor(MAP_ROWS / Math.max(1, maps)))));
  if (figure.legend?.length) out.push("", figure.legend.map((item) => item.name).join("  ·  "));
  if (figure.note) out.push(figure.note);
  return out.join("\n");
}

function panelText(panel: Panel, rows: number): string[] {
  const map = panel.marks.find((m) => m.mark === "heatmap");
  const bars = panel.marks.find((m) => m.mark === "bars");
  const head = panel.title ? [panel.title] : [];
  if (map) return [...head, ...heatmap(map, panel, rows)];
  if (bars) return [...head, ...barChart(bars, panel)];
  return [...head, ...chart(panel)];
}

/** One character a cell, or two where there is room. Categories show their names' first characters. */
function heatmap(m: Heatmap, panel: Panel, most: number): string[] {
  const yText = tickAt(panel.y.ticks);
  const label = (row: number) => yText(m.y0 + row * m.dy) ?? "";
  const everyRow = Math.ceil(m.rows / most);
  const rows = Array.from({ length: Math.ceil(m.rows / everyRow) }, (_, i) => i * everyRow);
  const margin = Math.max(...rows.map((row) => widthOf(label(row))), 1);
  const room = WIDTH - margin - 2;
  const everyColumn = Math.ceil(m.columns / room);
  const columns = Array.from({ length: Math.ceil(m.columns / everyColumn) }, (_, i) => i * everyColumn);
  const wide = columns.length * 2 <= room ? 2 : 1;
  const glyph = glyphs(m);
  const up = panel.y.domain[1] > panel.y.domain[0];
  const lines = rows.map((row) => {
    const cells = columns.map((col) => glyph(m.z[row * m.columns + col]).padEnd(wide)).join("");
    return `${padStart(label(row), margin)} │${cells}`.trimEnd();
  });
  if (up) lines.reverse();
  lines.push(`${" ".repeat(margin)} └${"─".repeat(columns.length * wide)}`);
  lines.push(
    `${" ".repeat(margin + 2)}${axisLine(panel, columns.length * wide, (at) => ((at - m.x0) / m.dx / everyColumn) * wide)}`.trimEnd(),
  );
  const name = [panel.x.label && `x: ${panel.x.label}`, panel.y.label && `y: ${panel.y.label}`, legendOf(m)]
    .filter(Boolean)
    .join("   ");
  if (everyRow > 1 || everyColumn > 1)
    lines.push(
      `every ${everyRow > 1 ? `${everyRow}th row` : ""}${everyRow > 1 && everyColumn > 1 ? ", " : ""}${everyColumn > 1 ? `${everyColumn}th column` : ""} is shown`,
    );
  return [...lines, name];
}

const SHADES = ["·", "░", "▒", "▓", "█"];
const BELOW = ["≡", "=", "-"];
const ABOVE = ["+", "▒", "█"];

function glyphs(m: Heatmap): (v: number) => string {
  const { scale } = m;
  if (scale.kind === "categories")
    return (v) => (Number.isNaN(v) ? " " : (scale.names[Math.round(v)]?.slice(0, 1) ?? "?"));
  const [lo, hi] = scale.domain;
  if (lo < 0 && hi > 0) {
    const step = Math.max(-lo, hi) / 3;
    return (v) => {
      if (Number.isNaN(v)) return " ";
      const level = Math.min(3, Math.floor(Math.abs(v) / step + 0.5));
      return level === 0 ? "·" : v < 0 ? BELOW[3 - level] : ABOVE[level - 1];
    };
  }
  return (v) => (Number.isNaN(v) ? " " : SHADES[Math.min(4, Math.max(0, Math.floor(((v - lo) / (hi - lo || 1)) * 5)))]);
}

function legendOf(m: Heatmap): string {
  if (m.scale.kind === "categories") return `cells: ${m.scale.label}`;
  const [lo, hi] = m.scale.domain;
  const ticks = m.scale.ticks;
  const [a, b] = ticks ? [ticks[0].text, ticks.at(-1)!.text] : [num(lo, 3), num(hi, 3)];
  return `${m.scale.label}: ${lo < 0 && hi > 0 ? `${a} ${BELOW.join("")}·${ABOVE.join("")} ${b}` : `${a} ${SHADES.join("")} ${b}`}`;
}

const tickAt = (ticks: readonly Tick[] | undefined) => (at: number) =>
  ticks?.find((t) => Math.abs(t.at - at) < 1e-6)?.text;

/** Tick texts at their columns; one that would touch its neighbour is left out. */
function axisLine(panel: Panel, width: number, column: (at: number) => number): string {
  let line = "";
  for (const t of ticksOf(panel.x, 8)) {
    const c = Math.round(column(t.at));
    if (c < 0 || c >= width || (line !== "" && c < widthOf(line) + 1)) continue;
    line = padEnd(line, c) + t.text;
  }
  return line;
}

function barChart(m: Bars, panel: Panel): string[] {
  const ticks = tickAt((m.along === "x" ? panel.y : panel.x).ticks);
  const order = Array.from({ length: m.at.length }, (_, i) => i);
  // Rows of a picture read from the top, as here.
  if (m.along === "x" && panel.y.domain[1] > panel.y.domain[0]) order.reverse();
  const shown = order.slice(0, MAP_ROWS);
  const names = shown.map((i) => ticks(m.at[i]) ?? num(m.at[i]));
  const margin = Math.max(...names.map(widthOf));
  const values = Array.from(m.length).filter(Number.isFinite);
  const scale = 40 / Math.max(...values.map(Math.abs), 1e-9);
  const lines = shown.map(
    (i, j) =>
      `${padStart(names[j], margin)} ${(m.length[i] < 0 ? "░" : "█").repeat(Math.round(Math.abs(m.length[i] || 0) * scale))} ${m.text?.(i) || num(m.length[i], 3)}`,
  );
  if (order.length > shown.length) lines.push(`… ${count(order.length - shown.length)} more`);
  const label = (m.along === "x" ? panel.x : panel.y).label;
  return label ? [label, ...lines] : lines;
}

/** Lines and points in Braille: two by four dots a character. */
function chart(panel: Panel): string[] {
  const yTicks = ticksOf(panel.y, 4);
  const margin = Math.max(...yTicks.map((t) => t.text.length), 1);
  const cols = WIDTH - margin - 2;
  const [w, h] = [cols * 2, CHART_ROWS * 4];
  const px = project(panel.x, 0, w - 1);
  const py = project(panel.y, h - 1, 0);
  const dots = new Uint8Array(cols * CHART_ROWS);
  const dot = (x: number, y: number) => {
    const [i, j] = [Math.round(x), Math.round(y)];
    if (i < 0 || j < 0 || i >= w || j >= h) return;
    dots[(j >> 2) * cols + (i >> 1)] |= [1, 2, 4, 64, 8, 16, 32, 128][(i & 1) * 4 + (j & 3)];
  };
  for (const mark of panel.marks) draw(mark, px, py, dot, w);
  const lines = Array.from({ length: CHART_ROWS }, (_, row) => {
    const tick = yTicks.find((t) => Math.floor(Math.round(py(t.at)) / 4) === row);
    return `${padStart(tick?.text ?? "", margin)} │${Array.from(dots.subarray(row * cols, (row + 1) * cols), (d) => String.fromCodePoint(0x2800 + d)).join("")}`;
  });
  lines.push(`${" ".repeat(margin)} └${"─".repeat(cols)}`);
  lines.push(`${" ".repeat(margin + 2)}${axisLine(panel, cols, (at) => px(at) / 2)}`.trimEnd());
  lines.push(
    [panel.x.label && `x: ${panel.x.label}`, panel.y.label && `y: ${panel.y.label}`].filter(Boolean).join("   "),
  );
  return lines;
}

function draw(
  mark: Mark,
  px: (v: number) => number,
  py: (v: number) => number,
  dot: (x: number, y: number) => void,
  width: number,
): void {
  if (mark.mark === "points") for (let i = 0; i < mark.x.length; i++) dot(px(mark.x[i]), py(mark.y[i]));
  else if (mark.mark === "rule" && mark.axis === "y") for (let x = 0; x < width; x += 6) dot(x, py(mark.at));
  else if (mark.mark === "line") {
    for (let i = 1; i < mark.x.length; i++) {
      const [xa, xb, ya, yb] = [px(mark.x[i - 1]), px(mark.x[i]), py(mark.y[i - 1]), py(mark.y[i])];
      if (![xa, xb, ya, yb].every(Number.isFinite)) continue;
      const n = Math.max(1, Math.ceil(Math.max(Math.abs(xb - xa), Math.abs(yb - ya))));
      for (let s = 0; s <= n; s++)
        dot(xa + ((xb - xa) * s) / n, mark.shape === "steps" ? ya : ya + ((yb - ya) * s) / n);
    }
  }
}
