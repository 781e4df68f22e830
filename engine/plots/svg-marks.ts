import { colorOf, inkOn, rgbOf } from "./color.ts";
import type { Band, Bars, Heatmap, Line, Mark, Points } from "./figure.ts";
import { face } from "./font.ts";
import { type Place, TEXT } from "./layout.ts";
import { encodePNG } from "./pixels.ts";
import { INK, r, text } from "./svg.ts";

type Projection = (v: number) => number;

/** What stays within the panel, and what may stand out of it. */
export interface Drawn {
  readonly clipped: string;
  readonly free?: string;
}

export function drawMark(mark: Mark, px: Projection, py: Projection, at: Place): Drawn {
  switch (mark.mark) {
    case "heatmap":
      return { clipped: heatmap(mark, px, py) };
    case "line":
      return { clipped: line(mark, px, py) };
    case "band":
      return { clipped: band(mark, px, py) };
    case "bars":
      return bars(mark, px, py);
    case "points":
      return { clipped: points(mark, px, py) };
    case "rule":
      return rule(mark, px, py, at);
    case "rug":
      return {
        clipped: Array.from(
          mark.x,
          (x) =>
            `<line x1="${r(px(x))}" y1="${r(at.y[1])}" x2="${r(px(x))}" y2="${r(at.y[1] - 9)}" stroke="${mark.color}" stroke-width="1" stroke-opacity="0.6"/>`,
        ).join(""),
      };
    case "label":
      return {
        clipped: "",
        free: text(px(mark.x), py(mark.y), mark.text, {
          anchor: mark.anchor,
          fill: mark.color ?? INK.muted,
          size: TEXT.tick,
        }),
      };
  }
}

/** Above so many cells, the map is one embedded image: as sharp, and a hundredth of the bytes. */
const AS_IMAGE = 3000;

function heatmap(m: Heatmap, px: Projection, py: Projection): string {
  const [w, h] = [Math.abs(px(m.x0 + m.dx) - px(m.x0)), Math.abs(py(m.y0 + m.dy) - py(m.y0))];
  if (m.rows * m.columns > AS_IMAGE) return heatImage(m, px, py);
  // A hair of card colour between cells that are large enough.
  const gap = Math.min(w, h) >= 9 ? 1 : 0;
  const size = Math.min(11, h * 0.6);
  const fits = m.text && h >= 9 && size >= 6;
  const out: string[] = [];
  for (let row = 0; row < m.rows; row++)
    for (let col = 0; col < m.columns; col++) {
      const color = colorOf(m.scale, m.z[row * m.columns + col]);
      if (!color) continue;
      const [cx, cy] = [px(m.x0 + col * m.dx), py(m.y0 + row * m.dy)];
      out.push(
        `<rect x="${r(cx - w / 2 + gap / 2)}" y="${r(cy - h / 2 + gap / 2)}" width="${r(w - gap + (gap ? 0 : 0.3))}" height="${r(h - gap + (gap ? 0 : 0.3))}" fill="${color}"/>`,
      );
      if (!fits) continue;
      const label = m.text!(row, col);
      if (label !== "" && face("regular").width(label) * size <= w - 2)
        out.push(
          text(cx, cy + size * 0.36, label, { size: Math.round(size * 10) / 10, anchor: "middle", fill: inkOn(color) }),
        );
    }
  return out.join("");
}

function heatImage(m: Heatmap, px: Projection, py: Projection): string {
  const pixels = new Uint8Array(m.rows * m.columns * 4);
  const up = py(m.y0 + m.dy) < py(m.y0);
  for (let row = 0; row < m.rows; row++)
    for (let col = 0; col < m.columns; col++) {
      const rgb = rgbOf(m.scale, m.z[row * m.columns + col]);
      if (rgb) pixels.set([...rgb, 255], ((up ? m.rows - 1 - row : row) * m.columns + col) * 4);
    }
  const [xa, xb] = [px(m.x0 - m.dx / 2), px(m.x0 + (m.columns - 0.5) * m.dx)];
  const [ya, yb] = [py(m.y0 - m.dy / 2), py(m.y0 + (m.rows - 0.5) * m.dy)];
  const href = `data:image/png;base64,${Buffer.from(encodePNG(m.columns, m.rows, pixels)).toString("base64")}`;
  return `<image x="${r(Math.min(xa, xb))}" y="${r(Math.min(ya, yb))}" width="${r(Math.abs(xb - xa))}" height="${r(Math.abs(yb - ya))}" preserveAspectRatio="none" image-rendering="optimizeSpeed" href="${href}"/>`;
}

function line(m: Line, px: Projection, py: Projection): string {
  const dash = m.dash ? ' stroke-dasharray="5 4"' : "";
  return `<path d="${pathOf(m, px, py)}" fill="none" stroke="${m.color}" stroke-width="${m.width ?? 1.8}" stroke-linejoin="round"${dash}/>`;
}

/** A NaN breaks the line. */
function pathOf(m: Line, px: Projection, py: Projection): string {
  let d = "";
  let pen = false;
  for (let i = 0; i < m.x.length; i++) {
    const [x, y] = [px(m.x[i]), py(m.y[i])];
    if (!Number.isFinite(x) || !Number.isFinite(y)) {
      pen = false;
      continue;
    }
    d += !pen ? `M${r(x)} ${r(y)}` : m.shape === "steps" ? `H${r(x)}V${r(y)}` : `L${r(x)} ${r(y)}`;
    pen = true;
  }
  return d;
}

function band(m: Band, px: Projection, py: Projection): string {
  const there: string[] = [];
  const back: string[] = [];
  for (let i = 0; i < m.x.length; i++) {
    if (!Number.isFinite(m.lo[i]) || !Number.isFinite(m.hi[i])) continue;
    there.push(`${r(px(m.x[i]))} ${r(py(m.hi[i]))}`);
    back.unshift(`${r(px(m.x[i]))} ${r(py(m.lo[i]))}`);
  }
  return there.length
    ? `<path d="M${[...there, ...back].join("L")}Z" fill="${m.color}" fill-opacity="${m.opacity}"/>`
    : "";
}

function bars(m: Bars, px: Projection, py: Projection): Drawn {
  const along = m.along === "x" ? px : py;
  const across = m.along === "x" ? py : px;
  const step = m.at.length > 1 ? Math.abs(across(m.at[1]) - across(m.at[0])) : Math.abs(across(1) - across(0));
  const thick = step * (m.thickness ?? 0.8);
  const out: string[] = [];
  const labels: string[] = [];
  for (let i = 0; i < m.at.length; i++) {
    if (!Number.isFinite(m.length[i])) continue;
    const [a, b] = [along(0), along(m.length[i])];
    const c = across(m.at[i]);
    const [lo, size] = [Math.min(a, b), Math.abs(b - a)];
    const fill = typeof m.color === "string" ? m.color : m.color[i];
    out.push(
      m.along === "x"
        ? `<rect x="${r(lo)}" y="${r(c - thick / 2)}" width="${r(size)}" height="${r(thick)}" fill="${fill}"/>`
        : `<rect x="${r(c - thick / 2)}" y="${r(lo)}" width="${r(thick)}" height="${r(size)}" fill="${fill}"/>`,
    );
    const label = m.text?.(i);
    if (!label) continue;
    const up = m.length[i] >= 0;
    labels.push(
      m.along === "x"
        ? text(b + (up ? 4 : -4), c + TEXT.tick * 0.36, label, { anchor: up ? "start" : "end", fill: INK.muted })
        : text(c, b + (up ? -4 : TEXT.tick + 2), label, { anchor: "middle", fill: INK.muted }),
    );
  }
  return { clipped: out.join(""), free: labels.join("") };
}

function points(m: Points, px: Projection, py: Projection): string {
  const size = m.size ?? 3;
  return Array.from(m.x, (x, i) => {
    const fill = typeof m.color === "string" ? m.color : m.color[i];
    return Number.isFinite(m.y[i]) ? `<circle cx="${r(px(x))}" cy="${r(py(m.y[i]))}" r="${size}" fill="${fill}"/>` : "";
  }).join("");
}

function rule(m: Extract<Mark, { mark: "rule" }>, px: Projection, py: Projection, at: Place): Drawn {
  const color = m.color ?? INK.muted;
  const dash = `stroke="${color}" stroke-width="1" stroke-dasharray="4 3"`;
  const label = (x: number, y: number, anchor: "start" | "end") =>
    m.label ? text(x, y, m.label, { anchor, fill: color, size: TEXT.tick }) : "";
  if (m.axis === "x") {
    const x = px(m.at);
    return {
      clipped: `<line x1="${r(x)}" y1="${r(at.y[0])}" x2="${r(x)}" y2="${r(at.y[1])}" ${dash}/>`,
      free: label(x + 4, at.y[0] + TEXT.tick, "start"),
    };
  }
  const y = py(m.at);
  return {
    clipped: `<line x1="${r(at.x[0])}" y1="${r(y)}" x2="${r(at.x[1])}" y2="${r(y)}" ${dash}/>`,
    free: label(at.x[1] - 4, y - 4, "end"),
  };
}
