/** Comparison against a reference: relative to the tensor's own scale, first failing site first. */
import assert from "node:assert/strict";

/** Every value within this much of the tensor's largest magnitude: the gate of the f32 path. */
export const TOLERANCE = 1e-5;

export interface Difference {
  what: string;
  /** Largest difference over the scale. */
  off: number;
  scale: number;
  /** Where it is, and both values there. */
  at: number[];
  got: number;
  want: number;
}

export function largest(x: ArrayLike<number>): number {
  let m = 0;
  for (let i = 0; i < x.length; i++) m = Math.max(m, Math.abs(x[i]));
  return m;
}

function unravel(i: number, shape: readonly number[]): number[] {
  const out: number[] = [];
  for (let a = shape.length - 1; a >= 0; a--) {
    out.unshift(i % shape[a]);
    i = Math.floor(i / shape[a]);
  }
  return out;
}

/** The largest difference of `got` from `want`, over `scale` (default: the largest magnitude of `want`). A NaN counts as infinite. */
export function difference(
  what: string,
  got: ArrayLike<number>,
  want: ArrayLike<number>,
  shape: readonly number[],
  scale = largest(want),
): Difference {
  assert.ok(
    got.length === want.length,
    `${what}: ${got.length} values where the reference has ${want.length} (${shape})`,
  );
  let worst = -1;
  let where = 0;
  for (let i = 0; i < got.length; i++) {
    const d = Math.abs(got[i] - want[i]);
    if (!(d <= worst)) {
      worst = Number.isNaN(d) ? Number.POSITIVE_INFINITY : d;
      where = i;
      if (worst === Number.POSITIVE_INFINITY) break;
    }
  }
  const off = worst === 0 ? 0 : worst / (scale || 1);
  return { what, off, scale, at: unravel(where, shape), got: got[where], want: want[where] };
}

/** Fails on the first entry (they come in the model's order) above the tolerance, and counts the others. */
export function assertClose(list: Difference[], tolerance = TOLERANCE): void {
  const bad = list.filter((d) => !(d.off <= tolerance));
  if (bad.length === 0) return;
  const d = bad[0];
  const others = bad.length === 1 ? "" : `; so do ${bad.length - 1} after it: ${bad.slice(1, 6).map((b) => b.what)}`;
  assert.fail(
    `${d.what} is the first of ${list.length} to differ: by ${d.off.toExponential(1)} of its scale ${d.scale.toPrecision(3)} ` +
      `(allowed ${tolerance.toExponential(0)}) at [${d.at}], ${d.got} where the reference has ${d.want}${others}`,
  );
}

/** Both must be there for a comparison to mean something. */
export function assertAlive(what: string, x: ArrayLike<number>): void {
  assert.ok(x.length > 0 && largest(x) > 0, `${what}: captured values are all zero`);
}
