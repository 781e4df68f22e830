import { quoted } from "../check.ts";
import { didYouMean, SiteError } from "../errors.ts";
import { isSiteName, SITE_NAMES, SITES } from "./names.ts";
import type { Layers } from "./selector.ts";
import { EditableSite, Site } from "./site.ts";

const KINDS = ["*", "global", "chunked", "moe", "dense"];

/**
 * A site from its printed path: `logits`, `layers.4.resid.post`, `layers.*.router.logits`, `layers.{3,7}.attn.pattern`,
 * `layers.{gte=24}.ffn.out`, `layers.global.attn.summary`.
 *
 * Errors: `SiteError` with the nearest names.
 */
export function parseSite(path: string): Site<any> {
  const match = /^layers\.(\*|\{[^}]*\}|[^.]+)\.(.+)$/.exec(path);
  const name = match ? match[2] : path;
  if (!isSiteName(name)) throw unknown(path, name, match !== null);
  const layered = SITES[name].layers !== "none";
  if (layered && !match)
    throw new SiteError({
      where: `"${path}"`,
      what: "this site is in every layer",
      fix: `Say which: "layers.3.${path}" or "layers.*.${path}"`,
    });
  if (!layered && match)
    throw new SiteError({ where: `"${path}"`, what: `"${name}" belongs to no layer`, fix: `Write "${name}"` });
  const layer = match ? parseLayers(match[1], path) : null;
  const parts = { name, layer, single: layer === null || typeof layer === "number", only: {} };
  return SITES[name].editable ? new EditableSite(parts) : new Site(parts);
}

export function toSite(site: Site<any> | string): Site<any> {
  if (typeof site === "string") return parseSite(site);
  if (site instanceof Site) return site;
  throw new SiteError({ what: `${quoted(site)} is not a site`, fix: "Give at.layer(3).resid.post, or its path" });
}

function parseLayers(text: string, path: string): Layers {
  if (/^\d+$/.test(text)) return Number(text);
  if (KINDS.includes(text)) return text as Layers;
  const inner = /^\{(.*)\}$/.exec(text)?.[1];
  if (inner !== undefined) {
    const items = inner.split(",").map((s) => s.trim());
    if (items.every((s) => /^\d+$/.test(s))) return items.map(Number);
    const pairs = items.map((s) => /^(lt|lte|gt|gte|ne)=(\d+)$/.exec(s));
    if (pairs.every((p) => p !== null)) return Object.fromEntries(pairs.map((p) => [p![1], Number(p![2])]));
  }
  throw new SiteError({
    where: `"${path}"`,
    what: `"${text}" is not a layer or a kind of layer${didYouMean(text, KINDS)}`,
    fix: 'Write a number, "*", "global", "chunked", "moe", "dense", or a list such as "{3,7}"',
  });
}

function unknown(path: string, name: string, layered: boolean): SiteError {
  const known = SITE_NAMES.filter((n) => (SITES[n].layers !== "none") === layered);
  const near = didYouMean(name, layered ? known : SITE_NAMES);
  return new SiteError({
    where: `"${path}"`,
    what: `there is no site "${name}"${near}`,
    fix: `The sites are ${SITE_NAMES.join(", ")}`,
  });
}
