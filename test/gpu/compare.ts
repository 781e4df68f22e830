/** How far values on the device are from those wanted. */
import assert from "node:assert/strict";

/** Largest difference over the largest value. */
export function difference(got: Float32Array, want: Float32Array): number {
  assert.equal(got.length, want.length);
  let scale = 1e-3;
  let worst = 0;
  for (const x of want) scale = Math.max(scale, Math.abs(x));
  for (let i = 0; i < want.length; ++i) worst = Math.max(worst, Math.abs(got[i] - want[i]));
  return worst / scale;
}

/** Root of the mean square of the difference, over that of what is wanted. */
export function relative(got: Float32Array, want: Float32Array): number {
  let wrong = 0;
  let all = 1e-12;
  for (let i = 0; i < want.length; i++) {
    wrong += (got[i] - want[i]) ** 2;
    all += want[i] ** 2;
  }
  return Math.sqrt(wrong / all);
}

/** Which of two equal weights comes first is open; head by head the other numbers of a summary are compared. */
export const withoutArgmax = (site: string, data: Float32Array): Float32Array =>
  site === "attn.summary" ? data.map((x, i) => (i % 7 === 3 ? 0 : x)) : data;
