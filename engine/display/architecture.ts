import type { MimeBundle } from "../host.ts";
import { EXPERT_COLORS, GREY, inkOn, SERIES } from "../plots/color.ts";
import { face } from "../plots/font.ts";
import { PAD, TEXT, wrap } from "../plots/layout.ts";
import { picture } from "../plots/png.ts";
import { INK, r, svgDocument, text } from "../plots/svg.ts";
import type { LayerFacts, ModelFacts } from "../run/captured.ts";
import { bytes, num } from "./format.ts";

/** What is known of a loaded model besides its shape. */
export interface Loaded {
  readonly device?: string;
  /** Weights in memory. */
  readonly bytes?: number;
  /** One matrix embeds and un-embeds. */
  readonly tied?: boolean;
}

/** Weights of one layer, norms left out (they are thousandths). */
export function layerParameters(f: ModelFacts, layer: LayerFacts): { attention: number; ffn: number } {
  const attention = f.d * f.headDim * 2 * (f.heads + f.kvHeads);
  const ffn = layer.moe ? 3 * f.d * f.ff * (f.experts + 1) + f.experts * f.d : 3 * f.d * f.ffDense;
  return { attention, ffn };
}

/** Of a weight, scales included, by the format's name. */
export const BYTES_A_WEIGHT: Readonly<Record<string, number>> = {
  f32: 4,
  bf16: 2,
  int4_32: 0.5 + 2 / 32,
  int4_64: 0.5 + 2 / 64,
  int4_128: 0.5 + 2 / 128,
};

/** All weights, and those that one token passes through (of the embedding, a row). */
function totals(f: ModelFacts, tied: boolean): { parameters: number; active: number } {
  let [parameters, active] = [f.vocab * f.d * (tied ? 1 : 2), f.vocab * f.d];
  for (const layer of f.layers) {
    const { attention, ffn } = layerParameters(f, layer);
    parameters += attention + ffn;
    active += attention + (layer.moe ? 3 * f.d * f.ff * (f.topk + 1) + f.experts * f.d : ffn);
  }
  return { parameters, active };
}

/** `7.9 M` */
const millions = (n: number): string =>
  n >= 1e9 ? `${num(n / 1e9, 3)} B` : n >= 1e5 ? `${num(n / 1e6, 3)} M` : num(n);

function headline(f: ModelFacts, o: Loaded): string[] {
  const { parameters, active } = totals(f, o.tied === true);
  const moe = f.layers.some((l) => l.moe);
  const shape = [
    `${f.layers.length} layers`,
    `width ${f.d}`,
    `${f.heads} heads of ${f.headDim} (${f.kvHeads} for keys and values)`,
    `vocabulary ${num(f.vocab)}`,
  ];
  const size = [
    moe
      ? `${millions(parameters)} parameters, ${millions(active)} used by a token`
      : `${millions(parameters)} parameters`,
    `${f.weights}${o.bytes ? `, ${bytes(o.bytes)}` : ""}`,
  ];
  if (o.device) size.push(`on ${o.device}`);
  return [shape.join(" · "), size.join(" · ")];
}

/** What the letters and colours of a layer mean, for the kinds that the model has. */
function kinds(f: ModelFacts): {
  attention: [letter: string, name: string, color: string][];
  ffn: [letter: string, name: string, color: string][];
} {
  const has = (test: (l: LayerFacts) => boolean) => f.layers.some(test);
  const attention: [string, string, string][] = [];
  if (has((l) => l.kind === "chunked"))
    attention.push(["c", `chunked attention, ${num(f.chunk)} tokens, RoPE`, EXPERT_COLORS[1]]);
  if (has((l) => l.kind === "global" && !l.rope))
    attention.push(["G", `global attention, NoPE${f.temperatureTuning ? ", temperature" : ""}`, SERIES.first]);
  if (has((l) => l.kind === "global" && l.rope)) attention.push(["R", "full attention, RoPE", EXPERT_COLORS[2]]);
  const ffn: [string, string, string][] = [];
  if (has((l) => l.moe)) ffn.push(["M", `${f.experts} experts, top-${f.topk}, and a shared one`, EXPERT_COLORS[0]]);
  if (has((l) => !l.moe)) ffn.push(["d", "dense", GREY]);
  return { attention, ffn };
}

const letterOf = (l: LayerFacts): [string, string] => [
  l.kind === "chunked" ? "c" : l.rope ? "R" : "G",
  l.moe ? "M" : "d",
];

/** The model as a strip of layers, in text. */
export function architectureText(f: ModelFacts, o: Loaded = {}): string {
  const { attention, ffn } = kinds(f);
  const letters = f.layers.map(letterOf);
  const width = String(f.layers.length - 1).length + 1;
  const per = Math.floor(68 / width);
  const lines = [f.name, ...headline(f, o)];
  for (let from = 0; from < letters.length; from += per) {
    const part = letters.slice(from, from + per);
    const row = (cells: readonly string[]) => cells.map((c) => c.padStart(width)).join("");
    lines.push(
      "",
      `layer    ${row(part.map((_, i) => String(from + i)))}`,
      `attention${row(part.map((l) => l[0]))}`,
      `ffn      ${row(part.map((l) => l[1]))}`,
    );
  }
  return [...lines, "", ...[...attention, ...ffn].map(([letter, name]) => `${letter}  ${name}`)].join("\n");
}

const WIDTH = 760;

/** The same as a picture: a column a layer, attention above the feed-forward block, whose height is its share of the bytes. */
export function architectureSvg(f: ModelFacts, o: Loaded = {}): string {
  const { attention, ffn } = kinds(f);
  const out: string[] = [];
  let y = PAD + TEXT.title;
  out.push(text(PAD, y, f.name, { size: TEXT.title, weight: "bold" }));
  for (const line of headline(f, o).flatMap((s) => wrap(s, WIDTH - 2 * PAD, TEXT.subtitle)))
    out.push(text(PAD, (y += TEXT.subtitle + 5), line, { size: TEXT.subtitle, fill: INK.muted }));
  y += 20;
  let x = PAD;
  const ruler = (name: string) => 20 + face("regular").width(name) * TEXT.legend + 18;
  for (const [, name, color] of [...attention, ...ffn]) {
    if (x + ruler(name) > WIDTH - PAD && x > PAD) {
      x = PAD;
      y += 17;
    }
    out.push(
      `<rect x="${r(x)}" y="${r(y - 5)}" width="14" height="10" rx="1.5" fill="${color}"/>`,
      text(x + 20, y + 4, name, { size: TEXT.legend, fill: INK.muted }),
    );
    x += ruler(name);
  }
  y += 20;
  const each = Math.min(80, (WIDTH - 2 * PAD - 60) / f.layers.length);
  const gap = each > 12 ? 3 : 1;
  const perWeight = BYTES_A_WEIGHT[f.weights] ?? 2;
  const sizes = f.layers.map((l) => layerParameters(f, l));
  const tallest = Math.max(...sizes.map((s) => s.ffn));
  const [top, room] = [y, 62];
  const left = PAD + 60;
  out.push(text(left - 8, top + 15, "attention", { anchor: "end", fill: INK.muted }));
  out.push(text(left - 8, top + 26 + room / 2, "ffn", { anchor: "end", fill: INK.muted }));
  f.layers.forEach((layer, i) => {
    const [a, m] = letterOf(layer);
    const x = left + i * each;
    const colors = [attention.find((k) => k[0] === a)![2], ffn.find((k) => k[0] === m)![2]];
    const h = Math.max(4, (room * sizes[i].ffn) / tallest);
    out.push(`<rect x="${r(x)}" y="${r(top)}" width="${r(each - gap)}" height="22" rx="2" fill="${colors[0]}"/>`);
    out.push(
      `<rect x="${r(x)}" y="${r(top + 25)}" width="${r(each - gap)}" height="${r(h)}" rx="2" fill="${colors[1]}"/>`,
    );
    if (layer.moe && each - gap >= 18) out.push(cells(x, top + 25, each - gap, h, f.experts, inkOn(colors[1])));
    if (each >= 18 || i % 4 === 0)
      out.push(
        text(x + (each - gap) / 2, top + 25 + room + 14, String(layer.index), { anchor: "middle", fill: INK.muted }),
      );
  });
  y = top + 25 + room + 14;
  const shares = sizes.map((s) => (s.attention + s.ffn) * perWeight);
  const [least, most] = [Math.min(...shares), Math.max(...shares)];
  out.push(
    text(
      left,
      (y += 18),
      `layer; one holds ${least === most ? bytes(most) : `${bytes(least)} to ${bytes(most)}`} of ${f.weights} weights; the heights of ffn are to scale`,
      { fill: INK.muted },
    ),
  );
  return svgDocument(WIDTH, Math.ceil(y + PAD), out.join("\n"));
}

/** Small cells that hint at the experts, at most 4 across. */
function cells(x: number, y: number, w: number, h: number, experts: number, ink: string): string {
  const across = Math.min(4, experts);
  const down = Math.min(8, Math.ceil(experts / across));
  const [cw, ch] = [(w - 6) / across, (h - 6) / down];
  if (ch < 4) return "";
  const out: string[] = [];
  for (let i = 0; i < Math.min(experts, across * down); i++)
    out.push(
      `<rect x="${r(x + 3 + (i % across) * cw + 1)}" y="${r(y + 3 + Math.floor(i / across) * ch + 1)}" width="${r(cw - 2)}" height="${r(ch - 2)}" rx="1" fill="${ink}" fill-opacity="0.22"/>`,
    );
  return out.join("");
}

/** For a class's `shows`. */
export function architectureBundle(f: ModelFacts, o: Loaded = {}): MimeBundle {
  return picture(architectureSvg(f, o));
}
