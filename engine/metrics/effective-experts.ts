import { entropy } from "./load-entropy.ts";

/**
 * How many equally loaded experts would have the same entropy: `exp H(f)`. E when even, 1 when one expert gets all.
 * Source: Hill 1973, "Diversity and evenness" (the number of order 1); Jost 2006.
 */
export const effectiveExperts = (counts: ArrayLike<number>): number => Math.exp(entropy(counts));
