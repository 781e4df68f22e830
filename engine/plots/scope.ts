import { fromEnd } from "../check.ts";
import { count, token } from "../display/format.ts";
import { ArgumentError } from "../errors.ts";
import type { Captured } from "../run/captured.ts";
import type { Tick } from "./figure.ts";

/** A token row of the run; negative counts from the end. */
export function tokenRow(run: Captured, t: number, where: string): number {
  const n = run.tokens.length;
  const row = fromEnd(t, n);
  if (Number.isInteger(row) && row >= 0 && row < n) return row;
  throw new ArgumentError(`${where}: there is no token row ${t}; the run has ${n}, 0 … ${n - 1}`);
}

/** Ticks for a list of layers, laid out at 0, 1, 2 …: all of them while there is room. */
export function layerTicks(layers: ArrayLike<number>, pixels: number): Tick[] {
  const every = [1, 2, 4, 8, 16].find((step) => (layers.length / step) * 13 <= pixels) ?? 32;
  return Array.from(layers, (layer, i) => ({ at: i, text: String(layer) })).filter((_, i) => i % every === 0);
}

export function expertTicks(experts: number, pixels: number): Tick[] {
  const every = [1, 2, 4, 8, 16, 32].find((step) => (experts / step) * 20 <= pixels) ?? 64;
  return Array.from({ length: experts }, (_, e) => ({ at: e, text: String(e) })).filter((_, e) => e % every === 0);
}

/** Most tokens begin with a space: on an axis it would only be noise. */
const word = (text: string): string => token(text.trim() === "" ? text : text.trim(), 12);

/** Words below the axis while there is room for each; row numbers otherwise. */
export function tokenTicks(
  run: Captured,
  rows: ArrayLike<number>,
  pixels: number,
): { ticks?: Tick[]; turned?: boolean; label: string } {
  if (rows.length * 11.5 <= pixels)
    return {
      ticks: Array.from(rows, (t, i) => ({ at: i, text: word(run.tokens.text[t]) })),
      turned: true,
      label: "token",
    };
  const step =
    [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000].find((s) => (rows.length / s) * 44 <= pixels) ?? 10000;
  const ticks: Tick[] = [];
  for (let i = 0; i < rows.length; i++) {
    // The first row at or after each round number.
    const round = Math.ceil(rows[i] / step) * step;
    if (rows[i] === round || (i > 0 && Math.floor(rows[i] / step) > Math.floor(rows[i - 1] / step)))
      ticks.push({ at: i, text: count(rows[i]) });
  }
  return { ticks, label: "token row t" };
}

export const tokens = (n: number): string => `${count(n)} ${n === 1 ? "token" : "tokens"}`;
