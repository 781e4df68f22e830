import { quoted } from "../check.ts";
import { ArgumentError, didYouMean } from "../errors.ts";
import type { RowFilter } from "../native.ts";
import { type Compare, type Filter, matcher, type Rows } from "../sites/selector.ts";

/** The rows of a prompt (all sequences, one after the other), against which filters are resolved. */
export interface PromptRows {
  readonly ids: Int32Array;
  readonly seq: Int32Array;
  readonly pos: Int32Array;
  /** Rows of each sequence. */
  readonly lengths: readonly number[];
  /** The text of a row's token. */
  readonly text: (t: number) => string;
  /** Ids of the tokens with this text; empty when there is none. */
  readonly idsOf: (text: string) => readonly number[];
  /** The texts of the prompt's tokens, for "did you mean". */
  readonly texts: () => readonly string[];
}

const END = 0x7fffffff;

/** Half-open pairs `[from, to)` of the numbers that match; unbounded above, so that rows made later are covered. */
export function ranges(match: Rows, key: string, where: string, end?: number): Int32Array | undefined {
  if (match === "*") return undefined;
  matcher(match, key, where, end); // checks the form
  const place = (n: number): number => (n < 0 && end !== undefined ? end + n : n);
  if (typeof match === "number") return Int32Array.of(place(match), place(match) + 1);
  if (Array.isArray(match)) return pairs(match.map(place));
  const { lt, lte, gt, gte, ne } = match as Compare<number>;
  const from = Math.max(0, gt === undefined ? 0 : place(gt) + 1, gte === undefined ? 0 : place(gte));
  const to = Math.min(END, lt === undefined ? END : place(lt), lte === undefined ? END : place(lte) + 1);
  if (ne === undefined || place(ne) < from || place(ne) >= to)
    return from < to ? Int32Array.of(from, to) : new Int32Array(0);
  return Int32Array.from(
    [from, place(ne), place(ne) + 1, to].some((_, i, a) => i % 2 === 0 && a[i] < a[i + 1])
      ? cutOut(from, to, place(ne))
      : [],
  );
}

const cutOut = (from: number, to: number, hole: number): number[] => [
  ...(from < hole ? [from, hole] : []),
  ...(hole + 1 < to ? [hole + 1, to] : []),
];

/** Whole numbers as runs: 3, 4, 5, 9 become [3, 6), [9, 10). */
export function pairs(numbers: readonly number[]): Int32Array {
  const sorted = [...new Set(numbers)].sort((a, b) => a - b);
  const out: number[] = [];
  for (const n of sorted) {
    if (out.length && out[out.length - 1] === n) out[out.length - 1] = n + 1;
    else out.push(n, n + 1);
  }
  return Int32Array.from(out);
}

/** The filter as the engine reads it. Negative places count from the end of the prompt (`pos`: of each sequence). */
export function rowFilter(filter: Filter, prompt: PromptRows, where: string): RowFilter {
  const out: RowFilter = {};
  const rows = prompt.ids.length;
  const set = (key: keyof RowFilter, value: Int32Array | undefined): void => {
    if (value !== undefined) out[key] = value;
  };
  if (filter.t !== undefined) set("t", ranges(filter.t, "t", where, rows));
  if (filter.pos !== undefined) {
    if (prompt.lengths.length === 1 || !hasNegative(filter.pos))
      set("pos", ranges(filter.pos, "pos", where, prompt.lengths[0]));
    else {
      // Sequences of different length end at different places: name the rows themselves.
      const test = promptTest(filter, prompt, where);
      set("t", pairs(Array.from({ length: rows }, (_, t) => t).filter(test)));
    }
  }
  if (filter.step !== undefined) set("step", ranges(filter.step, "step", where));
  const ids = idSet(filter, prompt, where);
  if (ids) set("ids", pairs([...ids]));
  return out;
}

/** Does the filter hold for a row of the prompt? */
export function promptTest(filter: Filter, prompt: PromptRows, where: string): (t: number) => boolean {
  const t = filter.t === undefined ? null : matcher(filter.t, "t", where, prompt.ids.length);
  const pos = filter.pos === undefined ? null : prompt.lengths.map((n) => matcher(filter.pos!, "pos", where, n));
  const ids = idSet(filter, prompt, where);
  const onlySteps = filter.step !== undefined && filter.step !== "*";
  return (row) =>
    !onlySteps &&
    (!t || t(row)) &&
    (!pos || pos[prompt.seq[row]](prompt.pos[row])) &&
    (!ids || ids.has(prompt.ids[row]));
}

function hasNegative(match: Rows): boolean {
  const values = typeof match === "object" && !Array.isArray(match) ? Object.values(match) : [match].flat();
  return values.some((v) => typeof v === "number" && v < 0);
}

function idSet(filter: Filter, prompt: PromptRows, where: string): Set<number> | null {
  let ids: Set<number> | null = null;
  if (filter.id !== undefined && filter.id !== "*") {
    if (typeof filter.id !== "number" && !Array.isArray(filter.id))
      throw new ArgumentError({
        where,
        what: "id takes a token id or a list of them",
        fix: "Comparisons of ids mean nothing",
      });
    matcher(filter.id, "id", where);
    ids = new Set([filter.id].flat() as number[]);
  }
  if (filter.text !== undefined) {
    const wanted = [filter.text].flat().flatMap((text) => {
      const found = prompt.idsOf(text);
      if (found.length === 0)
        throw new ArgumentError({
          where,
          what: `no single token is ${quoted(text)}${didYouMean(text, new Set(prompt.texts()))}`,
          fix: "Tokens often begin with a space; r.tokens lists them",
        });
      return found;
    });
    ids = new Set(ids ? wanted.filter((id) => ids!.has(id)) : wanted);
  }
  return ids;
}
