import type { LayerFacts, ModelFacts } from "../run/captured.ts";

/** Which layers have a site; "none": the site belongs to no layer. */
type Where = "none" | "all" | "moe" | "dense";

export interface SiteKind {
  /** Without the layer axis. */
  readonly axes: string;
  readonly layers: Where;
  /** Numbers a token row; for `attn.pattern`, a row and key. */
  width(m: ModelFacts): number;
  /** Can it be written to (`zero`, `add`, `scale`, `patch`)? */
  readonly editable: boolean;
}

const site = (axes: string, layers: Where, width: (m: ModelFacts) => number, editable = false): SiteKind => ({
  axes,
  layers,
  width,
  editable,
});
const d = (m: ModelFacts): number => m.d;
const q = (m: ModelFacts): number => m.heads * m.headDim;
const kv = (m: ModelFacts): number => m.kvHeads * m.headDim;

/** Every text site, in the order in which a token passes them. */
export const SITES = {
  embed: site("t d", "none", d, true),
  "resid.pre": site("t d", "all", d, true),
  "attn.in": site("t d", "all", d, true),
  "attn.q": site("t head dh", "all", q, true),
  "attn.k": site("t head dh", "all", kv, true),
  "attn.v": site("t head dh", "all", kv, true),
  "attn.qUsed": site("t head dh", "all", q, true),
  "attn.kUsed": site("t head dh", "all", kv, true),
  "attn.temperature": site("t", "all", () => 1),
  "attn.summary": site("t head stat", "all", (m) => m.heads * 7),
  "attn.pattern": site("head q k", "all", (m) => m.heads),
  "attn.z": site("t head dh", "all", q, true),
  "attn.out": site("t d", "all", d, true),
  "resid.mid": site("t d", "all", d, true),
  "router.in": site("t d", "moe", d, true),
  "router.logits": site("t expert", "moe", (m) => m.experts),
  "router.score": site("t slot", "moe", (m) => m.topk),
  "router.choice": site("t slot", "moe", (m) => m.topk),
  "expert.in": site("t slot d", "moe", (m) => m.topk * m.d, true),
  "expert.gate": site("t slot ff", "moe", (m) => m.topk * m.ff, true),
  "expert.up": site("t slot ff", "moe", (m) => m.topk * m.ff, true),
  "expert.act": site("t slot ff", "moe", (m) => m.topk * m.ff, true),
  "expert.out": site("t slot d", "moe", (m) => m.topk * m.d, true),
  "shared.act": site("t ff", "moe", (m) => m.ff, true),
  "shared.out": site("t d", "moe", d, true),
  "routed.out": site("t d", "moe", d, true),
  "mlp.act": site("t ff", "dense", (m) => m.ffDense, true),
  "mlp.out": site("t d", "dense", d, true),
  "ffn.out": site("t d", "all", d, true),
  "resid.post": site("t d", "all", d, true),
  "final.norm": site("t d", "none", d, true),
  logits: site("t vocab", "none", (m) => m.vocab, true),
} as const satisfies Record<string, SiteKind>;

export type SiteName = keyof typeof SITES;

export const SITE_NAMES = Object.keys(SITES) as SiteName[];

export const isSiteName = (name: string): name is SiteName => Object.hasOwn(SITES, name);

export function layerHas(name: SiteName, layer: LayerFacts): boolean {
  const where: Where = SITES[name].layers;
  return where === "all" || (where === "moe" ? layer.moe : where === "dense" && !layer.moe);
}

/** Which heads a site has on its head axis; null: none, or they cannot be told apart. */
export function headsOf(name: SiteName): "heads" | "kvHeads" | null {
  if (!SITES[name].axes.includes("head")) return null;
  return name === "attn.k" || name === "attn.v" || name === "attn.kUsed" ? "kvHeads" : "heads";
}
