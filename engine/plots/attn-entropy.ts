import { quoted } from "../check.ts";
import { num } from "../display/format.ts";
import { ArgumentError } from "../errors.ts";
import { type Captured, capturesOf } from "../run/captured.ts";
import type { Layers } from "../sites/selector.ts";
import { visible } from "../tables/attention.ts";
import { chooseLayers } from "../tables/choose.ts";
import { notCaptured } from "../tables/routing-block.ts";
import { binned, type Head, headsOf, type Series } from "./attn-bins.ts";
import { GREY, SERIES } from "./color.ts";
import type { Figure, LegendItem, Line, Mark, Panel } from "./figure.ts";
import { tokens } from "./scope.ts";

export interface AttnEntropyOptions {
  layer?: Layers;
  head?: number | readonly number[];
}

interface View {
  readonly run: Captured;
  readonly last: number;
  readonly log: boolean;
}

/** Fewer values than this in a bin have no sharpest twentieth. */
const ENOUGH = 10;

/**
 * How many keys a query effectively looks at, exp(entropy), by position: quantiles over queries, heads and layers. The median and the
 * sharpest twentieth, the queries that have found something, stand there with the attention temperature and without it (both from the
 * same pass). The grey line is every visible key alike.
 */
export function attnEntropy(run: Captured, o: AttnEntropyOptions = {}): Figure {
  const captures = capturesOf(run, "attn.summary");
  if (captures.length === 0) throw notCaptured("The attention summary", '"attention"');
  const { facts } = run;
  const layers = chooseLayers(
    o.layer,
    captures.map((c) => c.layer),
    facts.layers,
    "plot.attnEntropy",
  );
  const wanted = o.head === undefined ? null : new Set<number>([o.head].flat());
  const heads = headsOf(
    captures.filter((c) => layers.includes(c.layer)),
    (h) => !wanted || wanted.has(h),
  );
  if (heads.length === 0)
    throw new ArgumentError(
      `plot.attnEntropy: no captured head is ${quoted(o.head)}; the model has 0 … ${facts.heads - 1}`,
    );
  const kinds = (["global", "chunked"] as const).filter((kind) =>
    heads.some((h) => facts.layers[h.layer].kind === kind),
  );
  let last = 1;
  for (const c of captures) for (const t of c.rows) last = Math.max(last, run.tokens.pos[t] + 1);
  const view = { run, last, log: last > 4096 };
  const tuned = facts.temperatureTuning && kinds.includes("global");
  const gap = 46 / 760;
  const w = (1 - gap) / 2;
  const panels = kinds.map((kind, i): Panel => {
    const mine = heads.filter((h) => facts.layers[h.layer].kind === kind);
    const chunk = kind === "chunked" ? facts.chunk : 0;
    return {
      box: { x: kinds.length === 1 ? [0, 1] : i === 0 ? [0, w] : [w + gap, 1], y: [0, 1] },
      title: `${kind} ${listed([...new Set(mine.map((h) => h.layer))])}`,
      x: { label: "position", kind: view.log ? "log" : "linear", domain: view.log ? [1, last] : [0, last], grid: true },
      y: {
        kind: "log",
        domain: [1, Math.max(10, last * 1.25)],
        grid: true,
        ...(i === 0 ? { label: "effective keys, exp(entropy)" } : {}),
      },
      marks: marksOf(view, mine, chunk, tuned && kind === "global"),
    };
  });
  const many = heads.length > 1;
  const named = (name: string, color: string, form: LegendItem["form"], opacity?: number): LegendItem => ({
    name,
    color,
    form,
    opacity,
  });
  return {
    title: "How many keys a query effectively looks at",
    subtitle: `${facts.name}: ${tokens(captures[0].rows.length)}, ${heads.length} ${many ? "heads" : "head"} of ${layers.length} ${layers.length > 1 ? "layers" : "layer"}; floor_scale ${facts.floorScale}, attn_scale ${facts.attnScale}${facts.chunk ? `, chunk ${facts.chunk}` : ""}`,
    width: kinds.length === 2 ? 860 : 620,
    height: 270,
    legend: [
      named("median, and the sharpest 5 %", SERIES.first, "line"),
      ...(tuned ? [named("the same without temperature", SERIES.second, "dash")] : []),
      named("25–75 %", SERIES.first, "box", 0.4),
      named(many ? "5–95 % of queries and heads" : "5–95 % of queries", SERIES.first, "box", 0.18),
      named("all visible keys alike", GREY, "line"),
    ],
    panels,
  };
}

const listed = (layers: readonly number[]): string =>
  `${layers.length === 1 ? "layer" : "layers"} ${layers.length > 7 ? `${layers.slice(0, 3).join(", ")}, …, ${layers.at(-1)}` : layers.join(", ")}`;

function marksOf(v: View, heads: readonly Head[], chunk: number, tuned: boolean): Mark[] {
  const on = binned(v.run, heads, "entropy", { ...v, chunk });
  const corners = ceiling(v.last, chunk);
  const marks: Mark[] = [
    { mark: "band", x: on.x, lo: on.q05, hi: on.q95, color: SERIES.first, opacity: 0.16, name: "5–95 %" },
    { mark: "band", x: on.x, lo: on.q25, hi: on.q75, color: SERIES.first, opacity: 0.26, name: "25–75 %" },
    {
      mark: "line",
      x: Float64Array.from(corners),
      y: Float64Array.from(corners, (p) => visible(p, chunk)),
      color: GREY,
      width: 1,
      name: "all visible keys alike",
    },
  ];
  const off = tuned ? binned(v.run, heads, "entropy_off", { ...v, chunk }) : null;
  const pair = (q: "median" | "q05", name: string) => {
    marks.push(curve(on, q, SERIES.first, false, name));
    if (off) marks.push(curve(off, q, SERIES.second, true, `${name}, without temperature`));
  };
  pair("median", "median");
  if (on.size >= ENOUGH) pair("q05", "sharpest 5 %");
  if (tuned && v.run.facts.floorScale < v.last)
    marks.push({ mark: "rule", axis: "x", at: v.run.facts.floorScale, label: "floor_scale" });
  return marks;
}

const curve = (s: Series, q: "median" | "q05", color: string, dash: boolean, name: string): Line => ({
  mark: "line",
  x: s.x,
  y: s[q],
  color,
  width: q === "median" ? 2 : 1.6,
  dash,
  name,
  hover: (i) => `position ${num(s.x[i])}, ${name}: ${num(s[q][i], 3)} keys (entropy ${num(Math.log(s[q][i]), 3)} nats)`,
});

/** Corners of the visible-keys line: a ramp, or the teeth of the chunks. */
function ceiling(last: number, chunk: number): number[] {
  if (chunk <= 0) return Array.from({ length: 100 }, (_, i) => Math.expm1((Math.log(last) * i) / 99));
  const corners: number[] = [];
  const inner = [0, 0.016, 0.032, 0.06, 0.1, 0.16, 0.25, 0.4, 0.6, 0.8];
  for (let from = 0; from < last && corners.length < 3000; from += chunk) {
    for (const share of inner) corners.push(from + Math.floor(share * (chunk - 1)));
    corners.push(from + chunk - 1);
  }
  return corners.filter((p) => p <= last);
}
