/**
 * Mean load over the largest load of a layer, `1 / max u`: 1 when even, 1/E when one expert gets all.
 * Source: SGLang's and vLLM's expert-parallel load balancers. Theirs is over ranks, and they average over layers differently: SGLang takes the
 * mean of the layers' ratios (as here), vLLM the ratio of sums over layers.
 */
export function balancedness(counts: ArrayLike<number>): number {
  let [sum, top] = [0, 0];
  for (let e = 0; e < counts.length; e++) {
    sum += counts[e];
    if (counts[e] > top) top = counts[e];
  }
  return sum === 0 ? Number.NaN : sum / counts.length / top;
}
