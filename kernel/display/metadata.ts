/** What front ends want to know about a bundle beside it: the size at which a picture made for sharp screens is to be shown. */
import type { MimeBundle } from "./mime.ts";

const HEAD = 8 + 25;
const CSS_DOTS_PER_METRE = 96 / 0.0254;

/** `{ "image/png": { width, height } }` in CSS pixels where the PNG says (pHYs, its first chunk) that it has more dots than that. */
export function metadataOf(bundle: MimeBundle): Record<string, unknown> {
  const png = bundle["image/png"];
  if (typeof png !== "string") return {};
  const start = Buffer.from(png.slice(0, 4 * Math.ceil((HEAD + 21) / 3)), "base64");
  if (start.length < HEAD + 17 || start.toString("latin1", HEAD + 4, HEAD + 8) !== "pHYs" || start[HEAD + 16] !== 1)
    return {};
  const scale = start.readUInt32BE(HEAD + 8) / CSS_DOTS_PER_METRE;
  if (!(scale > 1.2)) return {};
  return {
    "image/png": {
      width: Math.round(start.readUInt32BE(16) / scale),
      height: Math.round(start.readUInt32BE(20) / scale),
    },
  };
}
