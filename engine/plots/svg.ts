import { rampColors, type Scale } from "./color.ts";
import type { Axis, Figure, LegendItem, Panel } from "./figure.ts";
import { drawable, FAMILY, face } from "./font.ts";
import {
  layout,
  legendRows,
  PAD,
  type Place,
  placeOf,
  project,
  SCALE_WIDTH,
  SWATCH,
  TEXT,
  tickDepth,
  ticksOf,
} from "./layout.ts";
import { drawMark } from "./svg-marks.ts";

/** A light card, so that the picture reads on any page. */
export const INK = {
  card: "#fdfdfc",
  border: "#dcdfe4",
  text: "#23272e",
  muted: "#666c76",
  axis: "#9aa0a9",
  grid: "#e6e8ec",
} as const;

/** The figure as a self-contained SVG document, without script or style sheet. */
export function toSVG(figure: Figure): string {
  const l = layout(figure);
  const out: string[] = [];
  out.push(text(PAD, l.titleY, figure.title, { size: TEXT.title, weight: "bold" }));
  l.subtitle.forEach((line, i) => {
    out.push(text(PAD, l.subtitleY[i], line, { size: TEXT.subtitle, fill: INK.muted }));
  });
  if (l.keyY !== null) {
    out.push(...drawLegend(figure, l.keyY));
    if (figure.scale) out.push(drawScale(figure.scale, figure.width - PAD, l.keyY));
  }
  figure.panels.forEach((panel, i) => {
    out.push(drawPanel(panel, placeOf(l, panel), `p${i}`));
  });
  l.note.forEach((line, i) => {
    out.push(text(PAD, l.height - PAD - (l.note.length - 1 - i) * 14, line, { size: TEXT.tick, fill: INK.muted }));
  });
  return svgDocument(l.width, l.height, out.join("\n"));
}

/** Wraps drawn elements into a card. */
export function svgDocument(width: number, height: number, body: string): string {
  return `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}" viewBox="0 0 ${width} ${height}" font-family="${FAMILY}">
<rect x="0.5" y="0.5" width="${width - 1}" height="${height - 1}" rx="6" fill="${INK.card}" stroke="${INK.border}"/>
${body}
</svg>`;
}

export interface TextStyle {
  size?: number;
  fill?: string;
  anchor?: "start" | "middle" | "end";
  weight?: "bold";
  turn?: boolean;
  family?: string;
}

export function text(x: number, y: number, content: string, o: TextStyle = {}): string {
  const turn = o.turn ? ` transform="rotate(-90 ${r(x)} ${r(y)})"` : "";
  const anchor = o.anchor && o.anchor !== "start" ? ` text-anchor="${o.anchor}"` : "";
  const weight = o.weight ? ` font-weight="${o.weight}"` : "";
  const family = o.family ? ` font-family="${o.family}"` : "";
  const which = o.family ? "mono" : o.weight ? "bold" : "regular";
  return `<text x="${r(x)}" y="${r(y)}" font-size="${o.size ?? TEXT.tick}" fill="${o.fill ?? INK.text}"${anchor}${weight}${family}${turn} xml:space="preserve">${escapeXml(drawable(content, which))}</text>`;
}

/** Control characters are not allowed in XML at all. */
export const escapeXml = (s: string): string =>
  s
    .replaceAll("&", "&amp;")
    .replaceAll("<", "&lt;")
    .replaceAll(">", "&gt;")
    .replaceAll('"', "&quot;")
    // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is to be removed
    .replace(/[\u0000-\u0008\u000b\u000c\u000e-\u001f\ufffe\uffff]/g, "□");

/** Two decimals are a fiftieth of a pixel. */
export const r = (v: number): string => String(Math.round(v * 100) / 100);

function drawPanel(panel: Panel, at: Place, id: string): string {
  const px = project(panel.x, at.x[0], at.x[1]);
  const py = project(panel.y, at.y[1], at.y[0]);
  const [w, h] = [at.x[1] - at.x[0], at.y[1] - at.y[0]];
  const out: string[] = [];
  out.push(
    `<clipPath id="${id}"><rect x="${r(at.x[0])}" y="${r(at.y[0])}" width="${r(w)}" height="${r(h)}"/></clipPath>`,
  );
  const xTicks = panel.x.bare ? [] : ticksOf(panel.x, Math.max(2, w / 80));
  const yTicks = panel.y.bare ? [] : ticksOf(panel.y, Math.max(2, h / 45));
  if (panel.x.grid) for (const t of xTicks) out.push(line(px(t.at), at.y[0], px(t.at), at.y[1], INK.grid));
  if (panel.y.grid) for (const t of yTicks) out.push(line(at.x[0], py(t.at), at.x[1], py(t.at), INK.grid));
  const inside = panel.marks.map((mark) => drawMark(mark, px, py, at));
  out.push(`<g clip-path="url(#${id})">${inside.map((m) => m.clipped).join("\n")}</g>`);
  out.push(...inside.map((m) => m.free ?? ""));
  if (!panel.x.bare) {
    out.push(line(at.x[0], at.y[1], at.x[1], at.y[1], INK.axis));
    let free = -Infinity;
    for (const t of xTicks) {
      const x = px(t.at);
      const half = panel.x.turned ? TEXT.tick / 2 - 1 : (face("regular").width(t.text) * TEXT.tick) / 2;
      out.push(line(x, at.y[1], x, at.y[1] + 3.5, INK.axis));
      if (x - half < free + (panel.x.turned ? 0 : 4)) continue;
      if (panel.x.turned)
        out.push(text(x + TEXT.tick * 0.36, at.y[1] + 6, t.text, { anchor: "end", fill: INK.muted, turn: true }));
      else out.push(text(x, at.y[1] + 6 + TEXT.tick, t.text, { anchor: "middle", fill: INK.muted }));
      free = x + half;
    }
    if (panel.x.label)
      out.push(
        text((at.x[0] + at.x[1]) / 2, at.y[1] + 8 + tickDepth(panel.x) + TEXT.axis + 5, panel.x.label, {
          size: TEXT.axis,
          anchor: "middle",
        }),
      );
  }
  if (!panel.y.bare) {
    out.push(line(at.x[0], at.y[0], at.x[0], at.y[1], INK.axis));
    let free = Infinity;
    for (const t of yTicks) {
      const y = py(t.at);
      out.push(line(at.x[0] - 3.5, y, at.x[0], y, INK.axis));
      if (Math.abs(y - free) < TEXT.tick + 1) continue;
      out.push(text(at.x[0] - 6, y + TEXT.tick * 0.36, t.text, { anchor: "end", fill: INK.muted }));
      free = y;
    }
    if (panel.y.label) {
      const x = panel.box.x[0] < 0.001 ? PAD + TEXT.axis - 2 : at.x[0] - 30;
      out.push(
        text(x, (at.y[0] + at.y[1]) / 2, panel.y.label, {
          size: TEXT.axis,
          anchor: "middle",
          turn: panel.y.label.length > 2,
        }),
      );
    }
  }
  if (panel.title) out.push(text(at.x[0], at.y[0] - 7, panel.title, { size: TEXT.axis, fill: INK.text }));
  return out.join("\n");
}

export const line = (x1: number, y1: number, x2: number, y2: number, color: string, more = ""): string =>
  `<line x1="${r(x1)}" y1="${r(y1)}" x2="${r(x2)}" y2="${r(y2)}" stroke="${color}" stroke-width="1"${more}/>`;

function drawLegend(figure: Figure, y: number): string[] {
  const out: string[] = [];
  legendRows(figure, figure.width - 2 * PAD).forEach((row, i) => {
    for (const { x, item } of row) {
      out.push(swatch(item, PAD + x, y + i * 17));
      out.push(
        text(PAD + x + SWATCH, y + i * 17 + TEXT.legend * 0.36, item.name, { size: TEXT.legend, fill: INK.muted }),
      );
    }
  });
  return out;
}

function swatch(item: LegendItem, x: number, y: number): string {
  const opacity = item.opacity === undefined ? "" : ` fill-opacity="${item.opacity}"`;
  switch (item.form) {
    case "box":
      return `<rect x="${r(x)}" y="${r(y - 5)}" width="14" height="10" rx="1.5" fill="${item.color}"${opacity}/>`;
    case "dot":
      return `<circle cx="${r(x + 7)}" cy="${r(y)}" r="4" fill="${item.color}"/>`;
    case "tick":
      return `<line x1="${r(x + 7)}" y1="${r(y - 5)}" x2="${r(x + 7)}" y2="${r(y + 5)}" stroke="${item.color}" stroke-width="1.5"/>`;
    default:
      return `<line x1="${r(x)}" y1="${r(y)}" x2="${r(x + 15)}" y2="${r(y)}" stroke="${item.color}" stroke-width="2"${item.form === "dash" ? ' stroke-dasharray="4 3"' : ""}/>`;
  }
}

/** A colour bar that ends at `right`, its label above, its numbers below. */
function drawScale(scale: Scale, right: number, y: number): string {
  if (scale.kind === "categories") return "";
  const x = right - SCALE_WIDTH;
  const stops = rampColors(scale.ramp);
  const out = [
    `<linearGradient id="ramp">${stops.map((c, i) => `<stop offset="${r(i / (stops.length - 1))}" stop-color="${c}"/>`).join("")}</linearGradient>`,
  ];
  out.push(`<rect x="${r(x)}" y="${r(y - 5)}" width="${SCALE_WIDTH}" height="9" fill="url(#ramp)"/>`);
  out.push(text(x - 10, y + 3.5, scale.label, { size: TEXT.tick, fill: INK.muted, anchor: "end" }));
  const axis: Axis = { domain: scale.domain, ticks: scale.ticks };
  const px = project(axis, x, right);
  for (const t of ticksOf(axis, 4)) {
    const half = (face("regular").width(t.text) * TEXT.tick) / 2;
    out.push(
      text(Math.min(right - half, px(t.at)), y + 16, t.text, {
        size: TEXT.tick - 0.5,
        fill: INK.muted,
        anchor: "middle",
      }),
    );
  }
  return out.join("\n");
}
