/** What a model must compute and read at least: the figures that a measured time is divided by. */
import type { Config } from "../../../engine/checkpoint/config.ts";

/** Elements of the matrices that one token multiplies with, without the embedding table. */
export function activeWeights(c: Config): number {
  const attention = 2 * c.d * c.heads * c.headDim + 2 * c.d * c.kvHeads * c.headDim;
  const layers = c.layerFacts.map((l) =>
    l.moe ? attention + c.d * c.experts + 3 * c.d * c.ff * (c.topk + 1) : attention + 3 * c.d * c.ffDense,
  );
  return layers.reduce((a, b) => a + b, 0) + c.vocab * c.d;
}

/** Keys that the row at `position` sees, summed over the layers. */
const seen = (c: Config, position: number): number =>
  c.layerFacts.reduce((sum, l) => sum + (l.kind === "chunked" && c.chunk ? (position % c.chunk) + 1 : position + 1), 0);

/** Multiply-adds count two. All rows' logits are made. */
export function prefillFlops(c: Config, rows: number): number {
  let pairs = 0;
  for (let p = 0; p < rows; p++) pairs += seen(c, p);
  return 2 * rows * activeWeights(c) + 4 * pairs * c.heads * c.headDim;
}

/** Bytes of weights and of keys and values that one token reads at a position; `element`: of a key's or value's number. */
export const decodeBytes = (c: Config, bytesPerWeight: number, position: number, element = 4): number =>
  activeWeights(c) * bytesPerWeight + seen(c, position) * 2 * c.kvHeads * c.headDim * element;
