/**
 * Entropy of the load: `H(f) = −Σ f_e ln f_e` (nats), f the shares; divided by `ln E` it is 1 when even and 0 when one expert gets all.
 * Source: Shannon 1948, "A mathematical theory of communication".
 */
export function entropy(counts: ArrayLike<number>): number {
  let sum = 0;
  for (let e = 0; e < counts.length; e++) sum += counts[e];
  if (sum === 0) return Number.NaN;
  let h = 0;
  for (let e = 0; e < counts.length; e++) {
    const f = counts[e] / sum;
    if (f > 0) h -= f * Math.log(f);
  }
  return h;
}

export const loadEntropy = (counts: ArrayLike<number>): number =>
  counts.length < 2 ? Number.NaN : entropy(counts) / Math.log(counts.length);
