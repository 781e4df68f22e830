import { ArgumentError } from "../errors.ts";
import { type Captured, captureKey, type LayerFacts } from "../run/captured.ts";
import { alive } from "./alive.ts";
import { type ColumnData, coded, grid, numbers, once } from "./column.ts";
import { notCaptured, routingBlock } from "./routing-block.ts";
import { Table } from "./table.ts";
import { type Tokens, tokensTable } from "./tokens.ts";

/** One row an expert of a layer, in each group of tokens. */
export interface Load {
  group: string;
  layer: number;
  expert: number;
  /** Tokens routed to it. */
  count: number;
  score_sum: number;
  /** Its share of the layer's tokens over the fair share: 1 is fair, 0 unused, E all. */
  util: number;
  /** Sum of the Euclidean norms of its outputs, and the largest magnitude in them. Needs `at.layers("moe").expert.out`. */
  out_norm_sum: number;
  out_max: number;
}

/** Counts by group, layer and expert: what load tables, metrics and plots are made from. A survey fills the same shape. */
export interface LoadCounts {
  readonly groups: readonly string[];
  readonly layers: Int32Array;
  readonly experts: number;
  readonly k: number;
  /** `[groups, layers, experts]` */
  readonly count: Float64Array;
  readonly scoreSum: Float64Array;
  readonly outNormSum: () => Float64Array;
  readonly outMax: () => Float32Array;
  /** Tokens in each group and layer, `[groups, layers]`. */
  readonly tokens: Float64Array;
}

const MAX_GROUPS = 1000;

/** Counts over all tokens, or apart by a column of `tokens`. */
export function countLoad(run: Captured, by?: keyof Tokens): LoadCounts {
  const b = routingBlock(run);
  const { groups, groupOf } = by === undefined ? { groups: ["all"], groupOf: null } : groupsBy(run, by);
  const [L, E, k] = [b.layers.length, b.experts, b.k];
  const count = new Float64Array(groups.length * L * E);
  const scoreSum = new Float64Array(count.length);
  const tokens = new Float64Array(groups.length * L);
  const { score } = b;
  for (let i = 0; i < b.length; i++) {
    const g = groupOf ? groupOf[b.t[i]] : 0;
    if (g < 0) continue;
    const cell = g * L + b.layerAt[i];
    tokens[cell]++;
    for (let s = 0; s < k; s++) {
      const at = cell * E + b.expert[i * k + s];
      count[at]++;
      scoreSum[at] += score[i * k + s];
    }
  }
  const out = once(() => outputs(run, groups.length, groupOf));
  return {
    groups,
    layers: b.layers,
    experts: E,
    k,
    count,
    scoreSum,
    tokens,
    outNormSum: () => out().norm,
    outMax: () => out().max,
  };
}

export function groupsBy(run: Captured, by: keyof Tokens): { groups: string[]; groupOf: Int32Array } {
  const column = tokensTable(run).column(by) as ArrayLike<unknown>;
  const groups: string[] = [];
  const known = new Map<unknown, number>();
  const groupOf = Int32Array.from({ length: column.length }, (_, t) => {
    const value = column[t];
    if (value === null || (typeof value === "number" && Number.isNaN(value))) return -1;
    let g = known.get(value);
    if (g === undefined) known.set(value, (g = groups.push(String(value)) - 1));
    return g;
  });
  if (groups.length === 0)
    throw new ArgumentError({
      what: `expertLoad.by("${by}"): no token has a ${by}`,
      fix: by === "group" ? "Give m.batch a `group` function, for example { group: d => d.lang }" : undefined,
    });
  if (groups.length > MAX_GROUPS)
    throw new ArgumentError(
      `expertLoad.by("${by}"): ${groups.length} different values are more than ${MAX_GROUPS} groups; group by a coarser column`,
    );
  return { groups, groupOf };
}

/** Norms and magnitudes of what the experts wrote, from their captured outputs `[t, slot, d]`. */
function outputs(run: Captured, groups: number, groupOf: Int32Array | null): { norm: Float64Array; max: Float32Array } {
  const b = routingBlock(run);
  const [L, E, k] = [b.layers.length, b.experts, b.k];
  const norm = new Float64Array(groups * L * E);
  const max = new Float32Array(norm.length);
  for (let l = 0; l < L; l++) {
    const out = run.captures.get(captureKey("expert.out", b.layers[l]));
    if (!out) throw notCaptured(`What the experts of layer ${b.layers[l]} wrote`, 'at.layers("moe").expert.out');
    const data = alive(out);
    const d = out.shape[2];
    const place = new Map<number, number>();
    out.rows.forEach((t, row) => {
      place.set(t, row);
    });
    for (let i = 0; i < b.length; i++) {
      if (b.layerAt[i] !== l) continue;
      const row = place.get(b.t[i]);
      const g = groupOf ? groupOf[b.t[i]] : 0;
      if (row === undefined || g < 0) continue;
      for (let s = 0; s < k; s++) {
        const at = (g * L + l) * E + b.expert[i * k + s];
        let [sum, top] = [0, max[at]];
        for (let j = 0, p = (row * k + s) * d; j < d; j++, p++) {
          const v = Math.abs(data[p]);
          sum += v * v;
          if (v > top) top = v;
        }
        norm[at] += Math.sqrt(sum);
        max[at] = top;
      }
    }
  }
  return { norm, max };
}

/** `expertLoad`, which can be grouped. */
export class LoadTable extends Table<Load> {
  readonly #by: ((column: keyof Tokens) => LoadTable) | null;

  /** @internal */
  constructor(
    counts: LoadCounts,
    layers: readonly LayerFacts[],
    by: ((column: keyof Tokens) => LoadTable) | null = null,
  ) {
    super(loadColumns(counts), { name: "expertLoad", context: { layers } });
    this.#by = by;
  }

  /** The same counts, apart by a column of `tokens`: `by("kind")`, `by("group")`. */
  by(column: keyof Tokens): LoadTable {
    if (!this.#by)
      throw new ArgumentError(
        `expertLoad.by("${column}"): these counts are grouped already, and the tokens behind them are not kept`,
      );
    return this.#by(column);
  }
}

export function expertLoad(run: Captured): LoadTable {
  const { layers } = run.facts;
  const by = (column: keyof Tokens): LoadTable => new LoadTable(countLoad(run, column), layers, by);
  return new LoadTable(countLoad(run), layers, by);
}

function loadColumns(c: LoadCounts): Record<string, ColumnData> {
  const n = c.count.length;
  const [L, E] = [c.layers.length, c.experts];
  return {
    group: coded(() => Int32Array.from({ length: n }, (_, i) => Math.floor(i / (L * E))), c.groups, n),
    layer: grid(c.layers, E, n),
    expert: grid(
      Int32Array.from({ length: E }, (_, e) => e),
      1,
      n,
    ),
    count: numbers(c.count),
    score_sum: numbers(c.scoreSum),
    util: numbers(() => Float32Array.from(c.count, (v, i) => (v * E) / (c.tokens[Math.floor(i / E)] * c.k)), n),
    out_norm_sum: numbers(c.outNormSum, n, null, { costly: true }),
    out_max: numbers(c.outMax, n, null, { costly: true }),
  };
}
