import { num, token } from "../display/format.ts";
import { ArgumentError } from "../errors.ts";
import type { Captured } from "../run/captured.ts";
import { softmaxInto } from "../tables/router.ts";
import { notCaptured, routingBlock } from "../tables/routing-block.ts";
import { EXPERT_COLORS, fade, GREY, NAMEABLE, SERIES } from "./color.ts";
import type { Figure } from "./figure.ts";
import { face } from "./font.ts";
import { TEXT } from "./layout.ts";
import { range } from "./load-map.ts";
import { tokenRow } from "./scope.ts";
import { entryOf } from "./token-map.ts";

export interface RouterOptions {
  t: number;
  layer: number;
}

/** Wider routers show their first so many experts by logit. */
const SHOWN = 24;

/** One decision of one router: the logit that it gave each expert. The chosen one's score multiplies the expert's input. */
export function router(run: Captured, o: RouterOptions): Figure {
  const b = routingBlock(run);
  const t = tokenRow(run, o.t, "plot.router");
  const layer = o.layer < 0 ? run.facts.layers.length + o.layer : o.layer;
  const i = entryOf(b, t, layer);
  if (i < 0)
    throw new ArgumentError(
      `plot.router: no routing was captured at layer ${o.layer}, row ${t}; the layers are ${Array.from(b.layers).join(", ")}`,
    );
  if (!b.hasLogits) throw notCaptured("The router's logits", 'at.layers("moe").router.logits');
  const { data, from } = b.logitsAt(i);
  const E = b.experts;
  const logits = data.subarray(from, from + E);
  const prob = new Float32Array(E);
  softmaxInto(prob, 0, data, from, E);
  const chosen = Array.from({ length: b.k }, (_, s) => b.expert[i * b.k + s]);
  const runnerUp = b.rivals.runnerUp[i];
  const byLogit = Array.from({ length: E }, (_, e) => e).sort((x, y) => logits[y] - logits[x] || x - y);
  const shown = E <= SHOWN ? Array.from({ length: E }, (_, e) => e) : byLogit.slice(0, SHOWN);
  const values = Float32Array.from(shown, (e) => logits[e]);
  const forced = run.forced(t, layer);
  const role = (e: number) => (chosen.includes(e) ? (forced ? "forced" : "chosen") : e === runnerUp ? "runner-up" : "");
  const label = (y: number) =>
    [`σ ${sigmoid(values[y]).toFixed(2)}`, `p ${prob[shown[y]].toFixed(2)}`, role(shown[y])].filter(Boolean).join("  ");
  return {
    title: `Router of layer ${layer} at “${token(run.tokens.text[t])}”`,
    subtitle: `row ${t}: expert ${chosen.join(", ")} with score ${chosen.map((_, s) => num(b.score[i * b.k + s], 3)).join(", ")}, margin ${num(b.rivals.margin[i], 3)} over expert ${runnerUp}${forced ? "; forced by an edit" : ""}`,
    width: WIDTH,
    height: Math.max(110, shown.length * 22),
    panels: [
      {
        box: { x: [0, 1], y: [0, 1] },
        x: { label: "logit", domain: withRoom(values, label), grid: true },
        // Read from the top, as a list is.
        y: {
          label: "expert",
          domain: [shown.length - 0.5, -0.5],
          ticks: shown.map((e, y) => ({ at: y, text: String(e) })),
        },
        marks: [
          {
            mark: "bars",
            along: "x",
            at: range(shown.length),
            length: values,
            color: shown.map((e) =>
              chosen.includes(e) ? (E <= NAMEABLE ? EXPERT_COLORS[e] : SERIES.first) : fade(GREY, 0.4),
            ),
            name: "logit",
            thickness: 0.72,
            text: label,
            hover: (y) =>
              `expert ${shown[y]}: logit ${num(values[y])}, score ${num(sigmoid(values[y]))}, softmax ${num(prob[shown[y]])}${role(shown[y]) ? ` (${role(shown[y])})` : ""}`,
          },
          { mark: "rule", axis: "x", at: 0 },
        ],
      },
    ],
    note: `σ: sigmoid of the logit, the score that multiplies the expert's input. p: softmax over the experts, for comparison (1/${E} = ${(1 / E).toFixed(2)} is even).${E > SHOWN ? ` The ${SHOWN} highest of ${E} experts.` : ""}`,
  };
}

/** A domain in which every bar's text stays within the panel. */
function withRoom(values: Float32Array, label: (y: number) => string): [number, number] {
  const panel = WIDTH - 110;
  const room = (side: (v: number) => boolean) =>
    Math.max(
      8,
      ...Array.from(values.keys(), (y) => (side(values[y]) ? face("regular").width(label(y)) * TEXT.tick + 10 : 0)),
    );
  const [left, right] = [room((v) => v < 0), room((v) => v >= 0)];
  const [lo, hi] = [Math.min(0, ...values), Math.max(0, ...values)];
  const unit = Math.max(hi - lo, 0.1) / (panel - left - right);
  return [lo - left * unit, hi + right * unit];
}

const WIDTH = 560;
const sigmoid = (x: number): number => 1 / (1 + Math.exp(-x));
