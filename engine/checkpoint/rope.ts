/**
 * Inverse frequencies of RoPE, in the very bits that torch makes (`rope: "hf"`) and in doubles (`rope: "accurate"`).
 *
 * At position 10M one unit in the last place of a frequency turns the angle by half a radian, so each rounding counts. torch computes
 * `1 / theta ** (2j / dim)` with every step in f32, and `scalar / tensor` as `scalar * (1 / tensor)`. The order below was compared
 * with torch 2.15 (CPU) for seven (theta, dim) pairs and four scalings: no bit differs.
 */
export interface RopeScaling {
  readonly type: "llama3";
  readonly factor: number;
  readonly lowFreqFactor: number;
  readonly highFreqFactor: number;
  /** Positions that the unscaled frequencies were trained for. */
  readonly originalContext: number;
}

export interface Rope {
  readonly theta: number;
  readonly scaling: RopeScaling | null;
}

type Round = (x: number) => number;

/** `headDim / 2` angles per position, each step rounded to f32. */
export function invFreq(rope: Rope, headDim: number): Float32Array {
  return Float32Array.from(frequencies(rope, headDim, Math.fround));
}

/** The same formulas in doubles. */
export function invFreq64(rope: Rope, headDim: number): Float64Array {
  return Float64Array.from(frequencies(rope, headDim, (x) => x));
}

function frequencies(rope: Rope, headDim: number, f: Round): number[] {
  return Array.from({ length: headDim / 2 }, (_, j) => {
    const base = f(1 / f(rope.theta ** f((2 * j) / headDim)));
    return rope.scaling ? llama3(base, rope.scaling, f) : base;
  });
}

/**
 * Long waves are slowed by `factor`, short ones kept, those between blended. With low = high (Scout as shipped: 1 and 1) the blend
 * would divide by zero, but no wave lies between; nothing is blended then.
 */
function llama3(x: number, s: RopeScaling, f: Round): number {
  const wave = f(f(1 / x) * f(2 * Math.PI));
  const slowed = f(x / s.factor);
  if (wave > f(s.originalContext / s.lowFreqFactor)) return slowed;
  if (wave < f(s.originalContext / s.highFreqFactor) || s.lowFreqFactor === s.highFreqFactor) return x;
  const turns = f(f(1 / wave) * s.originalContext);
  const kept = f(f(turns - s.lowFreqFactor) / (s.highFreqFactor - s.lowFreqFactor));
  return f(f(f(f(1 - kept) * x) / s.factor) + f(kept * x));
}
