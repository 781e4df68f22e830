/**
 * Experts that got no token. With few tokens that means little: a fair router leaves an expert out with probability
 * `P(0) = (1 − k/E)^N`. So an expert is called dead only where at least 20 tokens were expected (`N k / E ≥ 20`), cold otherwise.
 * Source: definition here; why it matters: never-activated experts break calibration of quantised weights (ik_llama.cpp #202).
 */
export interface Unused {
  readonly expert: number;
  readonly verdict: "dead" | "cold";
}

export const ENOUGH = 20;

export const expectedCount = (tokens: number, k: number, experts: number): number => (tokens * k) / experts;

export const chanceOfNone = (tokens: number, k: number, experts: number): number => (1 - k / experts) ** tokens;

export function unused(counts: ArrayLike<number>, tokens: number, k: number): Unused[] {
  const verdict = expectedCount(tokens, k, counts.length) >= ENOUGH ? "dead" : "cold";
  const found: Unused[] = [];
  for (let expert = 0; expert < counts.length; expert++) if (counts[expert] === 0) found.push({ expert, verdict });
  return found;
}
