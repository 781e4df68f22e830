/**
 * Mutual information between a label of the tokens (domain, language, kind) and the expert that they choose, in nats:
 * `I(D; e) = Σ p(d, e) ln( p(d, e) / (p(d) p(e)) )`. 0 when the label says nothing about the expert; at most the smaller entropy.
 * A finite sample always shows some, so it stands beside that of shuffled labels.
 * Source: Shannon 1948; as a measure of expert specialisation after OLMoE, 2409.02060, section 5.
 *
 * `joint` is `[groups, experts]`, counts.
 */
export function mutualInformation(joint: ArrayLike<number>, groups: number, experts: number): number {
  const byGroup = new Float64Array(groups);
  const byExpert = new Float64Array(experts);
  let n = 0;
  for (let g = 0, i = 0; g < groups; g++)
    for (let e = 0; e < experts; e++, i++) {
      byGroup[g] += joint[i];
      byExpert[e] += joint[i];
      n += joint[i];
    }
  if (n === 0) return Number.NaN;
  let sum = 0;
  for (let g = 0, i = 0; g < groups; g++)
    for (let e = 0; e < experts; e++, i++)
      if (joint[i] > 0) sum += joint[i] * Math.log((joint[i] * n) / (byGroup[g] * byExpert[e]));
  return Math.max(0, sum / n);
}
