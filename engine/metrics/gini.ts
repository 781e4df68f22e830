/**
 * Gini's index of inequality: `2 Σ_i i f_(i) / (E Σ f) − (E + 1) / E`, shares ascending, i from 1. 0 when even, (E − 1)/E when one expert
 * gets all. It equals the mean absolute difference of all pairs over twice the mean. Source: Gini 1912.
 */
export function gini(counts: ArrayLike<number>): number {
  const n = counts.length;
  const sorted = Float64Array.from(counts).sort();
  let [sum, ranked] = [0, 0];
  for (let i = 0; i < n; i++) {
    sum += sorted[i];
    ranked += (i + 1) * sorted[i];
  }
  return sum === 0 ? Number.NaN : (2 * ranked) / (n * sum) - (n + 1) / n;
}
