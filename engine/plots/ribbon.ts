import { fromEnd, quoted } from "../check.ts";
import { clip, escapeHtml, num, padEnd } from "../display/format.ts";
import { ArgumentError } from "../errors.ts";
import { quantile } from "../metrics/quantile.ts";
import type { Captured } from "../run/captured.ts";
import type { Layers } from "../sites/selector.ts";
import { chooseLayers } from "../tables/choose.ts";
import { type RoutingBlock, routingBlock } from "../tables/routing-block.ts";
import { EXPERT_COLORS, inkOn, NAMEABLE, REST } from "./color.ts";
import type { Figure } from "./figure.ts";
import { drawable, face, MONO } from "./font.ts";
import { PAD, TEXT, wrap } from "./layout.ts";
import { type RibbonData, ribbonData } from "./ribbon-data.ts";
import { tokens } from "./scope.ts";
import { INK, r, svgDocument, text } from "./svg.ts";
import { entryOf, tokenMap } from "./token-map.ts";

export interface RibbonOptions {
  /** One or several; the middle one of those captured unless named. */
  layer?: Layers;
  /** First and last (exclusive) token row; at most 2,000 are drawn. */
  t?: readonly [from: number, to: number];
}

const MAX_TOKENS = 2000;
const MAX_LAYERS = 6;

interface Piece {
  t: number;
  text: string;
  expert: number;
  /** Underline in pixels, 0 to 3: how firm the choice was. */
  firm: number;
  title: string;
  color: string;
}

export interface Ribbon {
  readonly title: string;
  readonly subtitle: string;
  readonly layers: readonly { layer: number; pieces: readonly Piece[] }[];
  readonly experts: number;
  readonly note: string;
  readonly figure: () => Figure;
  /** For renderers that can move through the layers. */
  readonly data: () => RibbonData | null;
}

/** The running text, each token on the colour of the expert that it chose, its id beside it; the underline is the thicker the larger the margin. */
export function ribbon(run: Captured, o: RibbonOptions = {}): Ribbon {
  const b = routingBlock(run);
  const layers =
    o.layer === undefined
      ? [b.layers[b.layers.length >> 1]]
      : chooseLayers(o.layer, b.layers, run.facts.layers, "plot.ribbon");
  const shown = layers.slice(0, MAX_LAYERS);
  const [from, to] = windowOf(run, o.t);
  const last = Math.min(to, from + MAX_TOKENS);
  const rivals = b.hasLogits ? b.rivals : null;
  const third = rivals ? quantile(Float32Array.from(rivals.margin).sort(), 0.75) / 3 || 1 : 1;
  const busiest = busiestOf(b, shown, 7);
  const color = (e: number) => (b.experts <= NAMEABLE ? EXPERT_COLORS[e] : (EXPERT_COLORS[busiest.indexOf(e)] ?? REST));
  const pieces = (layer: number): Piece[] => {
    const out: Piece[] = [];
    for (let t = from; t < last; t++) {
      const i = entryOf(b, t, layer);
      if (i < 0) continue;
      const expert = b.expert[i * b.k];
      const margin = rivals ? `, margin ${num(rivals.margin[i], 3)} over expert ${rivals.runnerUp[i]}` : "";
      out.push({
        t,
        text: run.tokens.text[t],
        expert,
        firm: rivals ? Math.max(0, Math.min(3, Math.round(rivals.margin[i] / third))) : 1,
        title: `t ${t}, layer ${layer}: expert ${expert}, score ${num(b.score[i * b.k], 3)}${margin}`,
        color: color(expert),
      });
    }
    return out;
  };
  const notes: string[] = [];
  if (rivals) notes.push("The thicker the line under a token, the firmer the choice.");
  if (last < to)
    notes.push(`Rows ${from} … ${last - 1} of ${to - from} are shown; ask for others with { t: [from, to] }.`);
  if (layers.length > shown.length) notes.push(`The first ${MAX_LAYERS} of ${layers.length} layers are shown.`);
  if (b.experts > NAMEABLE) notes.push("The seven busiest experts have a colour; the others are grey.");
  const scope = `${run.facts.name}: ${tokens(last - from)}, top-${b.k} of ${b.experts} experts`;
  return {
    title: shown.length === 1 ? `Experts chosen in layer ${shown[0]}` : `Experts chosen in layers ${shown.join(", ")}`,
    subtitle: `${scope}; the number after a token is its expert`,
    layers: shown.map((layer) => ({ layer, pieces: pieces(layer) })),
    experts: b.experts,
    note: notes.join(" "),
    figure: () => tokenMap(run, { layer: shown }),
    data: () => ribbonData(run, from, last, shown[0], color, `${scope}. ${notes.join(" ")}`),
  };
}

/** The experts with the most tokens in these layers. */
function busiestOf(b: RoutingBlock, layers: readonly number[], most: number): number[] {
  const count = new Float64Array(b.experts);
  const mine = b.layers.map((layer) => (layers.includes(layer) ? 1 : 0));
  for (let i = 0; i < b.length; i++) if (mine[b.layerAt[i]]) count[b.expert[i * b.k]]++;
  return Array.from(count.keys())
    .sort((x, y) => count[y] - count[x] || x - y)
    .slice(0, most);
}

function windowOf(run: Captured, t: RibbonOptions["t"]): [number, number] {
  const n = run.tokens.length;
  if (!t) return [0, n];
  const [a, b] = Array.isArray(t) ? t.map((v) => fromEnd(v, n)) : [];
  if (!(Number.isInteger(a) && Number.isInteger(b) && a >= 0 && a < b))
    throw new ArgumentError(`plot.ribbon: t takes [from, to] within 0 … ${n}, not ${quoted(t)}`);
  return [a, Math.min(b, n)];
}

/** White space that would not be seen: a line end is marked and kept. */
const visible = (s: string): { text: string; breaks: boolean } => ({
  text: s.replaceAll("\r", "").replaceAll("\n", "⏎").replaceAll("\t", "⇥"),
  breaks: s.includes("\n"),
});

/** Spans with inline styles only: what survives a notebook's sanitiser. */
export function ribbonHtml(x: Ribbon): string {
  const rows = x.layers.map(({ layer, pieces }) => {
    const spans = pieces.map((p) => {
      const { text: shown, breaks } = visible(p.text);
      const line = p.firm > 0 ? `border-bottom:${p.firm}px solid #8a8f98` : "border-bottom:1px dotted #8a8f98";
      return `<span title="${escapeHtml(p.title)}" style="background-color:${p.color};color:${inkOn(p.color)};padding:1px 2px;margin-right:1px;${line}">${escapeHtml(shown)}<sub style="font-size:70%">${p.expert}</sub></span>${breaks ? "<br>" : "&#8203;"}`;
    });
    const head = x.layers.length > 1 ? `<div><small>layer ${layer}</small></div>` : "";
    return `${head}<div style="font-family:monospace;line-height:2;white-space:pre-wrap">${spans.join("")}</div>`;
  });
  const note = x.note ? `<div><small>${escapeHtml(x.note)}</small></div>` : "";
  return `<div><b>${escapeHtml(x.title)}</b></div><div><small>${escapeHtml(x.subtitle)}</small></div>${rows.join("")}${note}`;
}

const DIGITS = "₀₁₂₃₄₅₆₇₈₉";
const sub = (n: number): string => String(n).replace(/\d/g, (d) => DIGITS[Number(d)]);

export function ribbonText(x: Ribbon): string {
  const rows = x.layers.map(({ layer, pieces }) => {
    const words = pieces.map((p) => {
      const { text: shown, breaks } = visible(p.text);
      return `${shown}${sub(p.expert)}${breaks ? "\n" : ""}`;
    });
    return `${x.layers.length > 1 ? `${padEnd(`layer ${layer}`, 10)}` : ""}${words.join("")}`;
  });
  return [x.title, x.subtitle, "", ...rows].join("\n");
}

const WIDTH = 820;
const SIZE = 13;
const LINE = 27;

/** The same as a picture: one token after the other in a monospaced face, broken where a line is full. */
export function ribbonSvg(x: Ribbon): string {
  const em = face("mono").width("x") * SIZE;
  const small = SIZE * 0.68;
  const out: string[] = [];
  let y = PAD + TEXT.title;
  out.push(text(PAD, y, x.title, { size: TEXT.title, weight: "bold" }));
  for (const line of wrap(x.subtitle, WIDTH - 2 * PAD, TEXT.subtitle))
    out.push(text(PAD, (y += TEXT.subtitle + 5), line, { size: TEXT.subtitle, fill: INK.muted }));
  y += 12;
  for (const { layer, pieces } of x.layers) {
    if (x.layers.length > 1) out.push(text(PAD, (y += 16), `layer ${layer}`, { size: TEXT.axis, fill: INK.text }));
    y += 8;
    let left = PAD;
    for (const p of pieces) {
      const { text: raw, breaks } = visible(p.text);
      const shown = clip(drawable(raw, "mono"), 60);
      const id = String(p.expert);
      const [w, idW] = [[...shown].length * em, id.length * em * 0.68];
      const full = w + idW + 5;
      if (left + full > WIDTH - PAD && left > PAD) {
        left = PAD;
        y += LINE;
      }
      const ink = inkOn(p.color);
      out.push(`<rect x="${r(left)}" y="${r(y)}" width="${r(full - 1)}" height="20" rx="2" fill="${p.color}"/>`);
      out.push(text(left + 2, y + 14, shown, { size: SIZE, fill: ink, family: MONO }));
      out.push(text(left + 2 + w + 1, y + 16.5, id, { size: small, fill: ink, family: MONO }));
      if (p.firm > 0)
        out.push(
          `<rect x="${r(left)}" y="${r(y + 21)}" width="${r(full - 1)}" height="${p.firm}" fill="${INK.text}"/>`,
        );
      left += full + 1;
      if (breaks) {
        left = PAD;
        y += LINE;
      }
    }
    y += left > PAD ? LINE : 0;
  }
  const note = [x.note, ...(out.some((s) => s.includes("□")) ? ["□: a character that the bundled font lacks."] : [])]
    .join(" ")
    .trim();
  if (note)
    for (const line of wrap(note, WIDTH - 2 * PAD, TEXT.tick))
      out.push(text(PAD, (y += 14), line, { size: TEXT.tick, fill: INK.muted }));
  return svgDocument(WIDTH, Math.ceil(y + PAD + 2), out.join("\n"));
}
