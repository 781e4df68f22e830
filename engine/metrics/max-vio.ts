/**
 * Maximal violation of the fair share: `max_e u_e − 1`, u the utilisation. 0 when even, E − 1 when one expert gets everything.
 * Source: Wang et al. 2024, "Auxiliary-loss-free load balancing", 2408.15664, eq. 4.
 */
export function maxVio(counts: ArrayLike<number>): number {
  let [sum, top] = [0, 0];
  for (let e = 0; e < counts.length; e++) {
    sum += counts[e];
    if (counts[e] > top) top = counts[e];
  }
  return sum === 0 ? Number.NaN : (top * counts.length) / sum - 1;
}
