import { guarded } from "../check.ts";
import { num } from "../display/format.ts";
import type { Captured, LayerFacts } from "../run/captured.ts";
import type { Layers } from "../sites/selector.ts";
import { chooseLayers } from "../tables/choose.ts";
import { coded, numbers } from "../tables/column.ts";
import { countLoad, type LoadCounts } from "../tables/expert-load.ts";
import { routingBlock } from "../tables/routing-block.ts";
import { Table } from "../tables/table.ts";
import type { Tokens } from "../tables/tokens.ts";
import { balancedness } from "./balancedness.ts";
import { wilson } from "./chance.ts";
import { cv } from "./cv.ts";
import { chanceOfNone, ENOUGH, expectedCount, unused } from "./dead.ts";
import { effectiveExperts } from "./effective-experts.ts";
import { gini } from "./gini.ts";
import { liftMetric } from "./lift.ts";
import { loadEntropy } from "./load-entropy.ts";
import { cellsOf, type LoadMeasure, loadMetric } from "./load-metric.ts";
import { maxVio } from "./max-vio.ts";
import { Metric } from "./metric.ts";
import { mutualInformationMetric } from "./shuffled.ts";
import { tokenMetric } from "./token-metric.ts";
import { util } from "./util.ts";

export interface LayerOption {
  layer?: Layers;
}
export interface LoadOption extends LayerOption {
  /** A column of `tokens`: each of its values apart. */
  by?: keyof Tokens;
}
export interface ByOption extends LayerOption {
  by: keyof Tokens;
}

/** What counts alone tell; a survey has these too. */
export interface LoadMetrics {
  /** Share over the fair share; the largest. */
  util(o?: LoadOption): Metric;
  /** How far the busiest expert is above its fair share. */
  maxVio(o?: LoadOption): Metric;
  /** How many equally loaded experts would be as diverse. */
  effectiveExperts(o?: LoadOption): Metric;
  /** Entropy of the load over ln E. */
  loadEntropy(o?: LoadOption): Metric;
  /** Mean over largest load. */
  balancedness(o?: LoadOption): Metric;
  /** Coefficient of variation. */
  cv(o?: LoadOption): Metric;
  /** Inequality of the load. */
  gini(o?: LoadOption): Metric;
  /** Experts without a token, and whether that means anything. */
  dead(o?: LayerOption): Metric;
  /** How much likelier a group is to choose an expert. */
  lift(o: ByOption): Metric;
}

/** What `r.metrics` offers. */
export interface RunMetrics extends LoadMetrics {
  /** How undecided the routers are about a token (nats). */
  routingEntropy(o?: LayerOption): Metric;
  /** How firmly tokens are routed (logits). */
  margin(o?: LayerOption): Metric;
  /** Whether a label of the tokens and their experts go together, against shuffled labels. */
  mutualInformation(o: ByOption & { shuffles?: number; seed?: number }): Metric;
}

const MEASURES = {
  maxVio: {
    name: "maxVio",
    of: maxVio,
    formula: "max_e u_e − 1, u = E·f",
    source: "Wang et al. 2024, 2408.15664",
    even: () => 0,
  },
  effectiveExperts: {
    name: "effectiveExperts",
    of: effectiveExperts,
    formula: "exp H(f)",
    source: "Hill 1973",
    even: (e) => e,
  },
  loadEntropy: { name: "loadEntropy", of: loadEntropy, formula: "H(f) / ln E", source: "Shannon 1948", even: () => 1 },
  balancedness: {
    name: "balancedness",
    of: balancedness,
    formula: "mean load / largest load, averaged over layers",
    source: "SGLang expert-parallel load balancer",
    even: () => 1,
  },
  cv: { name: "cv", of: cv, formula: "std f / mean f", source: "Shazeer et al. 2017, 1701.06538", even: () => 0 },
  gini: { name: "gini", of: gini, formula: "2 Σ i·f_(i) / (E Σ f) − (E + 1)/E", source: "Gini 1912", even: () => 0 },
} satisfies Record<string, LoadMeasure>;

/** The measures over counts that someone else keeps: a run, or a survey. */
export function loadMetrics(counts: (by?: keyof Tokens) => LoadCounts, facts: readonly LayerFacts[]): LoadMetrics {
  const choose = (c: LoadCounts, layer: Layers | undefined, name: string) =>
    chooseLayers(layer, c.layers, facts, `metrics.${name}`);
  const plain =
    (measure: LoadMeasure) =>
    (o: LoadOption = {}) => {
      const c = counts(o.by);
      return loadMetric(c, measure, facts, choose(c, o.layer, measure.name));
    };
  return {
    util: (o = {}) => {
      const c = counts(o.by);
      return utilMetric(c, facts, choose(c, o.layer, "util"));
    },
    maxVio: plain(MEASURES.maxVio),
    effectiveExperts: plain(MEASURES.effectiveExperts),
    loadEntropy: plain(MEASURES.loadEntropy),
    balancedness: plain(MEASURES.balancedness),
    cv: plain(MEASURES.cv),
    gini: plain(MEASURES.gini),
    dead: (o = {}) => {
      const c = counts();
      return deadMetric(c, facts, choose(c, o.layer, "dead"));
    },
    lift: (o) => {
      const c = counts(o.by);
      return liftMetric(c, facts, choose(c, o.layer, "lift"), o.by);
    },
  };
}

export function runMetrics(run: Captured): RunMetrics {
  const layersOf = (layer: Layers | undefined, name: string) =>
    chooseLayers(layer, routingBlock(run).layers, run.facts.layers, `metrics.${name}`);
  return guarded("metrics", {
    ...loadMetrics((by) => countLoad(run, by), run.facts.layers),
    routingEntropy: (o = {}) =>
      tokenMetric(
        run,
        routingBlock(run).softmax.entropy,
        {
          name: "routingEntropy",
          unit: "nats",
          by: "mean",
          formula: "−Σ p ln p, p = softmax(logits)",
          source: "Shannon 1948",
          uniform: Math.log(run.facts.experts),
          note: "softmax for this measure only",
        },
        layersOf(o.layer, "routingEntropy"),
      ),
    margin: (o = {}) =>
      tokenMetric(
        run,
        routingBlock(run).rivals.margin,
        {
          name: "margin",
          unit: "logits",
          by: "median",
          formula: "z_(k) − z_(k+1)",
          source: "definition here",
          uniform: 0,
        },
        layersOf(o.layer, "margin"),
      ),
    mutualInformation: (o) => mutualInformationMetric(run, { ...o, layer: layersOf(o.layer, "mutualInformation") }),
  });
}

function utilMetric(c: LoadCounts, facts: readonly LayerFacts[], chosen: readonly number[]): Metric {
  const E = c.experts;
  const cells = cellsOf(c, chosen);
  const rows = cells.flatMap(({ group, layer, cell }) => {
    const counts = c.count.subarray(cell * E, (cell + 1) * E);
    return Array.from(util(counts), (value, expert) => ({
      group,
      layer,
      expert,
      count: counts[expert],
      value,
      tokens: c.tokens[cell],
    }));
  });
  const top = rows.reduce((best, row) => (row.value > best.value ? row : best), rows[0]);
  const [low, high] = wilson(top.count, top.tokens * c.k).map((p) => p * E);
  const fair = expectedCount(top.tokens, c.k, E);
  return new Metric({
    name: "util",
    what: `largest of ${rows.length}: layer ${top.layer}, expert ${top.expert}`,
    value: top.value,
    interval: [low, high],
    baseline: { uniform: 1, shuffled: Number.NaN },
    formula: "u_e = E · c_e / Σ c",
    source: "NeMo Automodel #1232",
    tokens: top.tokens,
    ...(fair < ENOUGH
      ? { warning: `an expert's fair share is ${num(fair, 3)} tokens, too few to tell imbalance from chance` }
      : {}),
    table: new Table(
      {
        group: coded(
          Int32Array.from(rows, (r) => r.group),
          c.groups,
        ),
        layer: numbers(Int32Array.from(rows, (r) => r.layer)),
        expert: numbers(Int32Array.from(rows, (r) => r.expert)),
        count: numbers(Float64Array.from(rows, (r) => r.count)),
        util: numbers(Float32Array.from(rows, (r) => r.value)),
      },
      { name: "util", context: { layers: facts } },
    ),
  });
}

/** One row an expert that got no token. */
export interface DeadRow {
  layer: number;
  expert: number;
  expected: number;
  /** Chance that a fair router would leave it out, too. */
  p_none: number;
  verdict: string;
}

function deadMetric(c: LoadCounts, facts: readonly LayerFacts[], chosen: readonly number[]): Metric {
  const E = c.experts;
  const cells = cellsOf(c, chosen);
  const rows = cells.flatMap(({ layer, cell }): DeadRow[] => {
    const tokens = c.tokens[cell];
    const none = { expected: expectedCount(tokens, c.k, E), p_none: chanceOfNone(tokens, c.k, E) };
    return unused(c.count.subarray(cell * E, (cell + 1) * E), tokens, c.k).map((u) => ({ layer, ...u, ...none }));
  });
  const dead = rows.filter((r) => r.verdict === "dead").length;
  const byChance = cells.reduce((sum, { cell }) => sum + E * chanceOfNone(c.tokens[cell], c.k, E), 0);
  const tokens = cells.length ? c.tokens[cells[0].cell] : 0;
  return new Metric({
    name: "dead",
    unit: "experts",
    what: `of ${cells.length * E}; ${rows.length - dead} more without a token, but with too few expected to tell`,
    value: dead,
    interval: [Number.NaN, Number.NaN],
    baseline: { uniform: 0, shuffled: byChance },
    formula: `c = 0 where N·k/E ≥ ${ENOUGH}; P(0) = (1 − k/E)^N`,
    source: "definition here",
    tokens,
    ...(expectedCount(tokens, c.k, E) < ENOUGH
      ? {
          warning: `${num(expectedCount(tokens, c.k, E), 3)} tokens are expected of each expert; ${ENOUGH} are needed to call one dead`,
        }
      : {}),
    table: new Table<DeadRow>(
      {
        layer: numbers(Int32Array.from(rows, (r) => r.layer)),
        expert: numbers(Int32Array.from(rows, (r) => r.expert)),
        expected: numbers(Float32Array.from(rows, (r) => r.expected)),
        p_none: numbers(Float32Array.from(rows, (r) => r.p_none)),
        verdict: coded(
          Int32Array.from(rows, (r) => (r.verdict === "dead" ? 0 : 1)),
          ["dead", "cold"],
        ),
      },
      { name: "dead", context: { layers: facts } },
    ),
  });
}
