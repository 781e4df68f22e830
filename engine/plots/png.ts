import { createRequire } from "node:module";
import { FAMILY, fontFiles } from "./font.ts";
import { withDensity } from "./pixels.ts";

type Resvg = typeof import("@resvg/resvg-js").Resvg;
let resvg: Resvg | undefined;

/**
 * Draws an SVG document at twice its size, with the bundled fonts only. At once, not as a promise: what a cell displays must keep its
 * place among what it prints. The rasteriser is loaded when first needed.
 */
export function toPNG(svg: string): Uint8Array {
  resvg ??= (createRequire(import.meta.url)("@resvg/resvg-js") as { Resvg: Resvg }).Resvg;
  const image = new resvg(svg, {
    fitTo: { mode: "zoom", value: 2 },
    font: { fontFiles: fontFiles(), loadSystemFonts: false, defaultFontFamily: FAMILY },
  }).render();
  return withDensity(image.asPng(), 2);
}

export const toBase64 = (bytes: Uint8Array): string =>
  Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString("base64");
