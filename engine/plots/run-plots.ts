import { guarded } from "../check.ts";
import { ArgumentError } from "../errors.ts";
import type { Captured, ModelFacts } from "../run/captured.ts";
import { countLoad } from "../tables/expert-load.ts";
import type { Tokens } from "../tables/tokens.ts";
import { type AttnEntropyOptions, attnEntropy } from "./attn-entropy.ts";
import { type AttnTemperatureOptions, attnTemperature } from "./attn-temperature.ts";
import { type ConfidenceOptions, confidence } from "./confidence.ts";
import { loadMap } from "./load-map.ts";
import { figurePlot, type Plot, ribbonPlot } from "./plot.ts";
import { type RibbonOptions, ribbon } from "./ribbon.ts";
import { type RouterOptions, router } from "./router.ts";
import { type TokenMapOptions, tokenMap } from "./token-map.ts";

export interface LoadMapOptions {
  /** A column of `tokens`: one map a value. */
  by?: keyof Tokens;
}

/** What `r.plot` offers. */
export interface RunPlots {
  /** Who does the work: utilisation of every expert of every layer. */
  loadMap(o?: LoadMapOptions): Plot;
  /** The running text, coloured by the expert that each token chose. */
  ribbon(o?: RibbonOptions): Plot;
  /** Token by layer, coloured by expert or margin. */
  tokenMap(o?: TokenMapOptions): Plot;
  /** One decision: every expert's logit. */
  router(o: RouterOptions): Plot;
  /** Margin or entropy of the decisions, by depth. */
  confidence(o?: ConfidenceOptions): Plot;
  /** The factor on the query by position, this run's positions marked. */
  attnTemperature(o?: AttnTemperatureOptions): Plot;
  /** Effective number of keys by position, with and without temperature. */
  attnEntropy(o?: AttnEntropyOptions): Plot;
}

/** What `m.plot` offers. */
export interface ModelPlots {
  /** The factor on the query by position. */
  attnTemperature(o?: AttnTemperatureOptions): Plot;
}

export function runPlots(run: Captured): RunPlots {
  return guarded("plot", {
    loadMap: (o = {}) => figurePlot(() => loadMap(countLoad(run, o.by), run.facts.name)),
    ribbon: (o) => ribbonPlot(ribbon(run, o)),
    tokenMap: (o) => figurePlot(() => tokenMap(run, o)),
    router: (o) => {
      if (typeof o?.t !== "number" || typeof o.layer !== "number")
        throw new ArgumentError("plot.router takes a token row and a layer, for example { t: -1, layer: 2 }");
      return figurePlot(() => router(run, o));
    },
    confidence: (o) => figurePlot(() => confidence(run, o)),
    attnTemperature: (o) =>
      figurePlot(() => attnTemperature(run.facts, run.tokens.pos, { to: defaultReach(run), ...o })),
    attnEntropy: (o) => figurePlot(() => attnEntropy(run, o)),
  });
}

/** Far enough to see the law, in round powers of ten: 10M for a floor of 8,192, 100k for one of 64. */
const reachOf = (floorScale: number): number =>
  10 ** Math.min(7, Math.max(3, Math.ceil(Math.log10(Math.max(1, floorScale) * 1000))));
const defaultReach = (run: Captured): number => reachOf(run.facts.floorScale);

export function modelPlots(facts: ModelFacts): ModelPlots {
  return guarded("plot", {
    attnTemperature: (o) => figurePlot(() => attnTemperature(facts, null, { to: reachOf(facts.floorScale), ...o })),
  });
}
