import { num } from "../display/format.ts";
import { type Captured, capturesOf, type SiteCapture, SUMMARY } from "../run/captured.ts";
import type { Layers } from "../sites/selector.ts";
import { visible } from "../tables/attention.ts";
import { notCaptured } from "../tables/routing-block.ts";
import { GREY, SERIES } from "./color.ts";
import type { Figure, Line, Mark, Panel } from "./figure.ts";
import { chooseLayers, quantile, tokens } from "./scope.ts";

export interface AttnEntropyOptions {
  layer?: Layers;
}

const BINS = 160;

interface Series {
  x: Float64Array;
  lo: Float64Array;
  mid: Float64Array;
  hi: Float64Array;
}

/**
 * How many keys a query effectively looks at, exp(entropy), by position: median and quartiles over heads and layers, with the attention
 * temperature and without it (both from the same pass). The grey line is every visible key alike.
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
  const kinds = (["global", "chunked"] as const).filter((kind) => layers.some((l) => facts.layers[l].kind === kind));
  let last = 1;
  for (const c of captures) for (const t of c.rows) last = Math.max(last, run.tokens.pos[t] + 1);
  const log = last > 4096;
  const gap = 46 / 760;
  const width = kinds.length === 2 ? 860 : 620;
  const w = (1 - gap) / 2;
  const panels = kinds.map((kind, i): Panel => {
    const mine = captures.filter((c) => layers.includes(c.layer) && facts.layers[c.layer].kind === kind);
    const chunk = kind === "chunked" ? facts.chunk : 0;
    return {
      box: { x: kinds.length === 1 ? [0, 1] : i === 0 ? [0, w] : [w + gap, 1], y: [0, 1] },
      title: `${kind} layers ${mine.map((c) => c.layer).join(", ")}`.slice(0, 60),
      x: { label: "position", kind: log ? "log" : "linear", domain: log ? [1, last] : [0, last], grid: true },
      y: {
        kind: "log",
        domain: [1, Math.max(10, last * 1.25)],
        grid: true,
        ...(i === 0 ? { label: "effective keys, exp(entropy)" } : {}),
      },
      marks: marksOf(run, mine, chunk, last, log, kind === "global" && facts.temperatureTuning),
    };
  });
  const heads = captures.find((c) => layers.includes(c.layer))!.shape[1];
  return {
    title: "How many keys a query effectively looks at",
    subtitle: `${facts.name}: ${tokens(captures[0].rows.length)}, ${layers.length} layers × ${heads} heads; floor_scale ${facts.floorScale}, attn_scale ${facts.attnScale}${facts.chunk ? `, chunk ${facts.chunk}` : ""}`,
    width,
    height: 270,
    legend: [
      { name: "with temperature, median", color: SERIES.first, form: "line" },
      { name: "quartiles over heads", color: SERIES.first, form: "box", opacity: 0.25 },
      { name: "without temperature, median", color: SERIES.second, form: "dash" },
      { name: "all visible keys alike", color: GREY, form: "line" },
    ],
    panels,
  };
}

function marksOf(
  run: Captured,
  captures: readonly SiteCapture[],
  chunk: number,
  last: number,
  log: boolean,
  tuned: boolean,
): Mark[] {
  const on = binned(run, captures, SUMMARY.indexOf("entropy"), last, log);
  const off = binned(run, captures, SUMMARY.indexOf("entropy_off"), last, log);
  const limit: Line = {
    mark: "line",
    x: Float64Array.from(ceiling(last, chunk)),
    y: Float64Array.from(ceiling(last, chunk), (p) => visible(p, chunk)),
    color: GREY,
    width: 1,
    name: "all visible keys alike",
  };
  const hover = (s: Series) => (i: number) =>
    `position ${num(s.x[i])}: ${num(s.mid[i], 3)} keys (entropy ${num(Math.log(s.mid[i]), 3)} nats), half of the heads ${num(s.lo[i], 3)} to ${num(s.hi[i], 3)}`;
  const marks: Mark[] = [
    limit,
    { mark: "band", ...on, color: SERIES.first, opacity: 0.2, name: "quartiles" },
    { mark: "line", x: on.x, y: on.mid, color: SERIES.first, width: 2, name: "with temperature", hover: hover(on) },
  ];
  if (tuned)
    marks.push({
      mark: "line",
      x: off.x,
      y: off.mid,
      color: SERIES.second,
      width: 1.7,
      dash: true,
      name: "without temperature",
      hover: hover(off),
    });
  if (tuned && run.facts.floorScale < last)
    marks.push({ mark: "rule", axis: "x", at: run.facts.floorScale, label: "floor_scale" });
  return marks;
}

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

/** exp(entropy) at the quartiles over all heads and layers, in even bins of the position (of its logarithm when `log`). */
function binned(run: Captured, captures: readonly SiteCapture[], stat: number, last: number, log: boolean): Series {
  const n = Math.min(BINS, last);
  const binOf = log
    ? (p: number) => Math.min(n - 1, Math.floor((Math.log(p + 1) / Math.log(last + 1)) * n))
    : (p: number) => Math.min(n - 1, Math.floor((p / last) * n));
  const sum = new Float64Array(n);
  const seen = new Float64Array(n);
  const size = new Float64Array(n);
  for (const c of captures)
    for (const t of c.rows) {
      const bin = binOf(run.tokens.pos[t]);
      sum[bin] += run.tokens.pos[t];
      seen[bin]++;
      size[bin] += c.shape[1];
    }
  const values = Array.from(size, (count) => new Float32Array(count));
  const filled = new Int32Array(n);
  for (const c of captures) {
    const [heads, width] = [c.shape[1], c.shape[2] ?? SUMMARY.length];
    for (let row = 0; row < c.rows.length; row++) {
      const bin = binOf(run.tokens.pos[c.rows[row]]);
      for (let h = 0; h < heads; h++) values[bin][filled[bin]++] = c.data[(row * heads + h) * width + stat];
    }
  }
  const bins = values.flatMap((v, i) => (v.length > 0 ? [i] : []));
  const sorted = bins.map((i) => values[i].sort());
  const at = (q: number) => Float64Array.from(sorted, (v) => Math.exp(quantile(v, q)));
  return {
    x: Float64Array.from(bins, (i) => sum[i] / seen[i] + (log ? 1 : 0)),
    lo: at(0.25),
    mid: at(0.5),
    hi: at(0.75),
  };
}
