import { InternalError } from "../errors.ts";
import type { CaptureSpec, Captured as NativeCaptured } from "../native.ts";
import { SITES, type SiteName } from "../sites/names.ts";
import { captureKey, type ModelFacts, type SiteCapture } from "./captured.ts";
import { rowShape } from "./shape.ts";

/** Names the axes of what the engine captured. Nothing is copied. */
export function siteCaptures(
  results: readonly NativeCaptured[],
  specs: readonly CaptureSpec[],
  facts: ModelFacts,
): Map<string, SiteCapture> {
  const heads = new Map(specs.map((s) => [captureKey(s.site, s.layer), s.heads]));
  const out = new Map<string, SiteCapture>();
  for (const r of results) {
    const name = r.site as SiteName;
    const key = captureKey(name, r.layer);
    const chosen = heads.get(key) ?? null;
    const shape = name === "attn.pattern" ? r.shape : [r.rows.length, ...rowShape(name, facts, chosen?.length ?? null)];
    if (shape.reduce((a, b) => a * b, 1) !== r.data.length)
      throw new InternalError({
        where: key,
        what: `${r.data.length} numbers were captured where [${shape.join(", ")}] were expected`,
      });
    out.set(key, {
      site: name,
      layer: r.layer,
      axes: SITES[name].axes,
      shape,
      data: r.data,
      rows: r.rows,
      heads: chosen,
    });
  }
  return out;
}
