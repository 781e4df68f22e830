/**
 * How firmly one token was routed: the k-th largest logit less the next, `z_(k) − z_(k+1)`. Adding less than that to any one logit
 * cannot change the choice. Source: definition here. Rows of `experts` logits; NaN where k = experts.
 */
export function margin(logits: Float32Array, experts: number, k: number): Float32Array {
  const out = new Float32Array(logits.length / experts);
  const row = new Float32Array(experts);
  for (let i = 0; i < out.length; i++) {
    row.set(logits.subarray(i * experts, (i + 1) * experts));
    row.sort();
    out[i] = k < experts ? row[experts - k] - row[experts - k - 1] : Number.NaN;
  }
  return out;
}
