import { quoted } from "../check.ts";
import { ArgumentError } from "../errors.ts";
import type { Captured } from "../run/captured.ts";
import { numbers } from "../tables/column.ts";
import { groupsBy } from "../tables/expert-load.ts";
import { random } from "../tables/random.ts";
import { type RoutingBlock, routingBlock } from "../tables/routing-block.ts";
import { Table } from "../tables/table.ts";
import type { Tokens } from "../tables/tokens.ts";
import { mean } from "./load-metric.ts";
import { Metric } from "./metric.ts";
import { mutualInformation } from "./mutual-information.ts";

export interface MutualInformationOptions {
  by: keyof Tokens;
  layer?: readonly number[];
  /** 1,000 unless that would take long; 100 at least. */
  shuffles?: number;
  seed?: number;
}

/** One row a layer. */
export interface LayerInformation {
  layer: number;
  /** Nats. */
  value: number;
  /** Of shuffled labels: mean and 99.9th percentile (the largest of fewer than 1,000 shuffles). */
  shuffled: number;
  shuffled_p999: number;
  /** Share of the shuffles that lie below the value. */
  above: number;
}

/** Additions that may be spent on shuffles unless their number is given: about a second. */
const STEPS = 3e7;
const ENOUGH_SEQUENCES = 20;

/**
 * I(label; expert) of each layer beside that of shuffled labels. Where all tokens of a sequence have the same label, whole sequences swap
 * labels: tokens of a text are not independent, and shuffling them one by one would call every text an effect.
 */
export function mutualInformationMetric(run: Captured, o: MutualInformationOptions): Metric {
  const b = routingBlock(run);
  const { groups, groupOf } = groupsBy(run, o.by);
  if (groups.length < 2)
    throw new ArgumentError(
      `mutualInformation({ by: "${o.by}" }): every token has the same ${o.by}, "${groups[0]}"; two are needed`,
    );
  const layers = o.layer ?? Array.from(b.layers);
  const { seq } = run.tokens;
  const bySequence = labelledSequences(groupOf, seq, run.sequences);
  const whole = bySequence !== null && bySequence.labels.length >= ENOUGH_SEQUENCES;
  const perLayer = layers.map((layer) =>
    units(b, b.layers.indexOf(layer), groupOf, whole ? bySequence!.unitOf : null, seq),
  );
  const cost = perLayer.reduce((sum, u) => sum + u.experts.length, 0);
  const shuffles = o.shuffles ?? Math.max(100, Math.min(1000, Math.floor(STEPS / Math.max(1, cost))));
  if (!Number.isInteger(shuffles) || shuffles < 1 || shuffles > 1e6)
    throw new ArgumentError(`mutualInformation: ${quoted(shuffles)} shuffles; give a whole number from 1 to a million`);
  const next = random(o.seed ?? 1);
  const rows = perLayer.map((u, i) => {
    const labels = u.labels.slice();
    const value = informationOf(u, labels, groups.length, b.experts);
    const drawn = new Float64Array(shuffles);
    for (let s = 0; s < shuffles; s++) {
      shuffle(labels, next);
      drawn[s] = informationOf(u, labels, groups.length, b.experts);
    }
    drawn.sort();
    const below = drawn.findIndex((v) => v >= value);
    return { layer: layers[i], value, drawn, above: (below < 0 ? shuffles : below) / shuffles };
  });
  const top = (d: Float64Array) => d[Math.min(d.length - 1, Math.ceil(0.999 * d.length) - 1)];
  const clear = rows.filter((r) => r.value > top(r.drawn)).length;
  const all = Float64Array.from({ length: shuffles }, (_, s) => mean(rows.map((r) => r.drawn[s])));
  return new Metric({
    name: "mutualInformation",
    unit: "nats",
    what: `mean over ${rows.length} layers; ${clear} of them above ${shuffles < 1000 ? `all ${shuffles} shuffles` : `the 99.9th percentile of ${shuffles} shuffles`}`,
    value: mean(rows.map((r) => r.value)),
    interval: [Number.NaN, Number.NaN],
    baseline: { uniform: 0, shuffled: mean(all) },
    formula: `I(${o.by}; expert) = Σ p(d,e) ln( p(d,e) / p(d)p(e) ), labels shuffled by ${whole ? "sequence" : "token"}`,
    source: "Shannon 1948; specialisation after OLMoE, 2409.02060",
    tokens: b.rows.length,
    ...(whole
      ? {}
      : {
          warning:
            "labels were shuffled token by token, as if tokens of one text were independent: with few texts chance is larger than it looks",
        }),
    table: new Table<LayerInformation>(
      {
        layer: numbers(Int32Array.from(rows, (r) => r.layer)),
        value: numbers(Float32Array.from(rows, (r) => r.value)),
        shuffled: numbers(Float32Array.from(rows, (r) => mean(r.drawn))),
        shuffled_p999: numbers(Float32Array.from(rows, (r) => top(r.drawn))),
        above: numbers(Float32Array.from(rows, (r) => r.above)),
      },
      { name: "mutualInformation", context: { layers: run.facts.layers } },
    ),
  });
}

/** What swaps labels as one: a token's choices, or a sequence's. Unit `i` chose `experts[j]` `times[j]` times, `j` in `[from[i], from[i + 1])`. */
interface Units {
  readonly labels: Int32Array;
  readonly from: Int32Array;
  readonly experts: Int32Array;
  readonly times: Float64Array;
}

function units(b: RoutingBlock, l: number, groupOf: Int32Array, unitOf: Int32Array | null, seq: Int32Array): Units {
  const found = new Map<number, { label: number; times: Map<number, number> }>();
  for (let i = 0; i < b.length; i++) {
    if (b.layerAt[i] !== l) continue;
    const t = b.t[i];
    const label = unitOf ? unitOf[seq[t]] : groupOf[t];
    if (label < 0) continue;
    const key = unitOf ? seq[t] : t;
    let unit = found.get(key);
    if (!unit) {
      unit = { label, times: new Map() };
      found.set(key, unit);
    }
    for (let k = 0; k < b.k; k++) {
      const e = b.expert[i * b.k + k];
      unit.times.set(e, (unit.times.get(e) ?? 0) + 1);
    }
  }
  const list = [...found.values()];
  const from = new Int32Array(list.length + 1);
  list.forEach((u, i) => {
    from[i + 1] = from[i] + u.times.size;
  });
  return {
    labels: Int32Array.from(list, (u) => u.label),
    from,
    experts: Int32Array.from(list.flatMap((u) => [...u.times.keys()])),
    times: Float64Array.from(list.flatMap((u) => [...u.times.values()])),
  };
}

/** The label of each sequence, when its tokens agree on one. */
function labelledSequences(
  groupOf: Int32Array,
  seq: Int32Array,
  sequences: number,
): { unitOf: Int32Array; labels: number[] } | null {
  const unitOf = new Int32Array(sequences).fill(-1);
  for (let t = 0; t < groupOf.length; t++) {
    if (groupOf[t] < 0) continue;
    if (unitOf[seq[t]] < 0) unitOf[seq[t]] = groupOf[t];
    else if (unitOf[seq[t]] !== groupOf[t]) return null;
  }
  return { unitOf, labels: Array.from(unitOf).filter((v) => v >= 0) };
}

function informationOf(u: Units, labels: Int32Array, groups: number, experts: number): number {
  const joint = new Float64Array(groups * experts);
  for (let i = 0; i < labels.length; i++) {
    const row = labels[i] * experts;
    for (let j = u.from[i]; j < u.from[i + 1]; j++) joint[row + u.experts[j]] += u.times[j];
  }
  return mutualInformation(joint, groups, experts);
}

/** Fisher and Yates. */
function shuffle(labels: Int32Array, next: () => number): void {
  for (let i = labels.length - 1; i > 0; i--) {
    const j = Math.floor(next() * (i + 1));
    const kept = labels[i];
    labels[i] = labels[j];
    labels[j] = kept;
  }
}
