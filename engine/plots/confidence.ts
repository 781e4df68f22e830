import { num } from "../display/format.ts";
import { quantile } from "../metrics/quantile.ts";
import type { Captured } from "../run/captured.ts";
import type { Layers } from "../sites/selector.ts";
import { chooseLayers } from "../tables/choose.ts";
import { byLayer, routingBlock } from "../tables/routing-block.ts";
import { SERIES } from "./color.ts";
import type { Figure, Mark } from "./figure.ts";
import { range } from "./load-map.ts";
import { layerTicks, tokens } from "./scope.ts";

export interface ConfidenceOptions {
  by?: "margin" | "entropy";
  layer?: Layers;
}

const QUANTILES = [0.05, 0.25, 0.5, 0.75, 0.95] as const;
/** Below this margin (logits), numerical noise of another weight format may change the choice. */
export const NEAR_TIE = 0.05;

/** How sure the routers are, by depth: quantiles over tokens of the margin (logits) or of the entropy of softmax over the logits (nats). */
export function confidence(run: Captured, o: ConfidenceOptions = {}): Figure {
  const b = routingBlock(run);
  const by = o.by ?? "margin";
  const layers = chooseLayers(o.layer, b.layers, run.facts.layers, "plot.confidence");
  const values = by === "margin" ? b.rivals.margin : b.softmax.entropy;
  const all = byLayer(b, values);
  const perLayer = layers.map((layer) => all[b.layers.indexOf(layer)].sort());
  const q = QUANTILES.map((p) => Float32Array.from(perLayer, (sorted) => quantile(sorted, p)));
  const x = range(layers.length);
  const near = values.reduce((n, v) => n + (v < NEAR_TIE ? 1 : 0), 0) / (values.length || 1);
  const top = by === "margin" ? Math.max(...q[4], NEAR_TIE) * 1.06 : Math.log(b.experts) * 1.08;
  const low = Math.min(0, ...q[0]);
  const color = by === "margin" ? SERIES.first : SERIES.third;
  const marks: Mark[] = [
    { mark: "band", x, lo: q[0], hi: q[4], color, opacity: 0.16, name: "5–95 %" },
    { mark: "band", x, lo: q[1], hi: q[3], color, opacity: 0.3, name: "25–75 %" },
    {
      mark: "line",
      x,
      y: q[2],
      color,
      width: 2.2,
      name: "median",
      hover: (i) =>
        `layer ${layers[i]}: median ${num(q[2][i], 3)}, half of the tokens ${num(q[1][i], 3)} to ${num(q[3][i], 3)}`,
    },
    { mark: "points", x, y: q[2], color, size: layers.length > 24 ? 2 : 3, name: "median" },
    by === "margin"
      ? { mark: "rule", axis: "y", at: NEAR_TIE, label: `near tie (${NEAR_TIE})` }
      : {
          mark: "rule",
          axis: "y",
          at: Math.log(b.experts),
          label: `undecided: ln ${b.experts} = ${num(Math.log(b.experts), 3)}`,
        },
  ];
  return {
    title: by === "margin" ? "How firmly tokens are routed, by depth" : "How undecided the routers are, by depth",
    subtitle: `${run.facts.name}: ${tokens(b.rows.length)}, ${layers.length} MoE layers${by === "margin" ? `; ${(100 * near).toFixed(1)} % near ties` : ""}`,
    width: Math.max(480, Math.min(760, layers.length * 40 + 140)),
    height: 240,
    legend: [
      { name: "median", color, form: "line" },
      { name: "25–75 % of tokens", color, form: "box", opacity: 0.45 },
      { name: "5–95 %", color, form: "box", opacity: 0.16 },
    ],
    panels: [
      {
        box: { x: [0, 1], y: [0, 1] },
        x: { label: "layer", domain: [-0.35, layers.length - 0.65], ticks: layerTicks(layers, 700) },
        y: {
          label: by === "margin" ? "margin over the runner-up (logits)" : "entropy of softmax (nats)",
          domain: [low, top],
          grid: true,
        },
        marks,
      },
    ],
  };
}
