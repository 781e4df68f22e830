import { clip } from "../display/format.ts";
import type { Captured } from "../run/captured.ts";
import { type Alignment, flipBlock } from "../tables/diff.ts";
import { flipsByLayer } from "./flips.ts";
import { logprobDiff } from "./logprob.ts";
import { figurePlot, type Plot } from "./plot.ts";

/** What `r.compare(other).plot` offers. */
export interface DiffPlots {
  /** Every token's log-probability in both runs, and the change. */
  logprob(): Plot;
  /** The share of routing decisions that changed, by layer. */
  flips(): Plot;
}

export function diffPlots(a: Captured, b: Captured, rows: Alignment): DiffPlots {
  return {
    logprob: () => figurePlot(() => logprobDiff(a, b, rows, names(a, b))),
    flips: () => figurePlot(() => flipsByLayer(flipBlock(a, b, rows), a.facts.experts)),
  };
}

/** What tells the two runs apart: their edits, else their formats, else nothing. */
function names(a: Captured, b: Captured): [string, string] {
  const name = (run: Captured) => {
    const { length } = run.edits;
    // A legend is cut where it is long: the number comes first.
    return length === 0 ? "unedited" : `${length > 1 ? `${length} edits: ` : ""}${run.edits.map(String).join("; ")}`;
  };
  if (name(a) !== name(b)) return [clip(name(a), 48), clip(name(b), 48)];
  return a.facts.weights === b.facts.weights ? ["first run", "second run"] : [a.facts.weights, b.facts.weights];
}
