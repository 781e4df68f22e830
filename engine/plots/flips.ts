import { num } from "../display/format.ts";
import type { FlipBlock } from "../tables/diff.ts";
import { SERIES } from "./color.ts";
import type { Figure } from "./figure.ts";
import { range } from "./load-map.ts";
import { layerTicks } from "./scope.ts";

/** The share of decisions that differ between two runs, layer by layer. */
export function flipsByLayer(block: FlipBlock, experts: number): Figure {
  const layers = [...new Set(block.layer)].sort((a, b) => a - b);
  const place = new Map(layers.map((layer, i) => [layer, i]));
  const [flips, all] = [new Float64Array(layers.length), new Float64Array(layers.length)];
  block.layer.forEach((layer, i) => {
    all[place.get(layer)!]++;
    flips[place.get(layer)!] += block.flipped[i];
  });
  const share = flips.map((f, i) => (100 * f) / all[i]);
  const total = flips.reduce((x, y) => x + y, 0);
  const decisions = block.layer.length;
  return {
    title: "Decisions that changed",
    subtitle: `${num(total)} of ${num(decisions)} routing decisions differ (${num((100 * total) / decisions, 3)} %)`,
    width: Math.max(420, Math.min(760, layers.length * 34 + 120)),
    height: 200,
    panels: [
      {
        box: { x: [0, 1], y: [0, 1] },
        x: { label: "layer", domain: [-0.6, layers.length - 0.4], ticks: layerTicks(layers, 700) },
        y: { label: "changed (%)", domain: [0, Math.max(1, ...share) * 1.15], grid: true },
        marks: [
          {
            mark: "bars",
            along: "y",
            at: range(layers.length),
            length: share,
            color: SERIES.first,
            name: "changed",
            thickness: 0.7,
            ...(layers.length <= 24 ? { text: (i: number) => num(share[i], 2) } : {}),
            hover: (i) => `layer ${layers[i]}: ${num(flips[i])} of ${num(all[i])} (${num(share[i], 3)} %)`,
          },
        ],
      },
    ],
    note: `Two routers that chose at random would differ in ${num(100 * (1 - 1 / experts), 3)} % of top-1 decisions.`,
  };
}
