import { quoted } from "../check.ts";
import { ArgumentError, didYouMean, SiteError } from "../errors.ts";
import type { LayerFacts } from "../run/captured.ts";

/** One selector everywhere: the keys are column names, the values are a value, a list, or a comparison. */
export interface Compare<T> {
  lt?: T;
  lte?: T;
  gt?: T;
  gte?: T;
  ne?: T;
}
export type Match<T> = T | readonly T[] | (T extends number ? Compare<number> : never);
export type Rows = Match<number> | "*";

/** A layer, a list, a comparison, or a kind of layer. */
export type Layers = Rows | "global" | "chunked" | "moe" | "dense";

/** Which rows, layers and heads an edit touches. What is not named is not limited. */
export interface Filter {
  readonly layer?: Layers;
  readonly head?: Rows;
  /** Token rows of the run; negative counts from the end. */
  readonly t?: Rows;
  /** Places in the sequence; negative counts from the end of the prompt. */
  readonly pos?: Rows;
  /** Steps of generation. */
  readonly step?: Rows;
  /** Token ids. */
  readonly id?: Rows;
  /** Tokens by their text. */
  readonly text?: string | readonly string[];
}

const isCompare = (m: unknown): m is Compare<number> => typeof m === "object" && m !== null && !Array.isArray(m);

/** As it is printed in paths and sentences: `4`, `{3,7}`, `{gte=24}`, `*`, `global`. */
export function describeMatch(match: Layers | Rows): string {
  if (Array.isArray(match)) return `{${match.map(quoted).join(",")}}`;
  if (isCompare(match))
    return `{${Object.entries(match)
      .map(([k, v]) => `${k}=${quoted(v)}`)
      .join(",")}}`;
  return typeof match === "string" ? match : quoted(match);
}

const OPERATORS = ["lt", "lte", "gt", "gte", "ne"];

/** A test for one number. `end` is the count that negative numbers count back from; without it they are refused. */
export function matcher(match: Rows, key: string, where: string, end?: number): (value: number) => boolean {
  const place = (n: unknown): number => {
    if (typeof n !== "number" || !Number.isInteger(n))
      throw new ArgumentError(`${where}: ${key} takes whole numbers, not ${quoted(n)}`);
    if (n >= 0) return n;
    if (end === undefined) throw new ArgumentError(`${where}: ${key} ${n} is negative; ${key} is counted from 0`);
    return end + n;
  };
  if (match === "*") return () => true;
  if (typeof match === "number") {
    const wanted = place(match);
    return (v) => v === wanted;
  }
  if (Array.isArray(match)) {
    const wanted = new Set(match.map(place));
    return (v) => wanted.has(v);
  }
  if (!isCompare(match))
    throw new ArgumentError(
      `${where}: ${key} takes a number, a list, "*", or { lt, lte, gt, gte, ne }, not ${quoted(match)}`,
    );
  const unknown = Object.keys(match).find((k) => !OPERATORS.includes(k));
  if (unknown)
    throw new ArgumentError(`${where}: ${key} has no comparison "${unknown}"; there are ${OPERATORS.join(", ")}`);
  const { lt, lte, gt, gte, ne } = Object.fromEntries(
    Object.entries(match).map(([k, v]) => [k, place(v)]),
  ) as Compare<number>;
  return (v) =>
    (lt === undefined || v < lt) &&
    (lte === undefined || v <= lte) &&
    (gt === undefined || v > gt) &&
    (gte === undefined || v >= gte) &&
    v !== ne;
}

/** All places in `[0, n)` that match. Out of range is an error for plain numbers, which name a place. */
export function places(match: Rows | undefined, n: number, key: string, where: string): number[] {
  const all = Array.from({ length: n }, (_, i) => i);
  if (match === undefined || match === "*") return all;
  const named = typeof match === "number" ? [match] : Array.isArray(match) ? match : [];
  const test = matcher(match, key, where, n);
  for (const i of named)
    if (i >= n || i < -n)
      throw new SiteError({
        where,
        what: `there is no ${key} ${i}`,
        fix: n > 0 ? `There are ${n}, counted from 0 to ${n - 1}` : "There are none",
      });
  return all.filter(test);
}

/** The layers that are meant. */
export function layersOf(match: Layers | undefined, layers: readonly LayerFacts[], where: string): LayerFacts[] {
  switch (match) {
    case "global":
    case "chunked":
      return layers.filter((l) => l.kind === match);
    case "moe":
      return layers.filter((l) => l.moe);
    case "dense":
      return layers.filter((l) => !l.moe);
  }
  if (typeof match === "string" && match !== "*")
    throw new SiteError({
      where,
      what: `"${match}" is not a kind of layer${didYouMean(match, ["global", "chunked", "moe", "dense"])}`,
      fix: 'There are "global", "chunked", "moe", "dense" and "*"',
    });
  for (const n of [match].flat())
    if (typeof n === "number" && n < 0)
      throw new SiteError({ where, what: `there is no layer ${n}`, fix: "Layers are counted from 0" });
  return places(match, layers.length, "layer", where).map((i) => layers[i]);
}
