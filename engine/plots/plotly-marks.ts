import { fade, GREY, rampColors, rgbOf, type Scale } from "./color.ts";
import type { Axis, Bars, Figure, Heatmap, Line, Mark, Panel, Points } from "./figure.ts";
import { type Layout, PAD, SCALE_WIDTH, TEXT, ticksOf } from "./layout.ts";

/** A cell's own hover text costs its length; maps with more cells than this say the numbers only. */
const HOVER_CELLS = 8000;

/** Typed arrays travel as base64, a third of their JSON. */
export function packed(array: ArrayLike<number>, shape?: readonly number[]): unknown {
  const f =
    array instanceof Float64Array ||
    array instanceof Float32Array ||
    array instanceof Int32Array ||
    array instanceof Uint8Array ||
    array instanceof Int16Array
      ? array
      : Float64Array.from(array);
  const dtype =
    f instanceof Float64Array
      ? "f8"
      : f instanceof Float32Array
        ? "f4"
        : f instanceof Int32Array
          ? "i4"
          : f instanceof Int16Array
            ? "i2"
            : "u1";
  const bdata = Buffer.from(f.buffer, f.byteOffset, f.byteLength).toString("base64");
  return shape ? { dtype, bdata, shape: shape.join(", ") } : { dtype, bdata };
}

/** Plotly reads a few HTML tags in text; ours has none. */
export const escaped = (s: string): string =>
  s.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");

/** A mark as traces, shapes and annotations, pushed to the lists of the figure. */
export function addMark(
  mark: Mark,
  panel: Panel,
  xaxis: string,
  yaxis: string,
  figure: Figure,
  l: Layout,
  data: Record<string, unknown>[],
  shapes: unknown[],
  annotations: unknown[],
): void {
  const on = { xaxis, yaxis };
  switch (mark.mark) {
    case "heatmap":
      // Panels share one scale, drawn once.
      data.push({ ...heatmap(mark, l, mark.scale === figure.scale && !data.some((d) => d["colorbar"])), ...on });
      if (mark.text) annotations.push(...cellText(mark, panel, xaxis, yaxis, l));
      return;
    case "line":
      data.push({ ...line(mark), ...on });
      return;
    case "band": {
      const edge = {
        type: "scatter",
        mode: "lines",
        x: packed(mark.x),
        line: { width: 0 },
        name: escaped(mark.name),
        hoverinfo: "skip",
        ...on,
      };
      data.push(
        { ...edge, y: packed(mark.lo) },
        { ...edge, y: packed(mark.hi), fill: "tonexty", fillcolor: fade(mark.color, mark.opacity) },
      );
      return;
    }
    case "bars":
      data.push({ ...bars(mark), ...on });
      return;
    case "points":
      data.push({ ...points(mark), ...on });
      return;
    case "rug":
      for (const x of Array.from(mark.x))
        shapes.push({
          type: "line",
          xref: xaxis,
          yref: `${yaxis} domain`,
          x0: x,
          x1: x,
          y0: 0,
          y1: 0.04,
          line: { color: fade(mark.color, 0.6), width: 1 },
        });
      return;
    case "rule": {
      const color = mark.color ?? GREY;
      const vertical = mark.axis === "x";
      shapes.push({
        type: "line",
        xref: vertical ? xaxis : `${xaxis} domain`,
        yref: vertical ? `${yaxis} domain` : yaxis,
        ...(vertical ? { x0: mark.at, x1: mark.at, y0: 0, y1: 1 } : { x0: 0, x1: 1, y0: mark.at, y1: mark.at }),
        line: { color, width: 1, dash: "dash" },
      });
      if (mark.label)
        annotations.push({
          text: escaped(mark.label),
          showarrow: false,
          font: { size: TEXT.tick, color },
          // Annotations on a log axis take the exponent.
          ...(vertical
            ? {
                xref: xaxis,
                yref: `${yaxis} domain`,
                x: exponent(panel.x, mark.at),
                y: 1,
                xanchor: "left",
                yanchor: "top",
                xshift: 3,
              }
            : {
                xref: `${xaxis} domain`,
                yref: yaxis,
                x: 1,
                y: exponent(panel.y, mark.at),
                xanchor: "right",
                yanchor: "bottom",
                yshift: 1,
              }),
        });
      return;
    }
    case "label":
      annotations.push({
        text: escaped(mark.text),
        showarrow: false,
        xref: xaxis,
        yref: yaxis,
        x: exponent(panel.x, mark.x),
        y: exponent(panel.y, mark.y),
        xanchor: { start: "left", middle: "center", end: "right" }[mark.anchor ?? "start"],
        yanchor: "middle",
        font: { size: TEXT.tick, color: mark.color ?? GREY },
      });
  }
}

const exponent = (a: Axis, v: number): number => (a.kind === "log" ? Math.log10(v) : v);

function colorscale(scale: Scale): { zmin: number; zmax: number; colorscale: [number, string][] } {
  if (scale.kind === "ramp") {
    const stops = rampColors(scale.ramp);
    return {
      zmin: scale.domain[0],
      zmax: scale.domain[1],
      colorscale: stops.map((c, i) => [i / (stops.length - 1), c]),
    };
  }
  const n = scale.colors.length;
  return {
    zmin: -0.5,
    zmax: n - 0.5,
    colorscale: scale.colors.flatMap((c, i): [number, string][] => [
      [i / n, c],
      [(i + 1) / n, c],
    ]),
  };
}

function heatmap(m: Heatmap, l: Layout, keyed: boolean): Record<string, unknown> {
  const cells = m.rows * m.columns;
  const hover =
    m.hover && cells <= HOVER_CELLS
      ? Array.from({ length: m.rows }, (_, row) =>
          Array.from({ length: m.columns }, (_, col) => escaped(m.hover!(row, col))),
        )
      : null;
  return {
    type: "heatmap",
    z: packed(small(m), [m.rows, m.columns]),
    x0: m.x0,
    dx: m.dx,
    y0: m.y0,
    dy: m.dy,
    ...colorscale(m.scale),
    zsmooth: false,
    hoverongaps: false,
    xgap: cells <= 3000 ? 1 : 0,
    ygap: cells <= 3000 ? 1 : 0,
    ...(hover
      ? { text: hover, hovertemplate: "%{text}<extra></extra>" }
      : { hovertemplate: `x %{x}, y %{y}: %{z}<extra></extra>` }),
    ...(keyed && m.scale.kind === "ramp" ? { showscale: true, colorbar: colorbar(m.scale, l) } : { showscale: false }),
  };
}

/** Categories fit a byte; NaN (blank) needs reals. */
function small(m: Heatmap): Float32Array | Uint8Array {
  if (m.scale.kind !== "categories" || m.scale.colors.length > 255) return m.z;
  return m.z.some(Number.isNaN) ? m.z : Uint8Array.from(m.z);
}

function colorbar(scale: Scale & { kind: "ramp" }, l: Layout): Record<string, unknown> {
  const ticks = ticksOf({ domain: scale.domain, ticks: scale.ticks }, 4);
  const height = l.bottom - l.top;
  return {
    orientation: "h",
    x: 1 + (l.width - PAD - l.right) / (l.right - l.left),
    xanchor: "right",
    y: 1 + (l.top - (l.keyY ?? l.top) - 18) / height,
    yanchor: "bottom",
    len: SCALE_WIDTH,
    lenmode: "pixels",
    thickness: 8,
    xpad: 4,
    ypad: 0,
    outlinewidth: 0,
    tickmode: "array",
    tickvals: ticks.map((t) => t.at),
    ticktext: ticks.map((t) => t.text),
    tickfont: { size: TEXT.tick - 0.5 },
  };
}

/** As annotations, each in the ink that its cell needs (a heat map's own text has one colour). */
function cellText(m: Heatmap, panel: Panel, xref: string, yref: string, l: Layout): unknown[] {
  const h = ((l.bottom - l.top) * (panel.box.y[1] - panel.box.y[0])) / Math.abs(panel.y.domain[1] - panel.y.domain[0]);
  if (m.rows * m.columns > 400 || h < 9) return [];
  const out: unknown[] = [];
  for (let row = 0; row < m.rows; row++)
    for (let col = 0; col < m.columns; col++) {
      const rgb = rgbOf(m.scale, m.z[row * m.columns + col]);
      const text = m.text!(row, col);
      if (!rgb || text === "") continue;
      const light = 0.299 * rgb[0] + 0.587 * rgb[1] + 0.114 * rgb[2] > 140;
      out.push({
        text: escaped(text),
        xref,
        yref,
        x: m.x0 + col * m.dx,
        y: m.y0 + row * m.dy,
        showarrow: false,
        font: { size: Math.min(11, h * 0.6), color: light ? "#1b1f24" : "#ffffff" },
      });
    }
  return out;
}

function line(m: Line): Record<string, unknown> {
  return {
    type: "scatter",
    mode: "lines",
    name: escaped(m.name),
    x: packed(m.x),
    y: packed(m.y),
    line: {
      color: m.color,
      width: m.width ?? 1.8,
      ...(m.dash ? { dash: "dash" } : {}),
      ...(m.shape === "steps" ? { shape: "hv" } : {}),
    },
    ...hoverOf(m, m.x.length),
  };
}

function points(m: Points): Record<string, unknown> {
  return {
    type: "scatter",
    mode: "markers",
    name: escaped(m.name),
    x: packed(m.x),
    y: packed(m.y),
    marker: { color: m.color, size: 2 * (m.size ?? 3) },
    ...hoverOf(m, m.x.length),
  };
}

function bars(m: Bars): Record<string, unknown> {
  const n = m.at.length;
  const [value, place] = [packed(m.length), packed(m.at)];
  return {
    type: "bar",
    name: escaped(m.name),
    orientation: m.along === "x" ? "h" : "v",
    ...(m.along === "x" ? { x: value, y: place } : { x: place, y: value }),
    width: m.thickness ?? 0.8,
    marker: { color: m.color, line: { width: 0 } },
    ...(m.text
      ? {
          text: Array.from({ length: n }, (_, i) => escaped(m.text!(i))),
          textposition: "outside",
          textangle: 0,
          cliponaxis: false,
          textfont: { size: TEXT.tick },
        }
      : {}),
    ...hoverOf(m, n, "hovertext"),
  };
}

function hoverOf(m: { hover?: (i: number) => string; name: string }, n: number, key = "text"): Record<string, unknown> {
  if (!m.hover || n > HOVER_CELLS) return { hovertemplate: `%{y} at %{x}<extra>${escaped(m.name)}</extra>` };
  return {
    [key]: Array.from({ length: n }, (_, i) => escaped(m.hover!(i))),
    hovertemplate: `%{${key}}<extra></extra>`,
  };
}
