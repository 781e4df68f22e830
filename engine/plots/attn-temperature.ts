import { quoted } from "../check.ts";
import { count, num } from "../display/format.ts";
import { ArgumentError } from "../errors.ts";
import type { ModelFacts } from "../run/captured.ts";
import { logN, temperatureAt } from "../tables/temperature-law.ts";
import { GREY, SERIES } from "./color.ts";
import type { Figure, LegendItem, Line, Mark } from "./figure.ts";

export interface AttnTemperatureOptions {
  /** Last position; 10 million by default, as the articles on Scout claim. */
  to?: number;
  /** Laws to compare with: "off", "logn", "yarn". */
  overlay?: string | readonly string[];
}

const OVERLAYS: Record<string, { name: string; color: string; law: (pos: number, facts: ModelFacts) => number }> = {
  off: { name: "off (1)", color: GREY, law: () => 1 },
  logn: { name: "log-n: ln n / ln floor_scale", color: SERIES.second, law: (pos, f) => logN(pos, f.floorScale) },
  // Peng et al. 2023 (2309.00071), eq. 22, with s = n / floor_scale; applied to q and k there, hence squared here.
  yarn: {
    name: "YaRN: (0.1 ln s + 1)², s = n / floor_scale",
    color: SERIES.third,
    law: (pos, f) => (0.1 * Math.log(Math.max(1, (pos + 1) / f.floorScale)) + 1) ** 2,
  },
};
const KNOWN = Object.keys(OVERLAYS);
/** Beyond so many stairs the curve is drawn at even steps of the logarithm. */
const MAX_STAIRS = 4000;

/** The factor on the query by position, in the layers without RoPE; strokes at the foot mark the positions that a run has. */
export function attnTemperature(
  facts: ModelFacts,
  positions: ArrayLike<number> | null,
  o: AttnTemperatureOptions = {},
): Figure {
  const to = o.to ?? 1e7;
  if (!(Number.isFinite(to) && to >= 2))
    throw new ArgumentError(
      `plot.attnTemperature: to is ${quoted(to)}; give the last position, for example { to: 1e6 }`,
    );
  const names = [o.overlay ?? "logn"].flat();
  for (const name of names)
    if (!KNOWN.includes(name))
      throw new ArgumentError(`plot.attnTemperature: overlay ${quoted(name)} is not one of ${KNOWN.join(", ")}`);
  const layers = facts.layers.filter((l) => !l.rope).map((l) => l.index);
  const on = facts.temperatureTuning && layers.length > 0;
  const law = (pos: number) => (on ? temperatureAt(pos, facts.floorScale, facts.attnScale) : 1);
  const stairs = stairPositions(to, facts.floorScale);
  const [x, y] = [Float64Array.from(stairs, (p) => p + 1), Float64Array.from(stairs, law)];
  const marks: Mark[] = [];
  const legend: LegendItem[] = [{ name: "Llama 4", color: SERIES.first, form: "line" }];
  let top = law(to);
  const smooth = Float64Array.from({ length: 200 }, (_, i) => to ** (i / 199));
  for (const name of names) {
    const { name: label, color, law: other } = OVERLAYS[name];
    const line: Line = {
      mark: "line",
      x: smooth,
      y: smooth.map((n) => other(n - 1, facts)),
      color,
      width: 1.4,
      dash: true,
      name: label,
    };
    top = Math.max(top, other(to - 1, facts));
    marks.push(line);
    legend.push({ name: label, color, form: "dash" });
  }
  marks.push({
    mark: "line",
    x,
    y,
    color: SERIES.first,
    width: 2.2,
    shape: "steps",
    name: "Llama 4",
    hover: (i) => `from position ${count(stairs[i])}: factor ${num(y[i])}`,
  });
  marks.push({ mark: "rule", axis: "x", at: facts.floorScale, label: `floor_scale ${count(facts.floorScale)}` });
  if (positions && positions.length > 0) {
    marks.push({ mark: "rug", x: thin(positions), color: SERIES.second, name: "positions of this run" });
    legend.push({ name: "positions of this run", color: SERIES.second, form: "tick" });
  }
  return {
    title: "Attention temperature by position",
    subtitle: on
      ? `${facts.name}: 1 + ${facts.attnScale} · ln(1 + ⌊n / ${count(facts.floorScale)}⌋) on the query, n = position + 1, in the ${layers.length} NoPE layers (${layers.length > 6 ? [...layers.slice(0, 3), "…", layers.at(-1)].join(", ") : layers.join(", ")})`
      : `${facts.name}: ${layers.length === 0 ? "every layer uses RoPE, so the temperature applies to none" : "temperature tuning is off"}`,
    width: 680,
    height: 270,
    legend,
    panels: [
      {
        box: { x: [0, 1], y: [0, 1] },
        x: { label: "n = position + 1 (tokens)", kind: "log", domain: [1, to], grid: true },
        y: { label: "factor on the query", domain: [0.98, Math.max(1.1, 1 + (top - 1) * 1.08)], grid: true },
        marks,
      },
    ],
  };
}

/** Where the law steps, the last position at the end. */
function stairPositions(to: number, floorScale: number): Float64Array {
  const n = Math.floor(to / floorScale);
  if (n <= MAX_STAIRS)
    return Float64Array.from([0, ...Array.from({ length: n }, (_, i) => (i + 1) * floorScale - 1), to - 1]);
  const at = new Set<number>([0]);
  for (let i = 0; i <= MAX_STAIRS; i++) {
    const stair = Math.floor((to / floorScale) ** (i / MAX_STAIRS));
    at.add(stair * floorScale - 1);
  }
  return Float64Array.from([...at, to - 1]).sort();
}

/** n = position + 1 of at most 400 positions, evenly chosen along the logarithm where there are more. */
function thin(positions: ArrayLike<number>): Float64Array {
  const n = Float64Array.from(positions, (p) => p + 1).sort();
  if (n.length <= 400) return n;
  const kept = new Map<number, number>();
  for (const v of n) kept.set(Math.round((Math.log(v) / Math.log(n.at(-1)!)) * 400), v);
  return Float64Array.from(kept.values());
}
