/** The value below which the share `q` of the sorted numbers lies; between neighbours by linear interpolation (type 7 of Hyndman & Fan). */
export function quantile(sorted: ArrayLike<number>, q: number): number {
  if (sorted.length === 0) return Number.NaN;
  const at = q * (sorted.length - 1);
  const i = Math.floor(at);
  const next = Math.min(sorted.length - 1, i + 1);
  return sorted[i] + (sorted[next] - sorted[i]) * (at - i);
}
