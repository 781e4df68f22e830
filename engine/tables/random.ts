import { quoted } from "../check.ts";
import { ArgumentError } from "../errors.ts";

/** A small seeded generator (mulberry32): uniform in [0, 1). For sampling and shuffling, not for secrets. */
export function random(seed: number): () => number {
  if (!Number.isFinite(seed)) throw new ArgumentError(`seed: ${quoted(seed)} is not a number`);
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let x = state;
    x = Math.imul(x ^ (x >>> 15), x | 1);
    x ^= x + Math.imul(x ^ (x >>> 7), x | 61);
    return ((x ^ (x >>> 14)) >>> 0) / 4294967296;
  };
}
