/**
 * How undecided a router is about one token: the entropy of softmax over its logits, `−Σ p ln p` (nats). Llama 4 itself scores with a
 * sigmoid and never normalises; the softmax is taken for this measure only. 0: certain; ln E: no preference.
 * Source: Shannon 1948. `out[i]` is written for each of `n` rows of `experts` logits.
 */
export function routingEntropy(
  logits: Float32Array,
  experts: number,
  out = new Float32Array(logits.length / experts),
): Float32Array {
  for (let i = 0; i < out.length; i++) {
    const from = i * experts;
    let top = -Infinity;
    for (let e = 0; e < experts; e++) if (logits[from + e] > top) top = logits[from + e];
    let [z, zx] = [0, 0];
    for (let e = 0; e < experts; e++) {
      const x = logits[from + e] - top;
      const w = Math.exp(x);
      z += w;
      zx += w * x;
    }
    out[i] = Math.max(0, Math.log(z) - zx / z);
  }
  return out;
}
