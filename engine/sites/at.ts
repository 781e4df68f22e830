import { quoted } from "../check.ts";
import { ArgumentError } from "../errors.ts";
import { SITES, type SiteName } from "./names.ts";
import type { Layers } from "./selector.ts";
import { EditableSite, Site } from "./site.ts";

export interface ResidSites<L extends string> {
  /** What enters the layer. */
  readonly pre: EditableSite<`${L}t d`>;
  /** After attention. */
  readonly mid: EditableSite<`${L}t d`>;
  /** After the FFN: what enters the next layer. */
  readonly post: EditableSite<`${L}t d`>;
}
export interface AttnSites<L extends string> {
  /** The normed input. */
  readonly in: EditableSite<`${L}t d`>;
  /** As projected. */
  readonly q: EditableSite<`${L}t head dh`>;
  readonly k: EditableSite<`${L}t head dh`>;
  readonly v: EditableSite<`${L}t head dh`>;
  /** As the product sees it: rotated and normed in RoPE layers, times the temperature in the others. */
  readonly qUsed: EditableSite<`${L}t head dh`>;
  readonly kUsed: EditableSite<`${L}t head dh`>;
  /** The factor on q: 1 in RoPE layers. */
  readonly temperature: Site<`${L}t`>;
  /** Seven numbers a head: entropy, entropy_off, max, argmax, sink, local, distance. */
  readonly summary: Site<`${L}t head stat`>;
  /** Every weight: quadratic in the length. `only({ head, q })` keeps it small. */
  readonly pattern: Site<`${L}head q k`>;
  /** What each head read, before the output projection. */
  readonly z: EditableSite<`${L}t head dh`>;
  readonly out: EditableSite<`${L}t d`>;
}
export interface RouterSites<L extends string> {
  readonly in: EditableSite<`${L}t d`>;
  readonly logits: Site<`${L}t expert`>;
  /** What the expert's input is multiplied by: sigmoid of the logit. */
  readonly score: Site<`${L}t slot`>;
  /** Expert numbers. */
  readonly choice: Site<`${L}t slot`>;
}
export interface ExpertSites<L extends string> {
  /** After multiplication by the score. */
  readonly in: EditableSite<`${L}t slot d`>;
  readonly gate: EditableSite<`${L}t slot ff`>;
  readonly up: EditableSite<`${L}t slot ff`>;
  /** silu(gate) · up. */
  readonly act: EditableSite<`${L}t slot ff`>;
  readonly out: EditableSite<`${L}t slot d`>;
}
export interface MlpSites<L extends string> {
  readonly act: EditableSite<`${L}t ff`>;
  readonly out: EditableSite<`${L}t d`>;
}
export interface OutSites<L extends string> {
  readonly out: EditableSite<`${L}t d`>;
}
export interface SitesOf<L extends string> {
  readonly resid: ResidSites<L>;
  readonly attn: AttnSites<L>;
  /** MoE layers. */
  readonly router: RouterSites<L>;
  /** MoE layers: the routed experts that a token chose. */
  readonly expert: ExpertSites<L>;
  /** MoE layers: the expert that every token passes. */
  readonly shared: MlpSites<L>;
  /** MoE layers: the sum over the chosen experts. */
  readonly routed: OutSites<L>;
  /** What the layer's FFN adds to the residual stream. */
  readonly ffn: OutSites<L>;
  /** Dense layers. */
  readonly mlp: MlpSites<L>;
}
export interface LayerSites extends SitesOf<""> {}
export interface ManyLayerSites extends SitesOf<"layer "> {}
export interface FinalSites {
  readonly norm: EditableSite<"t d">;
}
export interface At {
  /** The token embeddings. */
  readonly embed: EditableSite<"t d">;
  /** One layer, counted from 0. */
  layer(i: number): LayerSites;
  /** Several: a list, `"*"`, a kind (`"global"`, `"chunked"`, `"moe"`, `"dense"`), or a comparison (`{ gte: 24 }`). */
  layers(which: Layers): ManyLayerSites;
  readonly final: FinalSites;
  readonly logits: EditableSite<"t vocab">;
}

function make(name: SiteName, layer: Layers | null, single: boolean): Site<any> {
  const parts = { name, layer, single, only: {} };
  return SITES[name].editable ? new EditableSite(parts) : new Site(parts);
}

/** `{ resid: { pre, mid, post }, attn: { … }, … }`, each made when it is read. */
function sitesOf(layer: Layers, single: boolean): any {
  const groups: Record<string, object> = {};
  for (const name of Object.keys(SITES) as SiteName[]) {
    if (SITES[name].layers === "none") continue;
    const [group, role] = name.split(".");
    Object.defineProperty((groups[group] ??= {}), role, { enumerable: true, get: () => make(name, layer, single) });
  }
  return groups;
}

/**
 * Names places in the model: `at.layer(4).resid.post`, `at.layers("global").attn.summary`, `at.logits`.
 *
 * ```ts
 * const r = await m.run("The capital of France is", { capture: at.layer(4).resid.post });
 * r.get(at.layer(4).resid.post)   // Tensor<"t d">
 * ```
 */
export const at: At = {
  embed: make("embed", null, true) as EditableSite<"t d">,
  layer(i: number): LayerSites {
    if (!Number.isInteger(i) || i < 0)
      throw new ArgumentError(`at.layer: ${quoted(i)} is not a layer; layers are counted from 0 (several: at.layers)`);
    return sitesOf(i, true);
  },
  layers: (which: Layers): ManyLayerSites => sitesOf(which, false),
  final: { norm: make("final.norm", null, true) as EditableSite<"t d"> },
  logits: make("logits", null, true) as EditableSite<"t vocab">,
};
