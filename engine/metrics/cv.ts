/**
 * Coefficient of variation of the load: standard deviation (over the experts, divisor E) over the mean. 0 when even, √(E − 1) when one
 * expert gets all. Source: Shazeer et al. 2017, 1701.06538, whose importance and load losses are its square.
 */
export function cv(counts: ArrayLike<number>): number {
  const n = counts.length;
  let sum = 0;
  for (let e = 0; e < n; e++) sum += counts[e];
  if (sum === 0) return Number.NaN;
  const mean = sum / n;
  let square = 0;
  for (let e = 0; e < n; e++) square += (counts[e] - mean) ** 2;
  return Math.sqrt(square / n) / mean;
}
