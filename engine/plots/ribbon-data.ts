import type { Captured } from "../run/captured.ts";
import { routingBlock } from "../tables/routing-block.ts";
import { inkOn } from "./color.ts";

/** The MIME type of the ribbon as data, for renderers that can move through the layers. */
export const RIBBON_MIME = "application/vnd.moescope.ribbon.v1+json";

/** Every matrix is `[layer][token]`. */
export interface RibbonData {
  readonly tokens: readonly string[];
  readonly layers: readonly number[];
  /** Index into `layers` that is shown first. */
  readonly layer: number;
  /** First choices. */
  readonly expert: readonly number[][];
  readonly runnerUp: readonly number[][];
  readonly score: readonly number[][];
  readonly margin: readonly number[][];
  /** By expert: its colour, and the ink that reads on it. */
  readonly colors: readonly { readonly back: string; readonly text: string }[];
  readonly caption: string;
}

/** Four matrices of numbers take some 20 bytes a cell. */
const MAX_CELLS = 40_000;

/** All captured layers of the token rows `[from, to)`; null where a row or the logits are missing, or where it would be too much. */
export function ribbonData(
  run: Captured,
  from: number,
  to: number,
  first: number,
  color: (expert: number) => string,
  caption: string,
): RibbonData | null {
  const b = routingBlock(run);
  const L = b.layers.length;
  if (!b.dense || !b.hasLogits || b.rows.length !== run.tokens.length || (to - from) * L > MAX_CELLS) return null;
  const { runnerUp, margin } = b.rivals;
  const matrix = (of: (entry: number) => number) =>
    Array.from({ length: L }, (_, l) => Array.from({ length: to - from }, (_, i) => of((from + i) * L + l)));
  const short = (v: number) => Number(v.toPrecision(3));
  return {
    tokens: run.tokens.text.slice(from, to),
    layers: Array.from(b.layers),
    layer: Math.max(0, b.layers.indexOf(first)),
    expert: matrix((i) => b.expert[i * b.k]),
    runnerUp: matrix((i) => runnerUp[i]),
    score: matrix((i) => short(b.score[i * b.k])),
    margin: matrix((i) => (Number.isNaN(margin[i]) ? 0 : short(margin[i]))),
    colors: Array.from({ length: b.experts }, (_, e) => ({ back: color(e), text: inkOn(color(e)) })),
    caption,
  };
}
