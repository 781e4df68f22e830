import { random } from "../tables/random.ts";

/** A seeded source of Poisson counts: what a fair dealing of tokens to experts, or a second sample of the same load, looks like. */
export function poisson(seed: number): (mean: number) => number {
  const next = random(seed);
  const normal = () => Math.sqrt(-2 * Math.log(1 - next())) * Math.cos(2 * Math.PI * next());
  return (mean) => {
    if (mean <= 0) return 0;
    // Above 50 the normal curve is closer than any bootstrap needs.
    if (mean > 50) return Math.max(0, Math.round(mean + Math.sqrt(mean) * normal()));
    const stop = Math.exp(-mean);
    let n = 0;
    for (let p = next(); p > stop; p *= next()) n++;
    return n;
  };
}

export const DRAWS = 200;

/** Counts drawn around `means`; never none at all, which no measure is defined for. */
export function draw(means: Float64Array, poissonOf: (mean: number) => number): Float64Array {
  for (;;) {
    const counts = means.map((m) => poissonOf(m));
    if (counts.some((c) => c > 0)) return counts;
  }
}

/** The middle 95 % of numbers. Sorts them in place. */
export function middle95(values: Float64Array): [number, number] {
  values.sort();
  const at = (q: number) => values[Math.min(values.length - 1, Math.max(0, Math.round(q * (values.length - 1))))];
  return [at(0.025), at(0.975)];
}

/** Wilson's 95 % interval of a share: `hits` of `n`. */
export function wilson(hits: number, n: number): [number, number] {
  if (n === 0) return [0, 1];
  const z = 1.959964;
  const p = hits / n;
  const middle = p + (z * z) / (2 * n);
  const reach = z * Math.sqrt((p * (1 - p)) / n + (z * z) / (4 * n * n));
  const scale = 1 + (z * z) / n;
  return [Math.max(0, (middle - reach) / scale), Math.min(1, (middle + reach) / scale)];
}
