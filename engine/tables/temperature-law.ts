import type { ModelFacts } from "../run/captured.ts";

/**
 * The attention temperature of Llama 4: NoPE layers scale the query at position `pos` (0-based) by
 * `1 + attnScale · ln(1 + ⌊(pos + 1) / floorScale⌋)`. (Scalable softmax; Llama 4 model card and `Llama4TextAttention` of transformers.)
 */
export const temperatureAt = (pos: number, floorScale: number, attnScale: number): number =>
  1 + attnScale * Math.log1p(Math.floor((pos + 1) / floorScale));

/** How many whole `floorScale`s lie before the next token: the stair that `pos` stands on. */
export const stairOf = (pos: number, floorScale: number): number => Math.floor((pos + 1) / floorScale);

/** Scaling by `ln n / ln floorScale` (n = pos + 1), which the law follows closely; 1 below one `floorScale`. */
export const logN = (pos: number, floorScale: number): number => Math.max(1, Math.log(pos + 1) / Math.log(floorScale));

/** What the law gives a layer without edits: 1 where positions are rotated or tuning is off. */
export function lawOf(facts: ModelFacts, rope: boolean): (pos: number) => number {
  if (rope || !facts.temperatureTuning) return () => 1;
  return (pos) => temperatureAt(pos, facts.floorScale, facts.attnScale);
}
