import { quoted } from "../check.ts";
import { ArgumentError } from "../errors.ts";
import type { Captured } from "../run/captured.ts";
import { numbers } from "./column.ts";
import { routingBlock } from "./routing-block.ts";
import { Table } from "./table.ts";
import { selectorContext } from "./tokens.ts";

/** One row a changed decision. */
export interface Flip {
  t_a: number;
  t_b: number;
  layer: number;
  /** First-choice experts of the two runs. */
  expert_a: number;
  expert_b: number;
  /** How firmly run a had decided; NaN without its logits. */
  margin_a: number;
  /** Change of the token's log-probability, b less a. */
  dlogprob: number;
}

/** Token rows of two runs that stand for each other. */
export interface Alignment {
  readonly a: Int32Array;
  readonly b: Int32Array;
  readonly by: "pos" | "text";
}

/** By `pos`: the same place of the same sequence. By `text`: the longest common run of token ids (insertions and deletions allowed). */
export function align(a: Captured, b: Captured, by: "pos" | "text" = "pos"): Alignment {
  if (by !== "pos" && by !== "text") throw new ArgumentError(`compare: align is "pos" or "text", not ${quoted(by)}`);
  const pairs = by === "pos" ? byPlace(a, b) : byText(a, b);
  if (pairs.length === 0)
    throw new ArgumentError({
      what: "compare: the two runs have no token in common",
      fix: by === "pos" ? 'Try { align: "text" }' : undefined,
    });
  return { a: Int32Array.from(pairs, (p) => p[0]), b: Int32Array.from(pairs, (p) => p[1]), by };
}

function byPlace(a: Captured, b: Captured): [number, number][] {
  const rows = new Map<string, number>();
  for (let t = 0; t < b.tokens.length; t++) rows.set(`${b.tokens.seq[t]} ${b.tokens.pos[t]}`, t);
  const pairs: [number, number][] = [];
  for (let t = 0; t < a.tokens.length; t++) {
    const u = rows.get(`${a.tokens.seq[t]} ${a.tokens.pos[t]}`);
    if (u !== undefined) pairs.push([t, u]);
  }
  return pairs;
}

const MAX_CELLS = 100e6;

/** Longest common subsequence by dynamic programming, after the common ends are taken off. */
function byText(a: Captured, b: Captured): [number, number][] {
  const [x, y] = [a.tokens.ids, b.tokens.ids];
  let head = 0;
  while (head < x.length && head < y.length && x[head] === y[head]) head++;
  let tail = 0;
  while (tail < x.length - head && tail < y.length - head && x[x.length - 1 - tail] === y[y.length - 1 - tail]) tail++;
  const [n, m] = [x.length - head - tail, y.length - head - tail];
  if (n * m > MAX_CELLS)
    throw new ArgumentError({
      what: `compare: ${n} and ${m} differing tokens are too many to align by text`,
      fix: 'Use { align: "pos" }',
    });
  const best = Array.from({ length: n + 1 }, () => new Uint16Array(m + 1));
  for (let i = n - 1; i >= 0; i--)
    for (let j = m - 1; j >= 0; j--)
      best[i][j] = x[head + i] === y[head + j] ? best[i + 1][j + 1] + 1 : Math.max(best[i + 1][j], best[i][j + 1]);
  const pairs: [number, number][] = Array.from({ length: head }, (_, t) => [t, t]);
  for (let i = 0, j = 0; i < n && j < m; ) {
    if (x[head + i] === y[head + j]) pairs.push([head + i++, head + j++]);
    else if (best[i + 1][j] >= best[i][j + 1]) i++;
    else j++;
  }
  for (let t = tail; t > 0; t--) pairs.push([x.length - t, y.length - t]);
  return pairs;
}

/** Every (token pair, layer) of the alignment where both runs hold the routing, and whether the chosen sets differ. */
export interface FlipBlock {
  readonly pair: Int32Array;
  readonly layer: Int32Array;
  readonly flipped: Uint8Array;
  readonly expertA: Int32Array;
  readonly expertB: Int32Array;
  readonly marginA: Float32Array;
}

export function flipBlock(a: Captured, b: Captured, rows: Alignment): FlipBlock {
  const [ra, rb] = [routingBlock(a), routingBlock(b)];
  if (ra.k !== rb.k || ra.experts !== rb.experts)
    throw new ArgumentError(
      `compare: the runs route top-${ra.k} of ${ra.experts} and top-${rb.k} of ${rb.experts} experts; flips need the same`,
    );
  const entryB = new Map<number, number>();
  for (let i = 0; i < rb.length; i++) entryB.set(rb.t[i] * 65536 + rb.layers[rb.layerAt[i]], i);
  const pairOf = new Map<number, number>();
  rows.a.forEach((t, i) => {
    pairOf.set(t, i);
  });
  const found: [pair: number, layer: number, i: number, j: number][] = [];
  for (let i = 0; i < ra.length; i++) {
    const pair = pairOf.get(ra.t[i]);
    if (pair === undefined) continue;
    const layer = ra.layers[ra.layerAt[i]];
    const j = entryB.get(rows.b[pair] * 65536 + layer);
    if (j !== undefined) found.push([pair, layer, i, j]);
  }
  const margin = ra.hasLogits ? ra.rivals.margin : null;
  return {
    pair: Int32Array.from(found, (f) => f[0]),
    layer: Int32Array.from(found, (f) => f[1]),
    flipped: Uint8Array.from(found, (f) => (sameSet(ra.expert, f[2] * ra.k, rb.expert, f[3] * rb.k, ra.k) ? 0 : 1)),
    expertA: Int32Array.from(found, (f) => ra.expert[f[2] * ra.k]),
    expertB: Int32Array.from(found, (f) => rb.expert[f[3] * rb.k]),
    marginA: Float32Array.from(found, (f) => margin?.[f[2]] ?? Number.NaN),
  };
}

function sameSet(x: Int32Array, i: number, y: Int32Array, j: number, k: number): boolean {
  for (let s = 0; s < k; s++) {
    let found = false;
    for (let q = 0; q < k; q++) if (x[i + s] === y[j + q]) found = true;
    if (!found) return false;
  }
  return true;
}

export function flipsTable(
  a: Captured,
  b: Captured,
  rows: Alignment,
  block: FlipBlock = flipBlock(a, b, rows),
): Table<Flip> {
  const at = Int32Array.from(block.flipped.keys()).filter((i) => block.flipped[i] === 1);
  const tA = at.map((i) => rows.a[block.pair[i]]);
  const tB = at.map((i) => rows.b[block.pair[i]]);
  return new Table<Flip>(
    {
      t_a: numbers(tA),
      t_b: numbers(tB),
      layer: numbers(at.map((i) => block.layer[i])),
      expert_a: numbers(at.map((i) => block.expertA[i])),
      expert_b: numbers(at.map((i) => block.expertB[i])),
      margin_a: numbers(Float32Array.from(at, (i) => block.marginA[i])),
      dlogprob: numbers(Float32Array.from(at, (_, j) => b.tokens.logprob[tB[j]] - a.tokens.logprob[tA[j]])),
    },
    { name: "flips", context: selectorContext(a), summary: () => `of ${block.flipped.length} decisions compared` },
  );
}
