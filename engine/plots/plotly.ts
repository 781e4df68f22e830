import { fade } from "./color.ts";
import type { Axis, Figure } from "./figure.ts";
import { type Layout, layout, legendRows, PAD, SCALE_WIDTH, TEXT, ticksOf } from "./layout.ts";
import { addMark, escaped } from "./plotly-marks.ts";

/** A figure as plotly.js reads it: valid for 2.35 to 4. */
export interface PlotlyFigure {
  readonly data: readonly Record<string, unknown>[];
  readonly layout: Record<string, unknown>;
  readonly config?: Record<string, unknown>;
}

/** Reads on white and on black paper. */
const INK = {
  text: "#7b818b",
  strong: "#7b818b",
  axis: "rgba(128,134,143,0.6)",
  grid: "rgba(128,134,143,0.18)",
} as const;
const FONT = "system-ui, -apple-system, Segoe UI, Roboto, Helvetica, Arial, sans-serif";
export function toPlotly(figure: Figure): PlotlyFigure {
  const l = layout(figure);
  const data: Record<string, unknown>[] = [];
  const axes: Record<string, unknown> = {};
  const shapes: unknown[] = [];
  const annotations: unknown[] = header(figure, l);
  figure.panels.forEach((panel, i) => {
    const n = i === 0 ? "" : String(i + 1);
    axes[`xaxis${n}`] = axis(panel.x, panel.box.x, `y${n}`, (l.right - l.left) * (panel.box.x[1] - panel.box.x[0]), 80);
    axes[`yaxis${n}`] = axis(panel.y, panel.box.y, `x${n}`, (l.bottom - l.top) * (panel.box.y[1] - panel.box.y[0]), 45);
    for (const mark of panel.marks) addMark(mark, panel, `x${n}`, `y${n}`, figure, l, data, shapes, annotations);
    if (panel.title)
      annotations.push(note(panel.title, panel.box.x[0], panel.box.y[1], { yanchor: "bottom", xanchor: "left" }));
  });
  return {
    data,
    layout: {
      title: {
        text: escaped(figure.title),
        x: 0,
        xref: "container",
        xanchor: "left",
        pad: { l: PAD },
        y: 1 - (l.titleY - 5) / l.height,
        yref: "container",
        yanchor: "middle",
        font: { size: TEXT.title + 1 },
      },
      width: figure.width,
      height: l.height,
      margin: { l: l.left, r: l.width - l.right, t: l.top, b: l.height - l.bottom, autoexpand: false, pad: 0 },
      paper_bgcolor: "rgba(0,0,0,0)",
      plot_bgcolor: "rgba(0,0,0,0)",
      font: { family: FONT, size: TEXT.tick + 0.5, color: INK.text },
      showlegend: false,
      hovermode: "closest",
      dragmode: "zoom",
      ...(data.some((trace) => trace["type"] === "bar") ? { bargap: 0 } : {}),
      ...axes,
      shapes,
      annotations,
    },
    config: { displaylogo: false, responsive: false },
  };
}

function note(text: string, x: number, y: number, more: Record<string, unknown> = {}): Record<string, unknown> {
  return {
    text,
    x,
    y,
    xref: "paper",
    yref: "paper",
    showarrow: false,
    align: "left",
    font: { size: TEXT.axis },
    ...more,
  };
}

/** Subtitle, legend and note, at the pixels where the SVG has them. Hues are written as text, so that a theme cannot lose them. */
function header(figure: Figure, l: Layout): Record<string, unknown>[] {
  const at = (x: number, y: number, text: string, more: Record<string, unknown> = {}) =>
    note(text, 0, 1, { xanchor: "left", yanchor: "middle", xshift: x - l.left, yshift: l.top - y, ...more });
  const out = l.subtitle.map((line, i) =>
    at(PAD, l.subtitleY[i] - 4, escaped(line), { font: { size: TEXT.subtitle } }),
  );
  if (l.keyY !== null)
    legendRows(figure, figure.width - 2 * PAD).forEach((row, i) => {
      for (const { x, item } of row) {
        const sign = { line: "━", dash: "╍", box: "■", tick: "❘", dot: "●" }[item.form];
        const color = item.opacity === undefined ? item.color : fade(item.color, Math.min(1, item.opacity + 0.25));
        out.push(
          at(PAD + x, l.keyY! + i * 17, `<span style="color:${color}">${sign}</span> ${escaped(item.name)}`, {
            font: { size: TEXT.legend },
          }),
        );
      }
    });
  if (figure.scale && l.keyY !== null)
    // Tied to the right edge, as its bar is: a page may draw the figure wider than it was made.
    out.push(
      note(escaped(figure.scale.label), 1, 1, {
        xanchor: "right",
        yanchor: "middle",
        xshift: l.width - PAD - SCALE_WIDTH - 12 - l.right,
        yshift: l.top - l.keyY,
        font: { size: TEXT.tick },
      }),
    );
  l.note.forEach((line, i) => {
    out.push(at(PAD, l.height - PAD - 4 - (l.note.length - 1 - i) * 14, escaped(line), { font: { size: TEXT.tick } }));
  });
  return out;
}

function axis(
  a: Axis,
  box: readonly [number, number],
  anchor: string,
  pixels: number,
  every: number,
): Record<string, unknown> {
  const log = a.kind === "log";
  const place = {
    domain: [...box],
    anchor,
    type: log ? "log" : "linear",
    range: log ? a.domain.map(Math.log10) : [...a.domain],
    autorange: false,
  };
  if (a.bare) return { ...place, visible: false };
  const ticks = ticksOf(a, Math.max(2, pixels / every));
  return {
    ...place,
    showgrid: a.grid === true,
    ...(a.grid ? { gridcolor: INK.grid } : {}),
    zeroline: false,
    showline: true,
    linecolor: INK.axis,
    ticks: "outside",
    ticklen: 4,
    tickcolor: INK.axis,
    // Given ticks stay when one zooms; others are chosen anew.
    ...(a.ticks || log
      ? { tickmode: "array", tickvals: ticks.map((t) => t.at), ticktext: ticks.map((t) => escaped(t.text)) }
      : { nticks: Math.max(3, Math.round(pixels / every) + 1) }),
    tickfont: { size: TEXT.tick },
    ...(a.turned ? { tickangle: -90 } : { tickangle: 0 }),
    // Words hang down as far as they are long: only a title with a distance keeps clear of them.
    ...(a.label
      ? { title: { text: escaped(a.label), font: { size: TEXT.axis + 0.5 }, ...(a.turned ? { standoff: 4 } : {}) } }
      : {}),
  };
}
