/**
 * Utilisation: each expert's share of the tokens over the fair share, `u_e = E · c_e / Σ c`. 1 is fair; the mean is always 1.
 * Source: "utilisation ratio" of NVIDIA NeMo Automodel, #1232; the same as load over ideal load.
 */
export function util(counts: ArrayLike<number>): Float64Array {
  let sum = 0;
  for (let e = 0; e < counts.length; e++) sum += counts[e];
  return Float64Array.from(counts, (c) => (c * counts.length) / sum);
}
