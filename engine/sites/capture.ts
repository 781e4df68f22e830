import { quoted } from "../check.ts";
import { ArgumentError, didYouMean, SiteError } from "../errors.ts";
import type { CaptureSpec } from "../native.ts";
import type { LayerFacts, ModelFacts } from "../run/captured.ts";
import { headsOf, layerHas, SITE_NAMES, SITES, type SiteName } from "./names.ts";
import { parseSite } from "./parse.ts";
import { layersOf, matcher, places, type Rows } from "./selector.ts";
import { partsOf, Site } from "./site.ts";

/** What to capture: a set by name, a site, or a site's path. */
export type Capture = "routing" | "attention" | "residual" | "experts" | "all" | (string & {}) | Site<any>;

const ROUTING: readonly SiteName[] = ["router.logits", "router.score", "router.choice"];

/** Sets of sites, in every layer that has them. The routing is part of each. */
export const CAPTURE_SETS: Readonly<Record<string, readonly SiteName[]>> = {
  routing: ROUTING,
  attention: [...ROUTING, "attn.summary", "attn.temperature"],
  residual: [...ROUTING, "embed", "resid.pre", "resid.mid", "resid.post", "final.norm"],
  experts: [...ROUTING, "expert.in", "expert.act", "expert.out", "shared.out", "routed.out", "ffn.out", "resid.mid"],
  all: SITE_NAMES,
};

/** What is captured at one site of one layer. */
export interface PlannedCapture {
  readonly spec: CaptureSpec;
  readonly bytes: number;
}

/** The shape of the run that is to be captured. */
export interface Extent {
  /** Rows of the prompt. */
  readonly rows: number;
  /** Rows that generation may add. */
  readonly more: number;
  /** The longest sequence, with what generation may add: what a row of `attn.pattern` holds. */
  readonly keys: number;
}

/**
 * Resolves what a cell asked for into sites of layers. Nothing asked: the routing. A list always includes the routing, which costs next to
 * nothing; an empty list captures nothing.
 *
 * Errors: `SiteError` with the nearest names; `ArgumentError` for a name that is neither a set nor a site.
 */
export function planCaptures(
  what: Capture | readonly Capture[] | undefined,
  facts: ModelFacts,
  extent: Extent,
): PlannedCapture[] {
  const wanted = what === undefined ? ["routing"] : ([what].flat() as readonly Capture[]);
  const specs = new Map<string, CaptureSpec>();
  const add = (name: SiteName, layers: readonly LayerFacts[], site: Site<any> | null): void => {
    for (const layer of SITES[name].layers === "none" ? [null] : layers) {
      if (layer && !layerHas(name, layer)) continue;
      const spec = specFor(name, layer?.index ?? -1, site, facts, extent);
      const key = `${spec.layer} ${name}`;
      const before = specs.get(key);
      specs.set(key, before ? union(before, spec) : spec);
    }
  };
  if (wanted.length > 0) for (const name of ROUTING) add(name, facts.layers, null);
  for (const item of wanted) {
    const set = typeof item === "string" && Object.hasOwn(CAPTURE_SETS, item) ? CAPTURE_SETS[item] : null;
    if (set) for (const name of set) add(name, facts.layers, null);
    else {
      const site = asSite(item);
      add(partsOf(site).name, siteLayers(site, facts), site);
    }
  }
  return [...specs.values()].map((spec) => ({ spec, bytes: bytesOf(spec, facts, extent) }));
}

/** The layers that a site means in this model; those that lack it are left out when a group was named, refused when a layer was. */
export function siteLayers(site: Site<any>, facts: ModelFacts): LayerFacts[] {
  const { name, layer } = partsOf(site);
  if (layer === null) return [];
  const chosen = layersOf(layer, facts.layers, site.path);
  const fitting = chosen.filter((l) => layerHas(name, l));
  const named = typeof layer === "number" || Array.isArray(layer);
  if (fitting.length === chosen.length || (!named && fitting.length > 0)) return fitting;
  const has = facts.layers.filter((l) => layerHas(name, l)).map((l) => l.index);
  const lacking = chosen.find((l) => !layerHas(name, l));
  throw new SiteError({
    where: site.path,
    what: lacking
      ? `layer ${lacking.index} is ${lacking.moe ? "a MoE layer" : "dense"} and has no ${name}`
      : "no layer is meant",
    fix: has.length ? `Layers that have it: ${has.join(", ")}` : "No layer of this model has it",
  });
}

function asSite(item: Capture): Site<any> {
  if (item instanceof Site) return item;
  if (typeof item !== "string")
    throw new ArgumentError({
      where: "capture",
      what: `${quoted(item)} is not a site`,
      fix: 'Give at.layer(3).resid.post, its path, or a set such as "routing"',
    });
  if (!item.includes(".") && !SITE_NAMES.includes(item as SiteName))
    throw new ArgumentError({
      where: "capture",
      what: `there is no set or site "${item}"${didYouMean(item, [...Object.keys(CAPTURE_SETS), ...SITE_NAMES])}`,
      fix: `The sets are ${Object.keys(CAPTURE_SETS).join(", ")}`,
    });
  return parseSite(item);
}

function specFor(
  name: SiteName,
  layer: number,
  site: Site<any> | null,
  facts: ModelFacts,
  extent: Extent,
): CaptureSpec {
  const only = site ? partsOf(site).only : {};
  const where = site ? site.toString() : name;
  const rowMatch = only.t ?? only.q;
  if (only.t !== undefined && only.q !== undefined)
    throw new ArgumentError({ where, what: "t and q both name rows", fix: "Use one of them" });
  if (only.q !== undefined && name !== "attn.pattern")
    throw new ArgumentError({ where, what: "only attn.pattern has queries", fix: "Name rows with t" });
  const headCount = headsOf(name);
  if (only.head !== undefined && !headCount)
    throw new ArgumentError({ where, what: `${name} has no heads`, fix: "Leave head out" });
  if (only.expert !== undefined && !name.startsWith("expert."))
    throw new ArgumentError({
      where,
      what: `${name} does not belong to one expert`,
      fix: "expert.in, expert.gate, expert.up, expert.act and expert.out do",
    });
  // Places from the end are counted in the prompt. Rows made while generating are kept when all of them match.
  const open = rowMatch === undefined || rowMatch === "*";
  return {
    site: name,
    layer,
    rows: open ? null : Int32Array.from(places(rowMatch, extent.rows, "t", where)),
    decode: extent.more > 0 && (open || generatedMatch(rowMatch, extent, where)),
    heads:
      only.head === undefined || only.head === "*"
        ? null
        : Int32Array.from(places(only.head, facts[headCount!], "head", where)),
    experts:
      only.expert === undefined || only.expert === "*"
        ? null
        : Int32Array.from(places(only.expert, facts.experts, "expert", where)),
  };
}

function generatedMatch(match: Rows, extent: Extent, where: string): boolean {
  const test = matcher(match, "t", where, extent.rows);
  return Array.from({ length: extent.more }, (_, i) => extent.rows + i).every(test);
}

const merge = (a: Int32Array | null, b: Int32Array | null): Int32Array | null =>
  a && b ? Int32Array.from(new Set([...a, ...b])).sort() : null;

const union = (a: CaptureSpec, b: CaptureSpec): CaptureSpec => ({
  ...a,
  rows: merge(a.rows, b.rows),
  decode: a.decode || b.decode,
  heads: merge(a.heads, b.heads),
  experts: merge(a.experts, b.experts),
});

/** An upper bound: rows limited by expert are counted as if every row chose one of them. */
function bytesOf(spec: CaptureSpec, facts: ModelFacts, extent: Extent): number {
  const name = spec.site as SiteName;
  const rows = (spec.rows?.length ?? extent.rows) + (spec.decode ? extent.more : 0);
  const heads = headsOf(name);
  const share = spec.heads && heads ? spec.heads.length / facts[heads] : 1;
  const width = SITES[name].width(facts) * share * (name === "attn.pattern" ? extent.keys : 1);
  return rows * width * 4;
}
