/** What a view needs to know of the numbers. */
export interface Range {
  readonly min: number;
  readonly max: number;
  readonly mean: number;
  readonly sd: number;
  /** Not finite. */
  readonly bad: number;
  /** Ends of the colours. Numbers of both signs: even around 0. */
  readonly domain: readonly [number, number];
  readonly diverging: boolean;
  /** Finite numbers beyond the ends. */
  readonly clipped: number;
}

/** The colours end at three standard deviations where numbers reach further: one outlier must not turn all others grey. */
export function rangeOf(data: Float32Array): Range {
  let [n, sum, square, min, max, bad] = [0, 0, 0, Infinity, -Infinity, 0];
  for (let i = 0; i < data.length; i++) {
    const v = data[i];
    if (!Number.isFinite(v)) {
      bad++;
      continue;
    }
    n++;
    sum += v;
    square += v * v;
    if (v < min) min = v;
    if (v > max) max = v;
  }
  if (n === 0)
    return {
      min: Number.NaN,
      max: Number.NaN,
      mean: Number.NaN,
      sd: Number.NaN,
      bad,
      domain: [0, 1],
      diverging: false,
      clipped: 0,
    };
  const mean = sum / n;
  const sd = Math.sqrt(Math.max(0, square / n - mean * mean));
  const diverging = min < 0 && max > 0;
  const domain = diverging ? around(Math.max(-min, max), 3 * Math.sqrt(square / n)) : within(min, max, mean, 3 * sd);
  let clipped = 0;
  for (let i = 0; i < data.length; i++) if (data[i] < domain[0] || data[i] > domain[1]) clipped++;
  return { min, max, mean, sd, bad, domain, diverging, clipped: clipped - infinities(data) };
}

function around(reach: number, limit: number): [number, number] {
  const end = Math.min(reach, Math.max(limit, 1e-30));
  return [-end, end];
}

function within(min: number, max: number, mean: number, reach: number): [number, number] {
  const [lo, hi] = [Math.max(min, mean - reach), Math.min(max, mean + reach)];
  return lo < hi ? [lo, hi] : [min - 0.5, max + 0.5];
}

function infinities(data: Float32Array): number {
  let n = 0;
  for (let i = 0; i < data.length; i++) if (data[i] === Infinity || data[i] === -Infinity) n++;
  return n;
}

/** Which places of an axis are shown: all, or both its ends with -1 for what is left out between. */
export function edges(n: number, most: number): { readonly places: readonly number[]; readonly cut: boolean } {
  if (n <= most) return { places: Array.from({ length: n }, (_, i) => i), cut: false };
  const half = Math.floor((most - 1) / 2);
  const ends = (i: number) => (i < half ? i : i === half ? -1 : n - 2 * half - 1 + i);
  return { places: Array.from({ length: 2 * half + 1 }, (_, i) => ends(i)), cut: true };
}
