import { headsOf, SITES, type SiteName } from "../sites/names.ts";
import type { ModelFacts } from "./captured.ts";

/** Sizes of one captured row, by axis: what follows `t` in the site's axes. `heads`: how many were captured. */
export function rowShape(name: SiteName, facts: ModelFacts, heads: number | null): number[] {
  const kind = headsOf(name);
  const sizes: Readonly<Record<string, number>> = {
    d: facts.d,
    dh: facts.headDim,
    head: heads ?? (kind ? facts[kind] : 0),
    stat: 7,
    expert: facts.experts,
    slot: facts.topk,
    ff: name.startsWith("mlp.") ? facts.ffDense : facts.ff,
    vocab: facts.vocab,
  };
  return SITES[name].axes
    .split(" ")
    .filter((a) => a !== "t")
    .map((a) => sizes[a]);
}
