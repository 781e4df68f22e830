import { options, quoted } from "../check.ts";
import { ArgumentError } from "../errors.ts";
import type { Filter } from "../sites/selector.ts";
import { capturedOf, Edit, type RunSource, type ScoreRule } from "./edit.ts";

/** Which layers and tokens a routing edit touches. */
export type RouteFilter = Omit<Filter, "head">;

const KEYS = ["layer", "t", "pos", "step", "id", "text"] as const;

const expert = (e: number, where: string): number => {
  if (Number.isInteger(e) && e >= 0) return e;
  throw new ArgumentError({ where, what: `${quoted(e)} is not an expert`, fix: "Experts are counted from 0" });
};

/**
 * Changes to which expert a token gets. Without a filter they hold in every MoE layer and for every token.
 *
 * ```ts
 * const d = r.compare(await m.with(route.ban(7, { layer: 3 })).run(r)); d.loss
 * ```
 */
export const route = {
  /** These experts cannot be chosen; the next best takes over, with its own score. */
  ban(experts: number | readonly number[], filter: RouteFilter = {}): Edit {
    const list = [...new Set([experts].flat() as number[])].map((e) => expert(e, "route.ban"));
    if (list.length === 0)
      throw new ArgumentError({ where: "route.ban", what: "no expert is named", fix: "Give a number or a list" });
    return new Edit({ op: "route.ban", experts: Object.freeze(list) }, filter, KEYS);
  },

  /**
   * This expert is chosen (with top-k > 1: in place of the first). `score`: `"own"`, the sigmoid of its own logit (default);
   * `"original"`, the score of the expert that it replaces; or a number.
   */
  force(e: number, o: RouteFilter & { readonly score?: ScoreRule } = {}): Edit {
    const { score = "own", ...filter } = options(o, "route.force");
    if (score !== "own" && score !== "original" && !Number.isFinite(score))
      throw new ArgumentError({
        where: "route.force",
        what: `${quoted(score)} is not a score`,
        fix: 'It is "own", "original" or a number',
      });
    return new Edit({ op: "route.force", expert: expert(e, "route.force"), score }, filter, KEYS);
  },

  /** Adds to the expert's logit when experts are chosen; the score stays the sigmoid of the unbiased logit. */
  bias(e: number, delta: number, filter: RouteFilter = {}): Edit {
    if (!Number.isFinite(delta))
      throw new ArgumentError({
        where: "route.bias",
        what: `${quoted(delta)} is not a number to add`,
        fix: "Use route.ban or route.force for infinities",
      });
    return new Edit({ op: "route.bias", expert: expert(e, "route.bias"), delta }, filter, KEYS);
  },

  /** Every token chooses as the token in the same row of another run did; scores are this run's own. */
  replay(run: RunSource, filter: RouteFilter = {}): Edit {
    capturedOf(run);
    return new Edit({ op: "route.replay", from: run }, filter, KEYS);
  },
};
